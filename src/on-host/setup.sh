#!/bin/sh
# Makes a testbed's mounts and becomes its pid 1. Runs as pid 1 of the new namespaces, still on the host's tools and root
# file system; the host's are gone when the testbed's own /bin/sh starts.
#
# argv: HOSTNAME UPPER FSTAB NETWORK PID1 MARK COPY
#   UPPER    tmpfs options for the scratch, or an absolute path: a folder for it
#   FSTAB    lines as of fstab(5), mounted in order over /mnt/root
#   NETWORK  "own": a network namespace of our own wants its lo up; "host": none
#   PID1     text of the script to become
#   MARK     timer slack (nanoseconds) of pid 1 and what it starts, see execute.sh
#   COPY     empty, or the folders (separated by newlines) whose plain copy is the root instead of an overlay
# stdin: a line "go" when what is mounted is there, or nothing to give up
# descriptor 3: the lifeline; 8: take-root.c as a program, if it was compiled; 9: the host's root directory
# stdout: "ready PID STARTTIME", PID as the host sees it and field 22 of /proc/PID/stat (proc(5))
set -eu

hostname=$1 upper=$2 fstab=$3 network=$4 pid1=$5 mark=$6 copy=$7

case $upper in
/*) mount -n --bind -- "$upper" /mnt/scratch ;;
*) mount -n -t tmpfs -o "$upper" scratch /mnt/scratch ;;
esac
umask 022
mkdir /mnt/scratch/upper /mnt/scratch/work
read -r go
[ "$go" = go ]
if [ -n "$copy" ]; then
	printf '%s\n' "$copy" | while read -r layer; do
		cp -a --reflink=auto -- "$layer/." /mnt/scratch/upper
	done
fi
printf '%s\n' "$fstab" >/mnt/scratch/fstab
mount -n --all --fstab /mnt/scratch/fstab
[ "$network" = host ] || ip link set lo up

echo "$mark" >/proc/self/timerslack_ns
# What the host calls us; its /proc is still the one here.
read -r stat </proc/self/stat
cd /mnt/root
if [ -x /proc/self/fd/8 ]; then
	/proc/self/fd/8 "$hostname"
else
	hostname "$hostname"
	# pivot_root . . stacks the old root on the new one; our own root is the new one from then on, and a program started then
	# would be the testbed's, with the host's root at hand. So all is done by one that has left for the host's root file system:
	# it starts pivot_root in the old root, and then the host's umount, which detaches that from our mount namespace. A working
	# directory below a detached mount has no name, hence the discarded complaints of sh.
	exec 8</
	nsenter --root=/proc/self/fd/9 --wd=. sh -c \
		'{ nsenter --root=/proc/self/fd/8 --wd=. pivot_root . . && exec umount -c -i -n -l .; } 2>&1' 2>/dev/null
fi
exec 8<&- 9<&-

pid=${stat%% *}
# The command name may hold anything but ends with the last parenthesis; field 3 follows.
# shellcheck disable=SC2086
set -- ${stat##*) }
echo "ready $pid ${20}"
exec </dev/null >/dev/null 2>&1
# By the environment, so that ps in the testbed shows no page of text; pid1.sh starts itself anew in the same way.
# The caller's PATH is its own business.
unset PWD OLDPWD
export PID1="$pid1" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec /bin/sh -c 'eval "$PID1"' pid1
