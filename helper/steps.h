/* Steps of a request: see steps.c. */
#ifndef STEPS_H
#define STEPS_H

#include "helper.h"

/* The descriptor that pid 1 of a testbed has its lifeline as. */
enum { LIFELINE = 3 };

struct place {
	long id;
	int root;
	/*
	 * report gets events. started is the writing end of a pipe: execve(2) of pid 1 closes it, and a byte shows that there was none.
	 * lifeline becomes descriptor 3 of pid 1. -1: none.
	 */
	int report, started, lifeline;
	/* Of the failed step: its code, path, and message of a tool or the kernel. */
	const char *code;
	char on[4096], words[1024];
};

/* Runs the steps in order: each is a name, a description and its arguments. False when one failed, which is reported. */
bool run_steps(struct place *place, char **fields, size_t count);
void report_step(const struct place *place, const char *what, int error);
/* False when the program fails, with the start of its stderr. `shielded`: as of shield.c. */
bool run_program(char *const *argv, bool shielded, char *words, size_t size);

bool make_link(int root, char *path, const char *target);

/* mounts.c: all give -1 or false and errno. */
int open_below(int root, const char *path, int flags);
/* Follows no link, and enters no other mount: its file system may be one of FUSE, whose daemon need not answer. */
int open_on_root(int root, const char *path, int flags);
/* A new unattached file system; options separated by commas. On failure, the kernel's message. */
int make_mount(const char *type, const char *options, char *words, size_t size);
int clone_mount(int directory, const char *path, bool read_only);
bool put_mount(int mount, int root, const char *path);

/* pid1.c */
bool step_init(struct place *place, char **arguments);

/* skeleton.c */
bool step_accounts(struct place *place, char **arguments);
bool step_home(struct place *place, char **arguments);
bool step_services(struct place *place, char **arguments);
bool step_inits(struct place *place, char **arguments);

/* utmp.c */
bool step_utmp(struct place *place, char **arguments);

/* generators.c */
bool step_mask_idle(struct place *place, char **arguments);

/* limits.c */
bool step_processes(struct place *place, char **arguments);
/* Reads the limits of this user namespace, before it is left. */
void read_limits(void);
/* Gives this user namespace so many quarters of them. Root of a testbed, in a user namespace below, cannot change these. */
void share_limits(int quarters);

#endif
