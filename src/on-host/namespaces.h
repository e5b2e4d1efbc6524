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
 * Who has the caller's session keyring may read the keys in it, whatever its user id. A testbed has one of its own, found by its
 * name: of keyrings, all who are root of a user's testbeds may only have some two hundred together. Where keyctl(2) is refused to
 * us, it is refused inside too.
 */
static inline void join_session_keyring(const char *name) {
	/* All for who has it. Of the others, those with the same user id may search for its name, which is not so by default, but not
	   link it: they are root of the user's other testbeds. */
	const unsigned long permissions = 0x3f080000;
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name) < 0) {
		if (errno != ENOSYS && errno != EPERM) cannot("a session keyring, of which sysctl kernel.keys allows a user so many");
		return;
	}
	/* Fails when root of the testbed does not want to share it any more, which hurts nobody else. */
	syscall(SYS_keyctl, KEYCTL_SETPERM, KEY_SPEC_SESSION_KEYRING, permissions);
}

static inline void become_root(void) {
	if (setgroups(0, NULL) != 0 || setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0) cannot("its root's ids");
}

#endif
