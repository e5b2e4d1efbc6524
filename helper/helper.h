/*
 * The native program. TypeScript decides; this program makes and enters namespaces, mounts, runs commands, and finds the
 * processes that hold an ended command's output. It has no configuration and no state. It reports JSON objects, one a line
 * (report.c), to src/helper.ts.
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

/* Exit statuses as of a shell, and NOT_RUN for a command that was not run. A command's own 254 and 255 become 253. */
enum { CANNOT_EXECUTE = 126, NO_PROGRAM = 127, HIGHEST_STATUS = 253, NOT_RUN = 255 };

/*
 * Timer slacks in nanoseconds (PR_SET_TIMERSLACK). A process inherits its parent's, and few programs set it, so it shows what a
 * process belongs to. A command has one of the TAGS from FIRST_TAG on (its tag). Pid 1 of a testbed and the reader of its
 * lifeline have one above the kernel's default (the mark).
 */
enum { FIRST_TAG = 10000, TAGS = 40000, DEFAULT_SLACK = 50000 };

static inline bool is_tag(long slack) {
	return slack >= FIRST_TAG && slack < FIRST_TAG + TAGS;
}

/* main.c: the sub-commands. Each gets its own argv (argv[0] is its name) and gives the exit status. */
int abort_fuse_main(int argc, char **argv);
int connect_main(int argc, char **argv);
int copy_main(int argc, char **argv);
int enter_main(int argc, char **argv);
int exec_main(int argc, char **argv);
int freeze_main(int argc, char **argv);
int hold_main(int argc, char **argv);
int isolate_main(int argc, char **argv);
int look_main(int argc, char **argv);
int read_main(int argc, char **argv);
int unstage_main(int argc, char **argv);

/* Replaces the command line that ps(1) shows; the texts of argv are gone then. */
void set_title(const char *title);

/*
 * Executes a sealed copy of this program in memory where a process could open the program's file for writing by /proc/PID/exe
 * (CVE-2019-5736): where the user namespace of `process` (an open directory of /proc) has the id of the file's owner. False
 * and errno when a needed copy cannot be made.
 */
bool protect_program(int process);

/* report.c */
struct event {
	char text[16384];
	size_t length;
};
void event_begin(struct event *event, const char *name);
/* Writes bytes that are not printable ASCII as \u00XX; TypeScript reads them as Latin-1. */
void event_text(struct event *event, const char *key, const char *text);
void event_bytes(struct event *event, const char *key, const char *bytes, size_t length);
void event_number(struct event *event, const char *key, long long number);
/* Writes one line, by one write(2) where possible. */
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
 * Enters namespaces of `process`, an open directory of /proc: the user namespace first, because it gives the right to enter the
 * others. All are opened before the first is entered. NULL, or the name of the one that failed, with errno.
 */
const char *enter_namespaces(int process, unsigned namespaces);
/*
 * Closes all descriptors from `from` on but these, which get close-on-exec. Call it before a path of a testbed is opened or executed: a
 * link there to /proc/self/fd/N/.. leads out of the testbed when descriptor N is a directory of the host.
 */
bool close_all_but(unsigned from, const int *kept, size_t count);
/* The namespaces with these letters, for enter_namespaces() and clone(2): u user, m mount, i ipc, n network, p pid, t uts, c cgroup. */
unsigned namespaces_of(const char *letters);
unsigned long namespace_flags(const char *letters);
/* Drops the supplementary groups too. False and errno when that fails. */
bool become_root(void);
/*
 * Joins or makes the session keyring of that name, because a possessor of the caller's keyring may read its keys, whatever its
 * user id. False and errno when there is no room for one. Where keyctl(2) is refused, it is refused inside too: true.
 */
bool join_session_keyring(const char *name);
/* Sets the timer slack. Leaves real-time scheduling, under which it is always 0. */
void set_slack(unsigned long slack);
/* Opens the directory of a process in /proc; -1: failed. It never becomes that of a later process with the same pid. */
int open_process(int proc, pid_t pid);
/* Reads a small file, with a zero byte at its end. Gives its length, or -1 and errno. */
ssize_t read_at(int directory, const char *path, char *buffer, size_t size);
long read_number_at(int directory, const char *path);

/*
 * users.c: makes this process root of a user namespace; exits with an event "failed" on `report` when it fails.
 * how: "none" (that of the caller, which is root), "ranges" (new, with maps by newuidmap and newgidmap), "self" (new, with a map
 * of one id), or the pid of a process whose user namespace is entered. Maps are as in /proc/PID/uid_map.
 */
void make_user_namespace(const char *how, char *uids, char *gids, int report);
/* Writes a map of the process PID or "self". */
bool write_map(const char *process, const char *file, const char *text);
/* The map of this user namespace onto itself, for one below. `file` is its own, as /proc/self/uid_map. */
bool same_map(const char *file, char *text, size_t size);

/* groups.c: cgroups. All give -1 or false and errno. */
/* Makes the directory of a server, and "holder" in it. The caller may be an ordinary user; the directory belongs to these ids. */
int make_groups(const char *path, uid_t uid, gid_t gid);
int open_group(int groups, const char *name);
/* As root of the testbeds: makes one for a testbed, and opens it. */
int make_group(int groups, const char *name);
/*
 * As fork(2), with the child in that cgroup; -1: in that of this process. A write to cgroup.procs would wait until no process of the
 * machine is in a fork, which takes some 10 ms.
 */
pid_t fork_into(int group);
/* Removes it with all below it. `kill`: with their processes. True when it no longer exists. */
bool remove_group(int parent, const char *name, bool kill);

/* shield.c: enters a new user namespace below, for a program of the host. False and errno when it cannot be made. */
bool shield(void);

/* fuse.c: aborts the FUSE connections that a process which SIGKILL does not end may wait for. */
void abort_fuse(int process);

/* account.c */
struct account {
	uid_t uid;
	gid_t gid;
	/* Empty for a number without an account. */
	char name[256], home[4096], shell[4096];
};
/* By name or number; a number need not have an account. False when there is none. */
bool look_up_account(const char *user, struct account *account);
/* By name or number, in place of all groups of the account. False when there is none. */
bool choose_group(const char *group, struct account *account);
size_t read_groups(const struct account *account, gid_t *groups, size_t most);
/* Sets the variables of /etc/environment, as of pam_env(8): NAME=VALUE, perhaps quoted, perhaps after "export". */
void read_environment(void);

/* terminal.c */
/*
 * Forks: this process stays outside as the relay of the terminal on stdin and stdout, and ends with the status of its child. Returns
 * in the child, with a socket to it; -1: failed.
 */
int split_for_terminal(void);
/*
 * In the child, as root of the testbed: makes a terminal by the devpts of `init`, which becomes the controlling terminal, stdin,
 * stdout, and where that was a terminal stderr. False and errno when that fails.
 */
bool take_terminal(int init, int link);

/* journal.c: what ran, when and at which cost. Does nothing without a descriptor. */
struct finished {
	/* The directory of the testbed's pid 1 in /proc. */
	int init;
	/* That of the execute program; the command, which has ended and is not reaped. */
	pid_t self, child;
	/* -1: the command was not executed. */
	int status;
};
void journal_open(int descriptor, long testbed);
void journal_start(int init, pid_t self, char **command);
/* The channel is readable, or closed, when the child has executed the command or has failed to. */
void journal_watch(int proc, pid_t child, int channel);
void journal_finish(const struct finished *finished);
/* What changes with a regular file: its inode, its time of change, which no process can set, and its size. False: no such file. */
bool file_state(int file, char *text, size_t size);

/* drain.c */
struct drain {
	/* A /proc of this process's pid namespace, and the directory of the testbed's pid 1 in it. */
	int proc, init;
	long tag;
	/* Seconds that a helper without progress is waited for. */
	double seconds;
	int in, out, err;
	/* The command's process group, whose leader is not reaped yet; 0: none. */
	pid_t group;
	/* Gets an event "ended" for each process that is ended; -1: none. */
	int report;
};
void drain(const struct drain *drain);

#endif
