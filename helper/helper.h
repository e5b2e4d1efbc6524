/*
 * The one native program. TypeScript decides what is done; this does it: it makes and enters namespaces, mounts, runs commands,
 * and finds the processes that hold an ended command's output. It has no configuration and no state of its own.
 *
 * What it reports is a JSON object a line (report.c), which src/helper.ts reads. Its exit statuses and timer slacks are here,
 * since the sub-commands share them.
 */
#ifndef HELPER_H
#define HELPER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* Statuses as a shell gives them, and the one of a command that was not run. A command's own 254 and 255 become 253. */
enum { CANNOT_EXECUTE = 126, NO_PROGRAM = 127, HIGHEST_STATUS = 253, NOT_RUN = 255 };

/*
 * Timer slacks, in nanoseconds (PR_SET_TIMERSLACK): a process inherits its parent's, and few programs set it, so it tells what a
 * process belongs to. The kernel's default is DEFAULT_SLACK. A command has one of the TAGS from FIRST_TAG on; a testbed's
 * pid 1, and what reads its lifeline, one above the default, its mark.
 */
enum { FIRST_TAG = 10000, TAGS = 40000, DEFAULT_SLACK = 50000 };

static inline bool is_tag(long slack) {
	return slack >= FIRST_TAG && slack < FIRST_TAG + TAGS;
}

/* main.c: the sub-commands. Each gets its own argv (argv[0] is its name) and gives the exit status. */
int abort_fuse_main(int argc, char **argv);
int copy_main(int argc, char **argv);
int enter_main(int argc, char **argv);
int exec_main(int argc, char **argv);
int hold_main(int argc, char **argv);
int isolate_main(int argc, char **argv);
int look_main(int argc, char **argv);
int unstage_main(int argc, char **argv);

/* What ps(1) shows in place of paths and maps; the texts of argv are gone then. */
void set_title(const char *title);

/*
 * Goes on in a sealed copy of this program in memory where a process could open the file of the program for writing, by
 * /proc/PID/exe: one that has an id of the file's owner in the user namespace of the process whose directory in /proc is open as
 * `process`, and that executes this program again (CVE-2019-5736). False and errno when there is no copy where one is needed.
 */
bool protect_program(int process);

/* report.c */
struct event {
	char text[16384];
	size_t length;
};
/* Starts an event; adds a member to it; writes it to a descriptor as one line, by one write(2) where that is possible. */
void event_begin(struct event *event, const char *name);
/* Bytes that are not printable ASCII are written as \u00XX: JSON has no bytes, so TypeScript reads them as Latin-1. */
void event_text(struct event *event, const char *key, const char *text);
void event_bytes(struct event *event, const char *key, const char *bytes, size_t length);
void event_number(struct event *event, const char *key, long long number);
void event_send(struct event *event, int descriptor);
/*
 * The event "failed". code: a word for programs, such as NO_USER. what: what failed, as "mounting an overlay". on: a path, name or
 * NULL. error: errno, or 0. words: of a tool or the kernel, or empty.
 */
void event_failure(struct event *event, const char *code, const char *what, const char *on, int error, const char *words);
void report_failure(int descriptor, const char *code, const char *what, const char *on, int error);

/* namespaces.c */
enum namespace { USER_NS = 1, CGROUP_NS = 2, IPC_NS = 4, UTS_NS = 8, PID_NS = 16, MNT_NS = 32, NET_NS = 64 };
/*
 * Enters namespaces of the process whose directory in /proc is open as `process`; the user namespace first, since it gives the
 * right to enter the others, and only if this process is not in it. All are opened before the first is entered. NULL, or the name of
 * the one that failed, with errno.
 */
const char *enter_namespaces(int process, unsigned namespaces);
/* The namespaces with these letters, for enter_namespaces() and clone(2): u user, m mount, i ipc, n network, p pid, t uts, c cgroup. */
unsigned namespaces_of(const char *letters);
unsigned long namespace_flags(const char *letters);
/* Gives up the supplementary groups and becomes user and group 0. False and errno when that fails. */
bool become_root(void);
/*
 * Joins the session keyring of that name, or makes it: who has the caller's may read the keys in it, whatever its user id. False
 * and errno when there is no room for one. Where keyctl(2) is refused, it is refused inside too, and this succeeds.
 */
bool join_session_keyring(const char *name);
/* The directory of a process in /proc, or -1. Names below it never are those of a later process with the same pid. */
int open_process(int proc, pid_t pid);
/* The text of a small file below a directory, with a zero byte behind it; its length, or -1 and errno. */
ssize_t read_at(int directory, const char *path, char *buffer, size_t size);
/* The number in a file below a directory, or -1. */
long read_number_at(int directory, const char *path);

/*
 * users.c: makes this process root of a user namespace; exits with an event "failed" on `report` when it cannot.
 * how: "none" (that of the caller, which is root), "ranges" (new, its maps written by newuidmap and newgidmap), "self" (new, with a
 * map of one id, whose user may also be another than root), or the pid of a process whose user namespace it is to share. Maps are as
 * in /proc/PID/uid_map: a line for each extent.
 */
void make_user_namespace(const char *how, char *uids, char *gids, int report);
/* Writes a map of the process PID or "self". */
bool write_map(const char *process, const char *file, const char *text);

/* fuse.c: aborts the FUSE connections that a process which SIGKILL does not end may wait for. */
void abort_fuse(int process);

/* account.c */
struct account {
	uid_t uid;
	gid_t gid;
	/* Empty for a number without an account. */
	char name[256], home[4096], shell[4096];
};
/* Looks up a user of the testbed by name or number, which need not have an account. False when there is none. */
bool look_up_account(const char *user, struct account *account);
/* The groups of an account; gives how many. */
size_t read_groups(const struct account *account, gid_t *groups, size_t most);
/* Sets the variables of /etc/environment, as of pam_env(8): NAME=VALUE, perhaps quoted, perhaps after "export". */
void read_environment(void);

/* drain.c */
struct drain {
	/* A /proc of this process's own pid namespace, and the directory in it of the testbed's pid 1. */
	int proc, init;
	/* The command's timer slack. */
	long tag;
	/* Seconds that a helper without progress is waited for. */
	double seconds;
	/* The command's stdin, stdout and stderr. */
	int in, out, err;
	/* The command's process group, whose leader is not reaped yet; 0: none that may be stopped as a whole. */
	pid_t group;
	/* Gets an event "ended" for each process that is ended; -1: nobody reads them. */
	int report;
};
/* Waits until no process of the testbed holds the output of a command that has ended; ends those that only hold it. */
void drain(const struct drain *drain);

#endif
