/* What enter.c and move-file.c share: the way into a testbed's namespaces, for good. */
#ifndef NAMESPACES_H
#define NAMESPACES_H

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

static inline void become_root(void) {
	if (setgroups(0, NULL) != 0 || setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0) cannot("its root's ids");
}

#endif
