#!/bin/sh
# Isolates one command on the machine's own root file system. Runs on the host's tools as pid 1 of new mount, pid and ipc
# namespaces.
#
# argv: CAPABILITIES FOREGROUND COMMAND [ARGUMENT]...
#   CAPABILITIES  those that the command keeps, as setpriv(1) writes them; empty: whatever execve(2) leaves it
#   FOREGROUND    not empty: COMMAND is an interactive shell on the terminal
# descriptors: 0, 1 and 5 the command's stdin, stdout and stderr; 2 for complaints before it starts
#   3  a line starts the command, end of file ends everything
#   4  "ready PID STARTTIME" (as the host sees us; proc(5)), then "ended STATUS"
set -eu

capabilities=$1 foreground=$2
shift 2

# What the host calls us; its /proc is still the one here.
read -r stat </proc/self/stat
pid=${stat%% *}
here=$(pwd -P)

mount -n -t tmpfs -o mode=1777,nosuid,nodev tmp /tmp
[ ! -d /dev/shm ] || mount -n -t tmpfs -o mode=1777,nosuid,nodev shm /dev/shm
[ ! -d /dev/mqueue ] || mount -n -t mqueue mqueue /dev/mqueue
# Whoever works below /tmp still works there. By its descriptor, since its name is hidden by now; -c: mount(8) would turn
# the dot into that name. Recursive: a user namespace may not leave out what is mounted below.
case $here in
/tmp/* | /dev/shm/*)
	mkdir -p -- "$here"
	mount -n -c --rbind . "$here"
	cd -- "$here"
	;;
/tmp | /dev/shm) cd -- "$here" ;;
esac
mount -n -t proc -o nosuid,nodev,noexec proc /proc

# The command name may hold anything but ends with the last parenthesis; field 3 follows.
stat=${stat##*) } field=3
while [ "$field" -lt 22 ]; do
	stat=${stat#* } field=$((field + 1))
done
echo "ready $pid ${stat%% *}" >&4
read -r _ <&3

# Said in our words: the shell's own, or setpriv's, would name what nobody has called.
# shellcheck disable=SC2016
command -v -- "$1" >/dev/null ||
	set -- sh -c 'echo "virt-ts-unshare: this machine has no program $1" >&2; exit 127' sh "$1"
[ -z "$capabilities" ] ||
	set -- setpriv --inh-caps "-all,$capabilities" --ambient-caps "-all,$capabilities" -- "$@"
# Processes inherit it, and nobody else in here has it: drain.sh tells the command's processes by it.
echo "$((10000 + pid % 40000))" >/proc/self/timerslack_ns
# A signal for the whole process group is for the command to answer; our part comes afterwards.
trap : HUP INT QUIT TERM
# dash tells on its stderr that a child was killed; that is not the command's.
exec 2>/dev/null
set +e
# An interactive dash fails at its end unless it can see the process group that had the terminal before.
[ -z "$foreground" ] || set -m
(exec "$@" 2>&5 3<&- 4>&- 5>&-)
status=$?
# Nothing of ours may hold the command's output open, or be taken for the command's.
exec </dev/null >/dev/null 5>&-
echo 50000 >/proc/self/timerslack_ns
echo "ended $status" >&4
read -r _ <&3
