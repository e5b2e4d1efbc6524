/* The processes that hold the output of an ended command: what holders.c finds, and drain.c ends or waits for. */
#ifndef HOLDERS_H
#define HOLDERS_H

#include "helper.h"

#include <dirent.h>

struct process {
	pid_t pid, parent, group;
	char state;
	unsigned long long start;
	unsigned long ticks, work;
	struct file *files;
	size_t count;
	bool has_socket_input, is_member, reads, is_leak, is_idle;
	unsigned long long bytes;
};

struct look {
	struct process *list;
	size_t count;
	bool missed;
	size_t leaks, helpers;
};

bool begin_to_look(const struct drain *drain);
/* Examines processes with the command's timer slack, and those that have changed it. */
void look_around(struct look *look);
/* The same process in another search; with start 0 the one with this pid. */
struct process *find_process(const struct look *look, pid_t pid, unsigned long long start);
/* The process's directory in /proc, if it is inside; -1: it is not, or it has ended, which sets `missed`. */
int open_inside(const char *name, bool *missed);
int is_inside(int directory, const char *path);
bool read_stat(int directory, struct process *process);
/* Lists the numeric names of a directory; closed at its end, when it gives NULL. */
DIR *open_list(int directory, const char *name);
const char *next_number(DIR *list);
void *grown(void *list, size_t count, size_t size);

#endif
