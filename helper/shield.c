/*
 * A user namespace below that of the holder or a testbed, with the same ids, for programs of the host. Since Linux 6.7 root of a user
 * namespace may mount its binfmt_misc and register an interpreter there. The kernel looks for interpreters in the nearest user namespace
 * with a binfmt_misc of its own: here, where none is registered.
 */
#include "helper.h"

#include <linux/mount.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Makes a binfmt_misc without entries, which stays as long as the user namespace. Where that fails, root of a testbed cannot make one either. */
static bool own_interpreters(void) {
	int made = (int)syscall(SYS_fsopen, "binfmt_misc", FSOPEN_CLOEXEC);
	if (made < 0) return errno == ENODEV || errno == EPERM;
	bool good = syscall(SYS_fsconfig, made, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0 || errno == EPERM;
	close(made);
	return good;
}

bool shield(void) {
	char uids[4096], gids[4096], self[32], word;
	int go[2], status;
	ssize_t length = readlink("/proc/self", self, sizeof self - 1);
	if (length <= 0 || !same_map("/proc/self/uid_map", uids, sizeof uids) || !same_map("/proc/self/gid_map", gids, sizeof gids)) return false;
	self[length] = '\0';
	if (pipe2(go, O_CLOEXEC) != 0) return false;
	pid_t mapper = fork();
	if (mapper < 0) return false;
	if (mapper == 0) {
		close(go[1]);
		_exit(read(go[0], &word, 1) == 1 && write_map(self, "uid_map", uids) && write_map(self, "gid_map", gids) ? 0 : 1);
	}
	close(go[0]);
	bool good = unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
	/* A change of user namespace has closed /proc/PID to the process that writes the maps. */
	good = good && prctl(PR_SET_DUMPABLE, 1) == 0 && write(go[1], "", 1) == 1;
	int error = errno;
	close(go[1]);
	bool mapped = waitpid(mapper, &status, 0) == mapper && status == 0;
	errno = good ? EPERM : error;
	return good && mapped && own_interpreters();
}
