/* Steps of a request: see steps.c. */
#ifndef STEPS_H
#define STEPS_H

#include "helper.h"

/* The descriptor that pid 1 of a testbed has its lifeline as. */
enum { LIFELINE = 3 };

/* Where the steps of one request are. */
struct place {
	/* Number of the request, in every event about it. */
	long id;
	/* The directory below which paths are looked up. */
	int root;
	/* Gets events; gets the end of file at execve(2); what pid 1 has as descriptor 3. -1: none. */
	int report, started, lifeline;
	/* Of the step that fails: its code, the path it is about, words of a tool's or the kernel's. */
	const char *code;
	char on[4096], words[1024];
};

/* Runs them in their order: each is a name, a description and its arguments. False when one has failed, and that is reported. */
bool run_steps(struct place *place, char **fields, size_t count);
/* Reports the event "failed" for a step. */
void report_step(const struct place *place, const char *what, int error);
/* Runs a program to its end; false when it fails, with the beginning of what it wrote on stderr. */
bool run_program(char *const *argv, char *words, size_t size);

/* mounts.c: all give -1 or false and errno. */
/* Opens a path whose links are looked up below `root` too. */
int open_below(int root, const char *path, int flags);
/* A new file system that is mounted nowhere yet; options separated by commas. On failure, what the kernel says of it. */
int make_mount(const char *type, const char *options, char *words, size_t size);
/* A copy of a mount, with all that is mounted below it. */
int clone_mount(int directory, const char *path, bool read_only);
bool put_mount(int mount, int root, const char *path);

/* skeleton.c */
bool step_accounts(struct place *place, char **arguments);
bool step_home(struct place *place, char **arguments);

#endif
