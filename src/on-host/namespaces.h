/* What the programs share that enter namespaces, for good. */
#ifndef NAMESPACES_H
#define NAMESPACES_H

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/keyctl.h>

enum { CANNOT_ENTER = 255 };

static _Noreturn void cannot(const char *what) {
	dprintf(2, "virt-ts-unshare: cannot run a command in the testbed: %s: %s\n", what, strerror(errno));
	_exit(CANNOT_ENTER);
}

/* Enters the namespaces of the process whose folder in /proc is the working directory. A name that is NULL is none. */
static inline void enter_namespaces(const char *const *names, size_t count) {
	int descriptors[8];
	for (size_t i = 0; i < count; i++) {
		if (names[i] == NULL) continue;
		descriptors[i] = open(names[i], O_RDONLY | O_CLOEXEC);
		if (descriptors[i] < 0) cannot(names[i]);
	}
	for (size_t i = 0; i < count; i++) {
		if (names[i] == NULL) continue;
		if (setns(descriptors[i], 0) != 0) cannot(names[i]);
		close(descriptors[i]);
	}
}

/*
 * Who has the caller's session keyring may read the keys in it, whatever its user id. All who come this way share one keyring, by
 * its name: of keyrings with none, a user may only have some two hundred. Where keyctl(2) is refused to us it is refused inside too.
 */
static inline void leave_session_keyring(void) {
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "virt-ts-unshare") < 0 && errno != ENOSYS && errno != EPERM)
		cannot("a session keyring");
}

static inline void become_root(void) {
	if (setgroups(0, NULL) != 0 || setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0) cannot("its root's ids");
}

#endif
