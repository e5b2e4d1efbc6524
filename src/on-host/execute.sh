#!/bin/sh
# The execute program: runs a command in a testbed with our own stdin, stdout and stderr, and returns when all its output
# has been written.
#
# argv: -p PID -s STARTTIME [-n] [-c DIR] [-u USER] [-e NAME=VALUE]... [-d SECONDS] [-l FILE] [-T] -- COMMAND [ARGUMENT]...
#   -p -s  pid 1 of the testbed as the host sees it, and field 22 of its /proc/PID/stat (proc(5)): pids are used again
#   -n     the testbed has a network namespace of its own
#   -c -u  working directory and user inside; default / and root
#   -e     one more variable of the command's environment
#   -d     seconds that a helper without progress is waited for; default 10
#   -l     file that gets one line for each leaked process that was ended: pid and command line
#   -T     the command gets our TERM
# status: the command's 0…253, its 254 and 255 as 253, 128 + n for death by signal n, 255 when the testbed is not there

# The caller's environment ends here. Values that span lines name, at worst, a variable that is to go anyway.
set -- "${TERM-}" "$@"
while IFS= read -r line; do
	line=${line#export } line=${line%%=*}
	case $line in
	'' | *[!A-Za-z0-9_]* | PATH) ;;
	*) command unset "$line" 2>/dev/null ;;
	esac
done <<END
$(export -p)
END
term=$1
shift

directory=/ user='' own_network='' extra=''

# A word quoted for eval.
quote() {
	rest=$1 quoted=''
	while [ "$rest" != "${rest#*\'}" ]; do
		quoted=$quoted${rest%%\'*}"'\\''" rest=${rest#*\'}
	done
	quoted="'$quoted$rest'"
}

while getopts p:s:nc:u:e:d:l:T option; do
	case $option in
	p) pid=$OPTARG ;;
	s) start=$OPTARG ;;
	n) own_network=yes ;;
	c) directory=$OPTARG ;;
	u) user=$OPTARG ;;
	e)
		quote "$OPTARG"
		extra="$extra -e $quoted"
		;;
	d | l) ;;
	T)
		quote "TERM=$term"
		extra="$extra -e $quoted"
		;;
	*) exit 255 ;;
	esac
done
shift $((OPTIND - 1))
[ -z "$extra" ] || eval "set -- $extra -- \"\$@\""
[ -n "$extra" ] || set -- -- "$@"

# From here on 2 is nobody's: dash tells there that a child was killed.
exec 8>&2 2>/dev/null
here=${0%/*}

gone() {
	echo "virt-ts-unshare: cannot run a command in the testbed: $1" >&8
	exit 255
}

enter() {
	# A user namespace of one id, written without help, forbids what nsenter does to the supplementary groups.
	read -r groups <"/proc/$pid/setgroups" || groups=allow
	[ "$groups" = deny ] || groups=''
	nsenter --user=/proc/self/fd/3 ${groups:+--preserve-credentials} --mount=/proc/self/fd/4 --pid=/proc/self/fd/5 \
		--ipc="/proc/$pid/ns/ipc" --uts="/proc/$pid/ns/uts" --cgroup="/proc/$pid/ns/cgroup" \
		${own_network:+--net="/proc/$pid/ns/net"} -- "$@"
}

# Whether pid is still the process whose namespaces the answer to print-execute-command meant.
same_process() {
	read -r stat <"/proc/$pid/stat" || return 1
	# The name of the command may hold anything, but ends with the last parenthesis; field 3 follows.
	stat=${stat##*) } field=3
	while [ "$field" -lt 22 ]; do
		stat=${stat#* } field=$((field + 1))
	done
	[ "${stat%% *}" = "$start" ]
}

# Opened first and compared then: what was opened is what is compared. The namespaces that are opened later, by name, can
# only be those of the same holder: no other lets our new user namespace in.
# shellcheck disable=SC2094,SC2317
{
	same_process || gone 'it is closed'
	enter /bin/sh /proc/self/fd/7 "$directory" "$user" "$@"
	status=$?
	case $status in
	254) status=1 ;;
	1) gone 'its namespaces cannot be entered' ;;
	137) [ -e "/proc/$pid/ns/mnt" ] || gone 'it died meanwhile' ;;
	esac
	exit "$status"
} 3<"/proc/$pid/ns/user" 4<"/proc/$pid/ns/mnt" 5<"/proc/$pid/ns/pid" 7<"$here/../in-testbed/exec.sh"
gone 'it is closed'
