/* The processes that hold the output of an ended command: what holders.c finds, and drain.c ends or waits for. */
#ifndef HOLDERS_H
#define HOLDERS_H

#include "helper.h"

#include <dirent.h>

struct process {
	pid_t pid, parent, group;
	char state;
	/* With the pid it names one process. */
	unsigned long long start;
	/* Clock ticks on a processor; the same and page faults. */
	unsigned long ticks, work;
	/* Its pipes and the outputs of the command, each once, sorted. */
	struct file *files;
	size_t count;
	bool has_socket_input, is_member, reads, is_leak, is_idle;
	/* What a helper has read and written so far. */
	unsigned long long bytes;
};

/* The processes that may be of the command, by pid. */
struct look {
	struct process *list;
	size_t count;
	/* A process was gone before it was looked at: it may have left another. */
	bool missed;
	size_t leaks, helpers;
};

/* Remembers what is looked for. False when the outputs say nothing, or the testbed is gone. */
bool begin_to_look(const struct drain *drain);
/* Looks at all processes that may be of the command: those with its timer slack, and those that have set another one. */
void look_around(struct look *look);
/* The same process in another look; with a start of 0 the one with this pid. */
struct process *find_process(const struct look *look, pid_t pid, unsigned long long start);
/* The directory in /proc of the process with that name, if it is inside; -1: it is not, or it is gone, which sets `missed`. */
int open_inside(const char *name, bool *missed);
/* Whether a process is in the testbed's pid namespace or in one below it; -1: it is gone. */
int is_inside(int directory, const char *path);
/* Reads the file "stat" of a process's directory in /proc. */
bool read_stat(int directory, struct process *process);
/* Lists what has a number for its name; the list is closed at its end, when NULL is given. */
DIR *open_list(int directory, const char *name);
const char *next_number(DIR *list);
/* A list with room for one more member; it has `count` of this size. */
void *grown(void *list, size_t count, size_t size);

#endif
