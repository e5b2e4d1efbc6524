/* The execute program: what exec.c, command.c and await.c share. */
#ifndef EXEC_H
#define EXEC_H

#include "helper.h"

#include <signal.h>
#include <sys/resource.h>

struct job {
	/* Options: see exec.c. */
	pid_t pid1, holder;
	long mark;
	bool has_init, network, third, foreground;
	const char *directory, *user, *group, *term;
	char **variables, **command;
	size_t variable_count;
	double seconds;
	rlim_t files;
	/* This process, and the tag of its command. */
	pid_t self;
	long tag;
	/* Whether the command has a terminal of its own. */
	bool terminal;
	/* The host's /proc, pid 1 in it, the file for events, and the directory of the command's cgroup; -1: none. */
	int proc, init, report, cgroup;
	/* In the child: it reads one byte before it runs, and writes one when it cannot execute the command. */
	int channel;
};

/* exec.c: these report that the command cannot be run, and exit. */
_Noreturn __attribute__((format(printf, 3, 4))) void fail(const struct job *job, const char *code, const char *format, ...);
_Noreturn void fail_to_enter(const struct job *job, const char *what);

/* command.c: in the child. mask: the command's blocked signals. */
_Noreturn void become_command(struct job *job, const sigset_t *mask);

/* await.c: in the parent, with all signals blocked. */
/* Waits for the end of the child, and passes signals on to it. The child stays a zombie, so that its pid and process group are not reused. */
int status_of(const struct job *job, pid_t child);
/* A quick check, before drain(): may any process of the command be left? */
bool is_anything_left(const struct job *job, pid_t child);
/* Whether autopkgtest-reboot-prepare has killed the driver's wrapper: the test goes on, and reboots. */
bool waits_for_reboot(const struct job *job);

#endif
