#!/bin/sh
# Waits until nobody in the testbed holds the output of a command that has ended: helpers that still carry output are waited
# for, leaked processes are ended. Runs on the host's tools, outside the testbed's pid namespace, so that nothing in there
# sees or hits it, but as root of the testbed's user namespace, so that it can hit nothing else.
#
# argv: PID1 TAG SECONDS PROGRAM
#   PID1     host pid of the testbed's pid 1
#   TAG      timer slack (nanoseconds) of the command's processes
#   SECONDS  that a helper without progress is waited for
#   PROGRAM  text of drain.awk
# descriptors: 0, 1 and 8 the command's stdin, stdout and stderr; 9 gets a line for each process that is ended, pid and user
#   inside and the bytes of its command line in hexadecimal; or is /dev/null where nobody wants to know
pid1=$1 tag=$2 seconds=$3 program=$4

# What descriptor $1 is, as drain.awk names it. What everybody holds says nothing.
identity() {
	link=$(readlink "/proc/$$/fd/$1")
	case $link in
	pipe:* | socket:*) echo "$link" ;;
	/dev/null | /dev/zero | /dev/full) ;;
	*)
		while read -r name value; do
			case $name in mnt_id: | ino:) printf '%s' "$name$value" ;; esac
		done <"/proc/$$/fdinfo/$1"
		;;
	esac
}
input=$(identity 0) out=$(identity 1) err=$(identity 8)
[ -n "$out$err" ] || exit 0

# Lines "leak PID" and "helper PID BYTES", then "end" if the look was not cut short.
look() {
	find /proc/[0-9]*/fd /proc/[0-9]*/ns/pid -type l ! -lname /dev/null \
		\( \( -lname 'pipe:*' -o -lname 'socket:*' -o -lname 'pid:*' \) -printf '%h %f %m %l\n' -o -printf '%h %f %m -\n' \) |
		awk -v pid1="$pid1" -v self=$$ -v tag="$tag" -v input="$input" -v out="$out" -v err="$err" "$program"
}

# Tells of a process, by as much as anybody wants to read: a testbed may have any number, and call them what it likes. One
# without arguments has its name in brackets. Nobody needs to know of one that has just ended by itself.
tell() {
	[ "$room" -gt 0 ] || return
	room=$((room - 1)) name='' user='' inside=''
	while read -r field value; do
		case $field in
		Name:) name=$value ;;
		Uid:) user=${value%%[!0-9]*} ;;
		# As the host counts, then as each pid namespace below does.
		NSpid:) inside=${value#*[!0-9]} inside=${inside%%[!0-9]*} ;;
		esac
	done <"/proc/$1/status"
	command=$(od -A n -t x1 -v -N 200 "/proc/$1/cmdline")
	case $command in *[!0[:space:]]*) ;; *) command=$(printf '[%s]' "$name" | od -A n -t x1 -v) ;; esac
	# shellcheck disable=SC2086
	[ -z "$inside" ] || echo "$inside $user" $command >&9
}

# How many processes may still be told of: a thousand for one command, until the file has a mebibyte.
measure_room() {
	room=0
	[ ! -c "/proc/$$/fd/9" ] || return
	[ "$(stat -L -c %s "/proc/$$/fd/9")" -ge 1048576 ] || room=1000
}

# Gives in $found the processes of the command, all of them, whatever they hold. Starts no program.
scan() {
	found=' ' missed=''
	for folder in /proc/[0-9]*; do
		if tagged "$folder" && inside "$folder"; then
			found="$found${folder#/proc/} "
		elif ! [ -d "$folder" ]; then
			missed=yes
		fi
	done
}

tagged() {
	read -r slack <"$1/timerslack_ns" && [ "$slack" = "$tag" ]
}

inside() {
	[ "$1/ns/pid" -ef ns/pid ]
}

# Stops the processes of the command, so that none forks while it is hunted and none tells on stderr that its child was
# killed. Some fork faster than we look at all processes: look at the new ones only, until there are none several times.
# One that was gone before we looked may have been one of them, or anybody's.
freeze() {
	found=' ' seen=' ' groups=' ' passes=5
	[ -z "$first" ] || stop_group "$first"
	while [ "$passes" -gt 0 ]; do
		passes=$((passes - 1)) missed=''
		for folder in /proc/[0-9]*; do
			pid=${folder#/proc/}
			case $seen in *" $pid "*) continue ;; esac
			seen="$seen$pid "
			if tagged "$folder"; then
				# One that is about to end is in no namespace any more, but what it forked before is.
				passes=50
				if inside "$folder"; then
					stop_group_of "$folder"
					kill -s STOP "$pid"
					found="$found$pid "
				fi
			elif ! [ -d "$folder" ]; then
				missed=yes
			fi
		done
		[ -n "$missed" ] || [ "$passes" -lt 5 ] || passes=5
	done
}

# A signal to a process group reaches all of it at once, and no fork gets away (kill(2)): the one hold on what ends and begins
# anew all the time. To what is not of the testbed we may send nothing, except where its root is the caller: there the group
# that the caller may be in is left alone.
stop_group() {
	case $groups$spared in *" $1 "*) return ;; esac
	groups="$groups$1 "
	kill -s STOP -- "-$1"
}

stop_group_of() {
	if read_group "$1"; then stop_group "$group"; fi
}

# Gives in $group the process group of the process with folder $1.
read_group() {
	read_stat "$1" || return
	# shellcheck disable=SC2086
	set -- $stat
	group=$3
}

# Gives in $stat what follows the name of the program, from field 3 on. The name may hold anything, newlines too, but ends with
# the last parenthesis.
read_stat() {
	stat=''
	while read -r line; do stat=$line; done <"$1/stat"
	stat=${stat##*) }
	[ -n "$stat" ]
}

continue_groups() {
	for group in $groups; do kill -s CONT -- "-$group"; done
}

now() {
	read -r uptime _ </proc/uptime
	echo "${uptime%.*}"
}

# Gives leaks, helpers and quiet_since from a look, and in "blind" how many looks in a row were cut short and told nothing.
judge() {
	leaks='' helpers='' progress=' '
	case $1 in
	*end) blind=0 ;;
	*)
		blind=$((blind + 1))
		return
		;;
	esac
	while read -r what pid bytes; do
		case $what in
		leak) leaks="$leaks $pid" ;;
		helper) helpers="$helpers $pid" progress="$progress$pid:$bytes " ;;
		esac
		case $before in
		*" $pid:$bytes "*) ;;
		*" $pid:"*) quiet_since=$(now) ;;
		esac
	done <<END
$1
END
	before=$progress
}

# Ends processes, whatever their state, and tells each once.
end() {
	[ -n "$room" ] || measure_room
	for pid; do
		case $told in *" $pid "*) continue ;; esac
		told="$told$pid "
		quiet_since=$(now)
		tell "$pid"
	done
	kill -s KILL "$@"
}

# Whether a process does something now, or would if it had a processor.
runs() {
	for pid; do
		if read_stat "/proc/$pid"; then
			case $stat in R* | D*) return ;; esac
		fi
	done
	return 1
}

# Ends the leaks. Nobody of the command moves meanwhile, so what is seen is all there is.
hunt() {
	freeze
	judge "$(look)"
	[ "$blind" = 0 ] || judge "$(look)"
	# shellcheck disable=SC2086
	[ -z "$leaks" ] || end $leaks
	# shellcheck disable=SC2086
	[ "$found" = ' ' ] || kill -s CONT $found
	if [ "$groups" != ' ' ]; then
		continue_groups
		# An nsenter that saw its child still stopped has stopped itself just now, and waits to be told again.
		sleep 0.01
		continue_groups
	fi
}

# The group of execute.sh is the command's too, unless that got a session of its own. Nothing is in the host's groups 0 and 1.
first='' spared=' 0 1 '
if read_group "/proc/$PPID"; then
	if [ -O "/proc/$PPID" ]; then spared="$spared$group "; else first=$group; fi
fi

told=' ' room='' before=' ' quiet_since=$(now) pause=0.01 doubts=0 blind=0 patience=30
# What SIGKILL does not end for so long sleeps in the kernel, and may do so for ever.
while [ $(($(now) - quiet_since)) -le $((seconds + 5)) ]; do
	scan
	all=$found unseen=$missed
	judge "$(look)"
	if [ "$blind" != 0 ]; then
		# The testbed is gone, or processes come and go too fast.
		[ -e ns/pid ] || exit 0
		[ $((blind % 5)) != 0 ] || hunt
	elif [ -n "$leaks" ]; then
		# A daemon may not have had the time yet to redirect its output: its parent did not wait for that.
		# shellcheck disable=SC2086
		if [ "$patience" -gt 0 ] && runs $leaks; then
			patience=$((patience - 1))
			sleep 0.01
		else
			hunt
		fi
	elif [ -z "$helpers" ]; then
		# Nobody, if nobody came or went while we looked. One that was gone before we looked at it may have left another.
		scan
		[ "$found$missed$unseen" != "$all" ] || exit 0
		doubts=$((doubts + 1))
		if [ "$doubts" = 3 ]; then
			hunt
			[ -n "$leaks$helpers" ] || [ "$blind" != 0 ] || exit 0
			doubts=0
		fi
	elif [ $(($(now) - quiet_since)) -gt "$seconds" ]; then
		# shellcheck disable=SC2086
		end $helpers
	else
		sleep "$pause"
		case $pause in
		0.01) pause=0.02 ;;
		0.02) pause=0.05 ;;
		0.05) pause=0.1 ;;
		esac
	fi
done
