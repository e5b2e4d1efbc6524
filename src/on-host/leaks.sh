#!/bin/sh
# Lists what a testbed holds in its folders for temporary files and in its IPC namespace. Runs on the host's tools as root of
# the holder, in the testbed's IPC namespace and a mount namespace of its own. Whatever the testbed named is hostile: no link
# in it is followed, and names go out between NUL bytes.
#
# argv: PID LAYER...   pid 1 of the testbed as the host sees it; the folders below its root file system
# stdout, each field ended by a NUL byte: for each file PATH TYPE UID GID SIZE MTIME (find's %p %y %U %G %s %T@), PATH with
#   /proc/PID/root or the layer in front; "--"; the pid of the lifeline's reader, or nothing; shm, sem and msg, each followed by the text of /proc/sysvipc/NAME; then for
#   each POSIX message queue NAME UID STATE
set -eu

pid=$1 root=/proc/$1/root
shift
# Enough for a hundred thousand names; a testbed may hold any number.
limit=16777216

# Adds to $@ the folder $folder of $1 unless a link leads there.
names() {
	for folder in $2; do
		case $folder in
		*/*) [ ! -L "$1/${folder%%/*}" ] || continue ;;
		esac
		[ -L "$1/$folder" ] || [ -e "$1/$folder" ] || continue
		printf '%s\n' "$1/$folder"
	done
}

paths=$(
	names "$root" 'tmp var/tmp run run/lock dev/shm'
	for layer; do names "$layer" 'tmp var/tmp'; done
)
# Our own paths have no white space.
# shellcheck disable=SC2086
{ find -P $paths -xdev -printf '%p\0%y\0%U\0%G\0%s\0%T@\0' 2>/dev/null || :; } | head -c "$limit"
printf -- '--\0'
# The child of pid 1 that reads what pid 1 has as descriptor 3. Only root of the holder may look at their descriptors.
lifeline=$(readlink "/proc/$pid/fd/3" | sed 's/[][]/\\&/g') || :
read -r children <"/proc/$pid/task/$pid/children" || :
standard_inputs=''
for child in $children; do standard_inputs="$standard_inputs /proc/$child/fd/0"; done
# shellcheck disable=SC2086
[ -z "$standard_inputs" ] ||
	find $standard_inputs -maxdepth 0 -lname "$lifeline" -printf '%h\n' 2>/dev/null | head -n 1 | cut -d / -f 3 | tr -d '\n'
printf '\0'
for kind in shm sem msg; do
	printf '%s\0' "$kind"
	cat "/proc/sysvipc/$kind" 2>/dev/null || :
	printf '\0'
done
# Message queues can be seen in a mount of their own only.
if mount -n -t mqueue mqueue /mnt/scratch 2>/dev/null; then
	find -P /mnt/scratch -type f -printf '%f\0%U\0' -exec cat {} \; -printf '\0' 2>/dev/null || :
fi
