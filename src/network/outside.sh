#!/bin/sh
# Runs the program that connects a testbed's network namespace with the host's network, as root of the holder. It is pid 1 of a pid
# namespace: when it ends, the kernel kills all that it has started, and only then can its parent reap it.
#
# argv: PID PROGRAM [ARGUMENT]...   PID: host pid of the testbed's pid 1; NETNS is replaced by the path of its network namespace
# descriptor 3: the lifeline
# stdout: "ready" once the network is configured, or "failed"; stderr: messages of the program
set -eu

pid=$1
shift

# pasta drops most capabilities before it opens the namespace, and cannot read /proc/PID of a process that has more. So a process
# without capabilities is in the namespace too. It reads the lifeline, and ends with it.
# shellcheck disable=SC2016
nsenter --net="/proc/$pid/ns/net" setpriv --bounding-set=-all --inh-caps=-all \
	sh -c 'read -r stat </proc/self/stat; echo "${stat%% *}"; exec cat <&3 >/dev/null 2>&1' | {
	read -r anchor
	for word; do
		shift
		[ "$word" != NETNS ] || word=/proc/$anchor/ns/net
		set -- "$@" "$word"
	done
	case $1 in
	# Goes to the background once the network is configured.
	pasta) "$@" 3<&- >&2 && echo ready || echo failed ;;
	# Stays in the foreground, and writes "1" to descriptor 4 once the network is configured.
	slirp4netns)
		{ "$@" 3<&- 4>&1 >&2 & } | if [ "$(head -c 1)" = 1 ]; then echo ready; else echo failed; fi
		;;
	esac
}
