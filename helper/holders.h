/* The processes that hold the output of an ended command: what holders.c finds, and drain.c ends or waits for. */
#ifndef HOLDERS_H
#define HOLDERS_H

#include "helper.h"

#include <dirent.h>

struct process {
	pid_t pid, parent, group;
	/* Of the first thread. */
	char state;
	int threads;
	/* The time of its start: with the pid, it identifies the process. */
	unsigned long long start;
	/* Of a processor; and its time in ns with page faults, a sign of work. */
	unsigned long ticks, work;
	/* Its pipes, and the command's output. */
	struct file *files;
	size_t count;
	/* is_member: it holds the output, or writes to a pipe that a member reads. reads: it reads a pipe or socket. */
	bool has_socket_input, is_member, reads, is_leak, is_idle;
	/* That a helper has read and written. */
	unsigned long long bytes;
};

/* One search. */
struct look {
	struct process *list;
	size_t count;
	/* A process ended while it was examined. */
	bool missed;
	size_t leaks, helpers;
};

/* False when the output cannot be held, as /dev/null, or the testbed has ended. */
bool begin_to_look(const struct drain *drain);
/* Examines processes with the command's timer slack, and those that have changed it. */
void look_around(struct look *look);
/* The same process in another search; with start 0 the one with this pid. */
struct process *find_process(const struct look *look, pid_t pid, unsigned long long start);
/* The process's directory in /proc, if it is inside; -1: it is not, or it has ended, which sets `missed`. */
int open_inside(const char *name, bool *missed);
/* Whether a link to a pid namespace is that of the testbed or one below: 1 or 0; -1: the process has ended. */
int is_inside(int directory, const char *path);
bool read_stat(int directory, struct process *process);
/* Lists the numeric names of a directory; closed at its end, when it gives NULL. */
DIR *open_list(int directory, const char *name);
const char *next_number(DIR *list);
/* The list, in which there is room for one element more than count. */
void *grown(void *list, size_t count, size_t size);

#endif
