#!/bin/sh
# Aborts the FUSE connections that were made in namespaces whose processes SIGKILL does not end. Who waits for an answer to a
# question that the daemon has read cannot be killed; when it has the daemon's descriptor too (a thread, a child), the end of
# the daemon does not close the connection, and it waits for ever.
#
# argv: PID...   what did not end, as we see it
ours=' '
while read -r _ _ device _; do
	ours="$ours$device "
done <"/proc/self/mountinfo"

for pid; do
	user=-U
	[ ! "/proc/$pid/ns/user" -ef /proc/self/ns/user ] || user=''
	# A user namespace of one id, written without help, forbids what nsenter does to the supplementary groups.
	read -r groups <"/proc/$pid/setgroups"
	[ "$groups" = deny ] || groups=''
	enter() {
		nsenter -t "$pid" ${user:+"$user"} ${groups:+--preserve-credentials} "$@"
	}
	while read -r _ _ device _ point rest; do
		case $rest in *' - fuse '* | *' - fuse.'* | *' - fuseblk '*) ;; *) continue ;; esac
		# What is mounted out here as well serves others.
		case $ours in *" $device "*) continue ;; esac
		# The file is the mounter's own, but not every machine has it. An umount by force aborts too, busy or not; the tool is
		# the host's, the mount reached by the process; but older kernels want the host's root for it.
		abort=/sys/fs/fuse/connections/${device#*:}/abort
		echo 1 >"$abort" || enter -- sh -c "echo 1 >$abort" ||
			enter -m --root=/ -- umount -c -i -n -f "/proc/$pid/root$(printf %b "$point")"
	done <"/proc/$pid/mountinfo"
done 2>/dev/null
