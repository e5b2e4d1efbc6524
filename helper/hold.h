/* Stage and holder: what hold.c, stage.c and runs.c share. */
#ifndef HOLD_H
#define HOLD_H

#include "steps.h"

#include <poll.h>
#include <sys/stat.h>

/* stdin and stdout of stage and holder: see hold.c. */
enum { REQUESTS = 0, EVENTS = 1 };

/* hold.c */
/* Reports errno and exits. on: a path, name or NULL. */
_Noreturn void fail_to_hold(const char *what, const char *on);
/* Reads one byte. Exits at the end of file: then the process at the other end has failed. */
void wait_for_byte(int pipe_end);

/* stage.c */
void own_mounts(void);
void bind_sources(char **sources, size_t count);
/*
 * Waits for the end of the holder or of the requests; then ends the holder and all processes of its user namespace. False when some survive
 * SIGKILL, which are reported.
 */
bool wait_for_end(pid_t holder, const struct stat *users, int proc);

/* runs.c: the processes of requests. Each function reports by events. */
/* More than the limits of open files and mounts admit. */
enum { MAX_RUNS = 4096, ENDS_OF_RUNS = 2 * MAX_RUNS };
/* The directory of the server's cgroups, or -1. */
extern int groups;
void report_run(const char *event, long id, const char *key, long long number);
/* `fields` are all of a request "run". */
void start_run(char **fields, size_t count);
void continue_run(long id);
void kill_run(long id);
void kill_runs(void);
/* What poll(2) has to wait for; gives the number. */
size_t watch_runs(struct pollfd ends[ENDS_OF_RUNS]);
/* After poll(2): reports the runs that are ready or have ended, and reaps the latter. */
void follow_runs(const struct pollfd *ends, size_t count);

#endif
