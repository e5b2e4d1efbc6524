#!/bin/sh
# Makes the stage's mounts and the holder (see docs/architecture.md). Runs on the host's tools as root of the stage's user
# namespace, in a mount namespace of its own.
#
# argv: UID_MAP GID_MAP ABORT SOURCE...   the holder's maps, the text of abort-fuse.sh, and the folders and files to bind at
#                                         /mnt/0, /mnt/1, …
# descriptor 3: the lifeline, read until its end of file
# stdin: a line "mapped" when our own id maps are written
# stdout: "up" when they can be written, "held PID" once the holder stands
set -eu

uid_map=$1 gid_map=$2 abort_fuse=$3
shift 3

# Our own ids are mapped from outside once we are in the user namespace, which is now.
echo up
read -r mapped
[ "$mapped" = mapped ]

# The working directory may be one that only the caller can reach; nothing here wants it.
cd /
mount -n -t tmpfs -o mode=755,size=16m stage /mnt
mount_points='' number=0
for source; do
	if [ -d "$source" ]; then
		mount_points="$mount_points /mnt/$number"
	else
		: >"/mnt/$number"
	fi
	number=$((number + 1))
done
# Mode 777: the holder's root, to whom the stage's root is nobody, fills the first three.
# shellcheck disable=SC2086
mkdir -m 777 /mnt/root /mnt/scratch /mnt/skeleton $mount_points
number=0
for source; do
	# Recursive: a user namespace may not leave out what is mounted below.
	mount -n --rbind -- "$source" "/mnt/$number"
	number=$((number + 1))
done

# Ends every process of the user namespace that descriptor 4 has open, whoever put it there: a tar whose server was killed
# would unpack on, and a stopped nsenter keeps a dead testbed from going. What is left after 2 s cannot be killed.
end_all() {
	# find takes the name for a pattern, and it has brackets in it.
	pattern=$(readlink /proc/self/fd/4 | sed 's/[][]/\\&/g')
	round=0
	while [ "$round" -lt 40 ]; do
		members=$(find /proc/[0-9]*/ns/user -maxdepth 0 -lname "$pattern" 2>/dev/null | sed 's,ns/user$,status,')
		[ -n "$members" ] || break
		# A zombie has a user namespace too, until its parent, who may be anybody, has the time to reap it.
		# shellcheck disable=SC2086
		members=$(grep -L '^State:[[:space:]]*Z' $members 2>/dev/null | cut -d / -f 3)
		[ -n "$members" ] || break
		# Root of a testbed can bring its pid 1 into a user namespace below this one, but not away from its parent.
		children=''
		for member in $members; do
			read -r below 2>/dev/null <"/proc/$member/task/$member/children" || :
			children="$children ${below-}"
		done
		members="$members $children"
		# shellcheck disable=SC2086
		kill -CONT $members 2>/dev/null || :
		# shellcheck disable=SC2086
		kill -KILL $members 2>/dev/null || :
		[ "$round" = 0 ] || sleep 0.05
		# shellcheck disable=SC2086
		[ "$round" -lt 2 ] || sh -c "$abort_fuse" abort-fuse $members || :
		round=$((round + 1))
	done
}

# The maps are written from here, the parent user namespace, by one write(2) each, as the kernel wants it.
unshare --user --mount sh -c 'echo "$$"; exec cat <&3 >/dev/null 2>&1' | {
	read -r holder
	exec 4<"/proc/$holder/ns/user"
	printf '%s\n' "$uid_map" >"/proc/$holder/uid_map"
	printf '%s\n' "$gid_map" >"/proc/$holder/gid_map"
	echo "held $holder"
	exec >/dev/null
	cat <&3
	end_all
}
