#!/bin/sh
# Makes the stage's mounts and the holder (see docs/architecture.md). Runs on the host's tools as root of the stage's user
# namespace, in a mount namespace of its own.
#
# argv: UID_MAP GID_MAP SOURCE...   the holder's maps, and the folders and files to bind at /mnt/0, /mnt/1, …
# descriptor 3: the lifeline, read until its end of file
# stdout: "held PID" once the holder stands
set -eu

uid_map=$1 gid_map=$2
shift 2

# The working directory may be one that only the caller can reach; nothing here wants it.
cd /
mount -n -t tmpfs -o mode=755,size=16m stage /mnt
# Mode 777: the holder's root, to whom the stage's root is nobody, fills them.
mkdir -m 777 /mnt/root /mnt/scratch /mnt/skeleton
number=0
for source; do
	if [ -d "$source" ]; then
		mkdir "/mnt/$number"
	else
		: >"/mnt/$number"
	fi
	# Recursive: a user namespace may not leave out what is mounted below.
	mount -n --rbind -- "$source" "/mnt/$number"
	number=$((number + 1))
done

# The maps are written from here, the parent user namespace, by one write(2) each, as the kernel wants it.
unshare --user --mount sh -c 'echo "$$"; exec cat <&3 >/dev/null 2>&1' | {
	read -r holder
	printf '%s\n' "$uid_map" >"/proc/$holder/uid_map"
	printf '%s\n' "$gid_map" >"/proc/$holder/gid_map"
	echo "held $holder"
}
