/*
 * Stops the processes of a testbed while its files are read, and continues them, also when the program that called it is killed.
 *
 * argv: freeze [-a] PID
 *   -a   pid 1 too, and all that have its mark: it is an init of the root filesystem
 *   PID  pid 1 of the testbed
 * stdin: its end continues the processes
 * stdout: the event "frozen" with the number of processes, or "failed"
 * status: 0, or 1 after "failed"
 */
#include "helper.h"

#include <dirent.h>
#include <linux/nsfs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

/* Looks, and nanoseconds between them: a process that waits for a FUSE file system does not stop. */
enum { LOOKS = 2000, PAUSE = 2500000 };

static struct stopped {
	pid_t pid;
	/* Its directory in /proc, which refers to it as a pidfd does. */
	int process;
} *all;
static size_t count;

static bool is_below(int process, const struct stat *testbed) {
	struct stat status;
	int namespace = openat(process, "ns/pid", O_RDONLY | O_CLOEXEC);
	bool below = false;
	while (namespace >= 0 && !below && fstat(namespace, &status) == 0) {
		below = status.st_ino == testbed->st_ino && status.st_dev == testbed->st_dev;
		int parent = below ? -1 : ioctl(namespace, NS_GET_PARENT);
		close(namespace);
		namespace = parent;
	}
	if (namespace >= 0) close(namespace);
	return below;
}

static char state_of(int directory, const char *path) {
	char text[512];
	if (read_at(directory, path, text, sizeof text) < 0) return 'X';
	const char *end = strrchr(text, ')');
	return end == NULL || end[1] == '\0' ? 'X' : end[2];
}

static bool rests(char state) {
	return strchr("TtZX", state) != NULL;
}

/* A stopped process may have threads that are still on their way to the stop. */
static bool all_threads_rest(int process) {
	DIR *tasks = fdopendir(openat(process, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	bool rest = true;
	for (struct dirent *task; rest && tasks != NULL && (task = readdir(tasks)) != NULL;) {
		char path[300];
		snprintf(path, sizeof path, "%s/stat", task->d_name);
		if (*task->d_name != '.') rest = rests(state_of(dirfd(tasks), path));
	}
	if (tasks != NULL) closedir(tasks);
	return rest;
}

/* True when it keeps `process`, to continue it. */
static bool stop(pid_t pid, int process) {
	for (size_t i = 0; i < count; i++)
		if (all[i].pid == pid && syscall(SYS_pidfd_send_signal, all[i].process, SIGSTOP, NULL, 0) == 0) return false;
	struct stopped *more = realloc(all, (count + 1) * sizeof *all);
	if (more == NULL) return false;
	all = more;
	if (syscall(SYS_pidfd_send_signal, process, SIGSTOP, NULL, 0) != 0) return false;
	all[count++] = (struct stopped){pid, process};
	return true;
}

/* Whether nothing of the testbed ran. Pid 1 and the reader of its lifeline go on: they write no file. */
static bool look(int proc, pid_t init, const struct stat *testbed, long mark, bool whole) {
	bool quiet = true;
	DIR *list = fdopendir(openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	for (struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (pid <= 0 || (pid == init && !whole)) continue;
		int process = open_process(proc, pid);
		if (process < 0) continue;
		if (is_below(process, testbed) && (whole || read_number_at(process, "timerslack_ns") != mark) && !(rests(state_of(process, "stat")) && all_threads_rest(process))) {
			quiet = false;
			if (stop(pid, process)) continue;
		}
		close(process);
	}
	if (list != NULL) closedir(list);
	return quiet && list != NULL;
}

/* Whether a look could lack descriptors: a process that cannot be looked at would count as one that does not run. */
static bool lacks_descriptors(int proc) {
	int spare[6];
	size_t opened = 0;
	while (opened < 6 && (spare[opened] = dup(proc)) >= 0) opened++;
	for (size_t i = 0; i < opened; i++) close(spare[i]);
	return opened < 6;
}

int freeze_main(int argc, char **argv) {
	bool whole = argc > 1 && strcmp(argv[1], "-a") == 0;
	argv += whole, argc -= whole;
	if (argc != 2) return NOT_RUN;
	pid_t init = (pid_t)strtol(argv[1], NULL, 10);
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), process = open_process(proc, init);
	struct stat testbed;
	if (process < 0 || fstatat(process, "ns/pid", &testbed, 0) != 0) {
		report_failure(1, "TESTBED_ENDED", "looking for the testbed's pid 1", argv[1], errno);
		return 1;
	}
	long mark = read_number_at(process, "timerslack_ns");
	if (mark <= 0) {
		report_failure(1, "TESTBED_ENDED", "reading the mark of the testbed's pid 1", argv[1], errno);
		return 1;
	}
	/* A signal of a terminal, or a caller that does not read any more, would leave the processes stopped for ever. */
	for (const int *ignored = (const int[]){SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGPIPE, 0}; *ignored != 0; ignored++) signal(*ignored, SIG_IGN);
	int looks = 0, quiet = 0;
	bool lacks = false;
	/* A process that was forked during a look may have been missed. */
	while (quiet < 2 && looks++ < LOOKS && !(lacks = lacks_descriptors(proc))) {
		quiet = look(proc, init, &testbed, mark, whole) ? quiet + 1 : 0;
		if (quiet == 0) nanosleep(&(struct timespec){0, PAUSE}, NULL);
	}
	if (quiet == 2) {
		struct event event;
		event_begin(&event, "frozen");
		event_number(&event, "processes", (long long)count);
		event_send(&event, 1);
		char byte;
		while (read(0, &byte, 1) > 0 || errno == EINTR) errno = 0;
	} else {
		report_failure(1, "DOES_NOT_STOP", "stopping the processes of the testbed", argv[1], lacks ? EMFILE : 0);
	}
	for (size_t i = 0; i < count; i++) syscall(SYS_pidfd_send_signal, all[i].process, SIGCONT, NULL, 0);
	return quiet == 2 ? 0 : 1;
}
