#!/bin/sh
# The execute program: runs a command in a testbed with our own stdin, stdout and stderr, and returns when all its output
# has been written. Starting a process costs more than all the rest, so on the way of most commands there is one: enter.c, or
# nsenter twice where that was not compiled.
#
# argv: [-E ENTER] -p PID -m MARK [-n] [-c DIR] [-u USER] [-e NAME=VALUE]... [-d SECONDS] [-l FILE] [-T] [-3] -- COMMAND [ARGUMENT]...
#   -E     enter.c as a program, if it can be executed; comes first. Not where root of the testbed is the caller: it could open
#          the program anew, to write
#   -p -m  pid 1 of the testbed as the host sees it, and its mark, the timer slack (nanoseconds) that it and its reader have:
#          pids are used again
#   -n     the testbed has a network namespace of its own
#   -c -u  working directory and user inside; default / and root
#   -e     one more variable of the command's environment
#   -d     seconds that a helper without progress is waited for; default 10
#   -l     file that gets one line for each leaked process that was ended, see drain.sh; one that cannot be written to gets none
#   -T     the command gets our TERM
#   -3     the command gets our descriptor 3 too, and may do with it what it likes
# status: the command's 0…253, its 254 and 255 as 253, 128 + n for death by signal n, 255 when it could not be run

set -f
kept='' enter='' term=${TERM-}
if [ "$1" = -E ]; then
	[ ! -x "$2" ] || enter=$2
	shift 2
fi

# The caller's environment ends here, unless enter.c drops it, which takes no process. A value that spans lines names, at worst,
# another variable that has to go anyway.
if [ -z "$enter" ]; then
	set -- "$term" "$@"
	IFS='
'
	for line in $(export -p); do
		line=${line#export } line=${line%%=*}
		case $line in
		*[!A-Za-z0-9_]* | '') ;;
		IFS | OPTIND) kept='env -u IFS -u OPTIND' ;;
		*) command unset "$line" ;;
		esac
	done 2>/dev/null
	enter='' term=$1
	shift
fi
# A shell needs these two and goes on exporting them, so with nsenter a program has to drop them.
IFS=' ' OPTIND=1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SHELL=/bin/sh HOME=/root
umask 022

# The command gets the first three descriptors and no other of the caller's: one of a folder would lead out of the testbed.
exec 4>&- 5>&- 6>&- 7>&- 9>&-
# From here on 2 is nobody's: some shells tell there that a child was killed. The caller may have closed it.
command exec 8>&2 || exec 8>/dev/null
exec 2>/dev/null

cannot() {
	echo "virt-ts-unshare: cannot run a command in the testbed: $1" >&8
	exit 255
}

# A word quoted for eval.
quote() {
	rest=$1 quoted=''
	while [ "$rest" != "${rest#*\'}" ]; do
		quoted=$quoted${rest%%\'*}"'\\''" rest=${rest#*\'}
	done
	quoted="'$quoted$rest'"
}

directory=/ user='' own_network='' drain=10 log='' extra='' third=''
while getopts p:m:nc:u:e:d:l:T3 option; do
	case $option in
	p) pid=$OPTARG ;;
	m) mark=$OPTARG ;;
	n) own_network=yes ;;
	c) directory=$OPTARG ;;
	u) user=$OPTARG ;;
	d) drain=$OPTARG ;;
	l) log=$OPTARG ;;
	3) third=yes ;;
	e)
		quote "$OPTARG"
		extra="$extra -e $quoted"
		;;
	T)
		quote "TERM=$term"
		extra="$extra -e $quoted"
		;;
	*) cannot 'execute.sh was given a wrong option' ;;
	esac
done
shift $((OPTIND - 1))
[ -n "$third" ] || exec 3>&-

# In the folder of a process, a relative name is never that of a later process with the same pid: what is compared here is
# what is entered.
CDPATH='' cd "/proc/$pid" || cannot 'it is closed'
unset PWD OLDPWD
{ read -r slack <timerslack_ns && [ "$slack" = "$mark" ]; } || cannot 'it is closed'

# A user namespace of one id, written without help, forbids what nsenter does to the supplementary groups.
read -r groups <setgroups
[ "$groups" = deny ] || groups=''

# Processes inherit it and nobody else uses it: tells the processes of this command from those of another one.
tag=$((10000 + $$ % 40000))
echo "$tag" >/proc/self/timerslack_ns

# Who does not read from the terminal has no business with it: as a controlling one, root in the testbed could read what is
# typed there, and type (TIOCSTI of ioctl_tty(2)). Where that root is the caller, a kill(2) of its process group would reach
# the caller's processes.
terminal='' session=''
if [ -t 0 ]; then
	terminal=yes
elif true </dev/tty || [ -O . ]; then
	session=setsid
fi

# Where nsenter does it, the user namespace comes first, by a nsenter of its own: one that enters all is in the testbed's pid
# namespace a moment before it gives up the caller's user id, and root in there may ptrace(2) it meanwhile. What is executed as
# root of the testbed has no more to lose. The subshell is for dash, which would otherwise tell on the command's stderr that it
# was killed.
enter() {
	if [ -n "$enter" ]; then
		"$enter" -k "virt-ts-unshare-$mark" ${own_network:+-n} ${terminal:+-t} ${session:+-s} "PATH=$PATH" "SHELL=$SHELL" "HOME=$HOME" -- "$@" \
			2>&8 8>&-
	else
		(
			exec $kept $session nsenter --user=ns/user ${groups:+--preserve-credentials} -- nsenter --mount=ns/mnt \
				--pid=ns/pid --ipc=ns/ipc --uts=ns/uts --cgroup=ns/cgroup ${own_network:+--net=ns/net} -- "$@" 2>&8 8>&-
		)
	fi
}

# Two ways into the testbed's shell, for what only it can prepare: the script as a file, which its ps shows best, and as text
# where others may not read the file, or where root of the testbed is the file's owner and could open it anew to write. See
# in-testbed/README.md.
here=${0%/*}
prepare() {
	if [ -O . ]; then
		prepare_by_text "$@"
	else
		enter /bin/sh /proc/self/fd/7 "$directory" "$user" "$@" 7<"$here/../in-testbed/exec.sh"
	fi
}
prepare_by_text() {
	enter /bin/sh -c "$(cat "$here/../in-testbed/exec.sh")" exec "$directory" "$user" "$@"
}

# Whatever happens to the whole process group, our part comes after the command's end.
trap : INT QUIT
if [ "$directory$user$extra" = / ] && ! [ -s root/etc/environment ] && ! [ -L root/etc/environment ]; then
	enter "$@"
	status=$?
	case $enter,$status in
	,1 | ?*,255)
		# The command's own, or did it not come so far? A folder cannot be executed: with 126, executing it was tried.
		enter / 8>/dev/null
		[ $? = 126 ] || cannot 'its namespaces cannot be entered'
		;;
	esac
else
	eval "set -- $extra -- \"\$@\""
	prepare "$@"
	status=$?
	case $status in
	1 | 2 | 126 | 127 | 255)
		# The command's own, or did the script not come so far?
		prepare -- /bin/sh -c 'exit 7' 8>/dev/null
		case $?,$status in
		7,*) ;;
		*,255) exit 255 ;;
		*)
			prepare_by_text -- /bin/sh -c 'exit 7' 8>/dev/null
			[ $? = 7 ] || cannot 'its /bin/sh does not start a command'
			prepare_by_text "$@"
			status=$?
			;;
		esac
		;;
	esac
fi
case $status in
254 | 255) status=253 ;;
137) [ -e ns/mnt ] || cannot 'it died meanwhile' ;;
esac

# Who else is there? Mostly nobody but the reader of pid 1, or what another command started. Asked of the host's /proc, since the
# testbed may have anything at its own: who is left is a child of pid 1, or descends from one. One whose tag is nobody's may be
# ours, and so may what one has started that was gone before we looked.
somebody_left() {
	reader='' children=''
	# No newline ends it, so read fails.
	read -r children <"task/$pid/children" || [ -n "$children" ] || return 0
	for child in $children; do
		read -r slack <"/proc/$child/timerslack_ns" || return 0
		case $slack in
		"$mark") if [ -z "$reader" ]; then reader=$child; else return 0; fi ;;
		"$tag") return 0 ;;
		*) [ "$slack" -ge 10000 ] && [ "$slack" -lt 50000 ] || return 0 ;;
		esac
	done
	return 1
}
if somebody_left; then
	echo 50000 >/proc/self/timerslack_ns
	# Whoever opened the testbed may be another user than we are, or be gone, and then there is none.
	{ [ -f "$log" ] && command exec 9>>"$log"; } || exec 9>/dev/null
	# shellcheck disable=SC2086
	(exec ${enter:+env -i PATH=$PATH} setsid nsenter --user=ns/user ${groups:+--preserve-credentials} -- \
		sh -c "$(cat "$here/drain.sh")" drain "$pid" "$tag" "$drain" "$(cat "$here/drain.awk")")
fi
exit "$status"
