/*
 * Makes the working directory, a mount point, the root of the mount namespace, detaches the old root, and gives the testbed its
 * name: what setup.sh does with five programs, in one. It ends before anything of the testbed runs.
 *
 * argv: HOSTNAME
 * status: 0; 1 and what failed
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

static int failed(const char *what) {
	dprintf(2, "%s failed: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv) {
	if (argc != 2) return 1;
	if (sethostname(argv[1], strlen(argv[1])) != 0) return failed("setting the hostname");
	/* One on top of the other, as pivot_root(2) tells, so that the old root needs no place in the new one. */
	if (syscall(SYS_pivot_root, ".", ".") != 0) return failed("pivot_root");
	if (umount2(".", MNT_DETACH) != 0) return failed("detaching the host's root");
	return 0;
}
