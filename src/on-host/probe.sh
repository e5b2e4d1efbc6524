#!/bin/sh
# Tries what a testbed needs of the kernel, one thing after the other, and goes on after a failure. Runs on the host's tools
# as root of the holder, in mount, pid, ipc, uts and cgroup namespaces of its own; all it makes goes with them but for what
# it puts into DISK.
#
# argv: DISK   folder on the disk of the cache, as seen from here
# stdout: a line "NAME ok" or "NAME no WORDS" for each
disk=$1
cd /mnt || exit

# attempt NAME COMMAND...: in one line what COMMAND says when it fails.
attempt() {
	name=$1
	shift
	if words=$("$@" 2>&1); then
		echo "$name ok"
	else
		# shellcheck disable=SC2086
		set -- $words
		echo "$name no $*"
	fi
}

# A file written through an overlay with its upper layer below $1.
overlay() {
	mkdir -p "$1/upper" "$1/work" &&
		mount -n -t overlay -o "lowerdir=/mnt/scratch/lower,upperdir=$1/upper,workdir=$1/work,userxattr" overlay /mnt/root &&
		echo more >>/mnt/root/file && mkdir /mnt/root/made
	status=$?
	umount -n /mnt/root 2>/dev/null
	return $status
}

attempt tmpfs mount -n -t tmpfs -o mode=755 probe /mnt/scratch
mkdir /mnt/scratch/lower /mnt/scratch/memory && echo text >/mnt/scratch/lower/file
attempt overlay-memory overlay /mnt/scratch/memory
attempt overlay-disk overlay "$disk"
rm -rf "$disk/upper" "$disk/work"
attempt proc mount -n -t proc -o nosuid,nodev,noexec proc /mnt/root
attempt devpts mount -n -t devpts -o newinstance,ptmxmode=0666 devpts /mnt/root
attempt sys mount -n --rbind /sys /mnt/root
attempt hostname hostname probe
attempt network unshare --net ip link set lo up
