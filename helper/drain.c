/*
 * Waits until no process holds the output of a command that has ended. A holder that reads from a pipe is a helper (tee, cat, ts),
 * and so is what it has started: it still carries output, and is waited for as long as it makes progress. A process that writes to
 * the pipe of a helper is asked in turn: one that reads from no pipe keeps all helpers behind it from their end of file, and is a
 * leak, as is a holder that reads nothing. Leaks are ended, each only after it was seen twice: a daemon needs time to redirect its
 * output. All is read in the host's /proc, where nothing of the testbed can see, hit or deceive this process.
 */
#include "helper.h"

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include <linux/nsfs.h>

/* Seconds. */
#define LOOK_AGAIN 0.01
/* For leaks that run, and for those of them that got little of the processor. */
#define PATIENCE 0.3
#define LONGEST_PATIENCE 3.0
/* So long the end of a leak counts as progress: there may be one after the other for ever. */
#define LONGEST_HUNT 60.0
enum { LITTLE_TICKS = 10, MOST_REPORTED = 1000, LONGEST_REPORT = 1 << 20, HIGHEST_PID = 1 << 22 };

struct file {
	uint64_t device, inode;
	bool reads, writes;
};

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

static const struct drain *job;
static struct file input, outputs[2];
static char own_namespace[64], namespace[64];
static struct stat namespace_file;
static pid_t pid1;
static double quiet_since, hunt_limit;

static double now(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void pause_for(double seconds) {
	nanosleep(&(struct timespec){.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)}, NULL);
}

static void *grown(void *list, size_t count, size_t size) {
	if ((count & (count - 1)) != 0) return list;
	void *larger = realloc(list, (count == 0 ? 1 : 2 * count) * size);
	if (larger == NULL) abort();
	return larger;
}

static DIR *open_list(int directory, const char *name) {
	int file = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return file < 0 ? NULL : fdopendir(file);
}

/* The next entry that is a number, in `list`, which is closed at its end. */
static const char *next_number(DIR *list) {
	for (struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;)
		if (isdigit((unsigned char)entry->d_name[0])) return entry->d_name;
	if (list != NULL) closedir(list);
	return NULL;
}

/* What an open file is, asked of the kernel alone: its file system may never answer. What every process has says nothing. */
static mode_t identify(int directory, const char *name, int flags, struct file *file) {
	struct statx status;
	if (statx(directory, name, flags | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &status) != 0) return 0;
	/* /dev/null, /dev/zero and /dev/full. */
	if (S_ISCHR(status.stx_mode) && status.stx_rdev_major == 1) return 0;
	file->device = (uint64_t)status.stx_dev_major << 32 | status.stx_dev_minor;
	file->inode = status.stx_ino;
	return status.stx_mode;
}

static int compare(const void *a, const void *b) {
	const struct file *first = a, *second = b;
	if (first->device != second->device) return first->device < second->device ? -1 : 1;
	return first->inode == second->inode ? 0 : first->inode < second->inode ? -1 : 1;
}

static bool is_output(const struct file *file) {
	return file->inode != 0 && (compare(file, &outputs[0]) == 0 || compare(file, &outputs[1]) == 0);
}

/* Whether a process is in the testbed's pid namespace or in one below it; -1: it is gone. */
static int is_inside(int directory, const char *path) {
	char link[64];
	ssize_t length = readlinkat(directory, path, link, sizeof link - 1);
	if (length < 0) return errno == EACCES || errno == EPERM ? 0 : -1;
	link[length] = '\0';
	if (strcmp(link, namespace) == 0) return 1;
	if (strcmp(link, own_namespace) == 0) return 0;
	int found = 0;
	for (int file = openat(directory, path, O_RDONLY | O_CLOEXEC), parent; file >= 0; file = parent) {
		struct stat status;
		if (fstat(file, &status) == 0 && status.st_ino == namespace_file.st_ino) found = 1;
		parent = found ? -1 : ioctl(file, NS_GET_PARENT);
		close(file);
	}
	return found;
}

/* The directory in /proc of the process with that name, if it is inside; -1: it is not, or it is gone, which `missed` says then. */
static int open_inside(const char *name, bool *missed) {
	char path[300];
	snprintf(path, sizeof path, "%s/ns/pid", name);
	int inside = is_inside(job->proc, path);
	int directory = inside <= 0 ? -1 : openat(job->proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (inside < 0 || (inside > 0 && directory < 0)) *missed = true;
	return directory;
}

static bool read_stat(int directory, struct process *process) {
	char text[1024];
	if (read_at(directory, "stat", text, sizeof text) < 0) return false;
	/* The name may hold anything, but ends with the last parenthesis. */
	const char *end = strrchr(text, ')');
	unsigned long minor, major, user, system;
	if (end == NULL || sscanf(end, ") %c %d %d %*d %*d %*d %*u %lu %*u %lu %*u %lu %lu %*d %*d %*d %*d %*d %*d %llu", &process->state,
	                          &process->parent, &process->group, &minor, &major, &user, &system, &process->start) != 8)
		return false;
	process->pid = (pid_t)strtol(text, NULL, 10);
	process->ticks = user + system;
	process->work = minor + major + user + system;
	return true;
}

static void read_files(int directory, struct process *process) {
	DIR *list = open_list(directory, "fd");
	for (const char *name; (name = next_number(list)) != NULL;) {
		/* The mode of the link says for what a descriptor is open. */
		struct stat link;
		if (fstatat(dirfd(list), name, &link, AT_SYMLINK_NOFOLLOW) != 0 || (link.st_mode & 0600) == 0) continue;
		struct file file = {.reads = (link.st_mode & 0400) != 0, .writes = (link.st_mode & 0200) != 0};
		mode_t mode = identify(dirfd(list), name, 0, &file);
		/* The other end of a socket cannot be found; as standard input it is the output of another process. */
		if (S_ISSOCK(mode) && strcmp(name, "0") == 0 && compare(&file, &input) != 0 && !is_output(&file)) process->has_socket_input = true;
		if (mode == 0 || (!S_ISFIFO(mode) && !is_output(&file))) continue;
		process->files = grown(process->files, process->count, sizeof file);
		process->files[process->count++] = file;
	}
	if (process->count == 0) return;
	qsort(process->files, process->count, sizeof *process->files, compare);
	size_t last = 0;
	for (size_t i = 1; i < process->count; i++) {
		struct file *file = &process->files[i];
		if (compare(file, &process->files[last]) != 0) process->files[++last] = *file;
		process->files[last].reads |= file->reads;
		process->files[last].writes |= file->writes;
	}
	process->count = last + 1;
}

static bool writes_to(const struct process *process, const struct file *file) {
	if (process->count == 0 || file->inode == 0) return false;
	const struct file *found = bsearch(file, process->files, process->count, sizeof *file, compare);
	return found != NULL && found->writes;
}

/* The same process in another look. */
static struct process *find(const struct look *look, pid_t pid, unsigned long long start) {
	/* The kernel lists processes by pid. */
	size_t low = 0, high = look->count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (look->list[middle].pid < pid) low = middle + 1;
		else high = middle;
	}
	struct process *found = low < look->count && look->list[low].pid == pid ? &look->list[low] : NULL;
	return found != NULL && (start == 0 || found->start == start) ? found : NULL;
}

/* Of all its threads: the sum for the process includes its children that have ended. */
static unsigned long long bytes_of(pid_t pid) {
	char path[64], text[512];
	unsigned long long sum = 0, read, written;
	snprintf(path, sizeof path, "%d/task", pid);
	DIR *list = open_list(job->proc, path);
	for (const char *name; (name = next_number(list)) != NULL;) {
		snprintf(path, sizeof path, "%.20s/io", name);
		if (read_at(dirfd(list), path, text, sizeof text) > 0 && sscanf(text, "rchar: %llu wchar: %llu", &read, &written) == 2)
			sum += read + written;
	}
	return sum;
}

/* Tells helpers from leaks. */
static void classify(struct look *look) {
	struct process **members = malloc((look->count + 1) * sizeof *members);
	size_t count = 0;
	if (members == NULL) abort();
	for (size_t i = 0; i < look->count; i++) {
		struct process *process = &look->list[i];
		if (!writes_to(process, &outputs[0]) && !writes_to(process, &outputs[1])) continue;
		process->is_member = true;
		members[count++] = process;
	}
	for (size_t asked = 0; asked < count; asked++) {
		struct process *process = members[asked];
		process->reads = process->has_socket_input;
		for (size_t i = 0; i < process->count; i++) {
			const struct file *file = &process->files[i];
			if (!file->reads || file->writes || compare(file, &input) == 0 || is_output(file)) continue;
			process->reads = true;
			for (size_t other = 0; other < look->count; other++) {
				if (look->list[other].is_member || !writes_to(&look->list[other], file)) continue;
				look->list[other].is_member = true;
				members[count++] = &look->list[other];
			}
		}
	}
	for (size_t i = 0; i < count; i++) {
		const struct process *helper = members[i];
		for (size_t depth = 0; helper != NULL && !helper->reads && depth < look->count; depth++) helper = find(look, helper->parent, 0);
		members[i]->is_leak = helper == NULL || !helper->reads;
		if (members[i]->is_leak) look->leaks++;
		else look->helpers++;
		if (!members[i]->is_leak) members[i]->bytes = bytes_of(members[i]->pid);
	}
	free(members);
}

/* Looks at all processes that may be of the command: those with its timer slack, and those that have set another one. */
static void look_around(struct look *look) {
	for (size_t i = 0; i < look->count; i++) free(look->list[i].files);
	*look = (struct look){.list = look->list};
	DIR *all = open_list(job->proc, ".");
	for (const char *name; (name = next_number(all)) != NULL;) {
		struct process process = {0};
		int directory = open_inside(name, &look->missed);
		if (directory < 0) continue;
		long slack = read_number_at(directory, "timerslack_ns");
		if (slack < 0 || !read_stat(directory, &process)) {
			look->missed = true;
		} else if (process.pid != pid1 && (slack == job->tag || !is_tag(slack))) {
			read_files(directory, &process);
			look->list = grown(look->list, look->count, sizeof process);
			look->list[look->count++] = process;
		}
		close(directory);
	}
	classify(look);
}

/* By its directory in /proc, which never is that of a later process. */
static void signal_process(const struct process *process, int signal) {
	struct process found;
	int directory = open_process(job->proc, process->pid);
	if (directory >= 0 && read_stat(directory, &found) && found.start == process->start)
		syscall(SYS_pidfd_send_signal, directory, signal, NULL, 0);
	if (directory >= 0) close(directory);
}

/* Reports a process that is about to be ended. A testbed may have any number of them, with any names. */
static void report(const struct process *process) {
	static int room = -1;
	struct stat status;
	if (room < 0) room = fstat(job->report, &status) == 0 && status.st_size < LONGEST_REPORT ? MOST_REPORTED : 0;
	if (job->report < 0 || room == 0) return;
	char text[4096], command[201];
	int directory = open_process(job->proc, process->pid);
	if (directory < 0) return;
	ssize_t length = read_at(directory, "cmdline", command, sizeof command), first = 0;
	while (first < length && command[first] == '\0') first++;
	if (first >= length) {
		/* It has no arguments. */
		ssize_t end = read_at(directory, "comm", text, 64);
		length = snprintf(command, sizeof command, "[%.*s]", (int)(end > 0 ? end - 1 : 0), text);
	}
	if (read_at(directory, "status", text, sizeof text) > 0) {
		const char *pids = strstr(text, "\nNSpid:"), *user = strstr(text, "\nUid:");
		int inside, uid;
		/* As the host counts, then as each pid namespace below does. */
		if (pids != NULL && user != NULL && sscanf(pids, " NSpid: %*d %d", &inside) == 1 && sscanf(user, " Uid: %d", &uid) == 1) {
			struct event event;
			event_begin(&event, "ended");
			event_number(&event, "pid", inside);
			event_number(&event, "uid", uid);
			event_bytes(&event, "command", command, (size_t)length);
			event_send(&event, job->report);
			room--;
		}
	}
	close(directory);
}

static void end(const struct process *process) {
	static struct process *ended;
	static size_t count;
	size_t known = 0;
	while (known < count && (ended[known].pid != process->pid || ended[known].start != process->start)) known++;
	if (known == count) {
		ended = grown(ended, count, sizeof *ended);
		ended[count++] = *process;
		if (now() < hunt_limit) quiet_since = now();
		report(process);
	}
	signal_process(process, SIGKILL);
}

static struct {
	struct process *list;
	pid_t *groups;
	size_t count, group_count;
} frozen;

/*
 * A signal to a process group reaches all of it at once, and no fork escapes (kill(2)): nothing else stops processes that fork and
 * end all the time. The group of this process is left alone, as it is the caller's.
 */
static void stop_group(pid_t group) {
	if (group <= 1 || group == getpgrp()) return;
	for (size_t i = 0; i < frozen.group_count; i++)
		if (frozen.groups[i] == group) return;
	frozen.groups = grown(frozen.groups, frozen.group_count, sizeof group);
	frozen.groups[frozen.group_count++] = group;
	kill(-group, SIGSTOP);
}

/*
 * Stops the processes of the command, so that none forks while leaks are looked for, and none reports on stderr that its child was
 * killed. New processes alone are looked at, until there are none several times.
 */
static void freeze(void) {
	static unsigned char seen[HIGHEST_PID / 8];
	memset(seen, 0, sizeof seen);
	frozen.count = frozen.group_count = 0;
	if (job->group > 0) stop_group(job->group);
	double limit = now() + 1;
	for (int calm = 0, since_found = 0; calm < 5 && since_found < 50 && now() < limit; calm++, since_found++) {
		DIR *all = open_list(job->proc, ".");
		for (const char *name; (name = next_number(all)) != NULL;) {
			long pid = strtol(name, NULL, 10);
			unsigned char bit = (unsigned char)(1 << pid % 8);
			if (pid >= HIGHEST_PID || (seen[pid / 8] & bit) != 0) continue;
			seen[pid / 8] |= bit;
			bool missed = false;
			struct process process;
			int directory = open_inside(name, &missed);
			if (missed) calm = -1;
			if (directory < 0) continue;
			if (read_number_at(directory, "timerslack_ns") == job->tag && is_inside(directory, "ns/pid") == 1) {
				syscall(SYS_pidfd_send_signal, directory, SIGSTOP, NULL, 0);
				/* A stopped process stays in its group. */
				if (read_stat(directory, &process)) {
					stop_group(process.group);
					frozen.list = grown(frozen.list, frozen.count, sizeof process);
					frozen.list[frozen.count++] = process;
				}
				calm = since_found = -1;
			}
			close(directory);
		}
	}
}

static void thaw(void) {
	for (size_t i = 0; i < frozen.count; i++) signal_process(&frozen.list[i], SIGCONT);
	for (size_t i = 0; i < frozen.group_count; i++) kill(-frozen.groups[i], SIGCONT);
}

/* Ends the leaks that `known` says are idle, or all of them. False when there is no holder, now that no process moves. */
static bool hunt(const struct look *known, bool all) {
	static struct look look;
	freeze();
	look_around(&look);
	for (size_t i = 0; i < look.count; i++) {
		const struct process *process = &look.list[i];
		const struct process *before = find(known, process->pid, process->start);
		if (process->is_leak && (all || (before != NULL && before->is_idle))) end(process);
	}
	thaw();
	if (frozen.count > look.leaks) {
		/* A program that saw its child still stopped has stopped itself just now, as unshare(1) does, and waits again. */
		pause_for(LOOK_AGAIN);
		thaw();
	}
	return look.leaks + look.helpers > 0;
}

static bool are_same(const struct look *look, const struct look *before) {
	bool same = look->count == before->count;
	for (size_t i = 0; same && i < look->count; i++)
		same = look->list[i].pid == before->list[i].pid && look->list[i].start == before->list[i].start;
	return same;
}

/* Compares a look with the one before. Gives whether a leak is still at work, and may be about to redirect its output. */
static bool are_leaks_busy(struct look *look, const struct look *before, double waited) {
	bool busy = false;
	for (size_t i = 0; i < look->count; i++) {
		struct process *process = &look->list[i];
		const struct process *old = find(before, process->pid, process->start);
		if (!process->is_leak) {
			if (process->is_member && old != NULL && old->bytes != process->bytes) quiet_since = now();
			continue;
		}
		bool runs = process->state == 'R' || process->state == 'D';
		process->is_idle = old != NULL && old->is_leak && old->work == process->work && !runs;
		bool is_starved = old != NULL && runs && process->ticks < LITTLE_TICKS && waited < LONGEST_PATIENCE;
		if (!process->is_idle && (waited < PATIENCE || is_starved)) busy = true;
	}
	return busy;
}

void drain(const struct drain *drain) {
	job = drain;
	struct process init;
	identify(drain->in, "", AT_EMPTY_PATH, &input);
	for (int i = 0; i < 2; i++)
		if (identify(i == 0 ? drain->out : drain->err, "", AT_EMPTY_PATH, &outputs[i]) == 0) outputs[i] = (struct file){0};
	if (outputs[0].inode == 0 && outputs[1].inode == 0) return;
	if (readlinkat(drain->init, "ns/pid", namespace, sizeof namespace - 1) < 0 || !read_stat(drain->init, &init)) return;
	if (fstatat(drain->init, "ns/pid", &namespace_file, 0) != 0) return;
	if (readlinkat(drain->proc, "self/ns/pid", own_namespace, sizeof own_namespace - 1) < 0) return;
	pid1 = init.pid;
	quiet_since = now();
	hunt_limit = quiet_since + LONGEST_HUNT;
	struct look looks[2] = {{0}, {.count = 0}};
	double first_leak = 0, pause = 0.0005;
	char link[64];
	/* What SIGKILL does not end sleeps in the kernel, and may do so for ever. */
	for (int turn = 0, doubts = 0; now() - quiet_since <= drain->seconds + 5; turn = !turn) {
		struct look *look = &looks[turn];
		look_around(look);
		if (readlinkat(drain->init, "ns/pid", link, sizeof link) < 0) return;
		if (look->leaks == 0 && look->helpers > 0 && !look->missed) first_leak = 0;
		else if (first_leak == 0 && look->leaks > 0) first_leak = now();
		bool busy = are_leaks_busy(look, &looks[!turn], now() - first_leak);
		if (look->leaks > 0) {
			if (busy) pause_for(LOOK_AGAIN);
			else hunt(look, now() - first_leak >= PATIENCE);
		} else if (look->helpers == 0) {
			/* No holder, if no process came or went: one that was about to end may have left another. */
			if (!look->missed && are_same(look, &looks[!turn])) return;
			if (++doubts % 3 != 0) continue;
			if (!hunt(look, first_leak != 0 && now() - first_leak >= PATIENCE)) return;
			if (first_leak == 0) first_leak = now();
		} else if (now() - quiet_since > drain->seconds) {
			for (size_t i = 0; i < look->count; i++)
				if (look->list[i].is_member) end(&look->list[i]);
		} else {
			pause_for(pause);
			if (pause < 0.05) pause *= 2;
		}
	}
}
