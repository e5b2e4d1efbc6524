/*
 * Waits until no process holds the output of a command that has ended. A helper is waited for while it makes progress. A
 * leak is ended only after it was found twice, because a daemon needs time to redirect its output. See holders.c.
 */
#include "holders.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define LOOK_AGAIN 0.01
#define PATIENCE 0.3
#define LONGEST_PATIENCE 3.0
/* The time for which the end of a leak counts as progress: leaks may follow each other for ever. */
#define LONGEST_SEARCH 60.0
/* So many processes are a fork bomb: what they do is no progress. */
enum { CROWD = 100 };
/* So many leaks may be started after the first was found; further ones follow each other for ever. */
enum { NEWCOMERS = 50 };
enum { LITTLE_TICKS = 10, MOST_REPORTED = 1000, LONGEST_REPORT = 1 << 20, HIGHEST_PID = 1 << 22 };

static const struct drain *job;
static double quiet_since, search_limit;
static bool is_crowd;
static size_t newcomers;

static double now(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void pause_for(double seconds) {
	nanosleep(&(struct timespec){.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)}, NULL);
}

/* By the process's directory in /proc, so that a later process with the same pid gets no signal. */
static void signal_process(const struct process *process, int signal) {
	struct process found;
	int directory = open_process(job->proc, process->pid);
	if (directory >= 0 && read_stat(directory, &found) && found.start == process->start)
		syscall(SYS_pidfd_send_signal, directory, signal, NULL, 0);
	if (directory >= 0) close(directory);
}

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
		ssize_t end = read_at(directory, "comm", text, 64);
		length = snprintf(command, sizeof command, "[%.*s]", (int)(end > 0 ? end - 1 : 0), text);
	}
	if (read_at(directory, "status", text, sizeof text) > 0) {
		const char *pids = strstr(text, "\nNSpid:"), *user = strstr(text, "\nUid:");
		int inside, uid;
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
		if (now() < search_limit && !is_crowd) quiet_since = now();
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
 * A signal to a process group reaches all of it at once, and no fork escapes (kill(2)). Nothing else stops processes that
 * fork and end continuously. The caller's group is left alone.
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
 * Stops the processes of the command, so that none forks while leaks are searched, and none reports that its child was
 * killed. Repeats the search for new processes until there are none several times.
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

/*
 * Sends a signal to all processes of the testbed but pid 1, from a new process there: none escapes it by a fork, whatever its process
 * group (kill(2)). Where the testbed has as many processes as it may have, some of `known` are killed for that.
 */
static void signal_all(const struct look *known, int signal) {
	for (int attempt = 0; attempt < 1000; attempt++) {
		/* As exec.c does for the command's process. */
		prctl(PR_SET_DUMPABLE, 0);
		pid_t child = fork();
		/* Where the child is not in the testbed, as for `run --host`, kill(2) would reach all processes of the caller. */
		if (child == 0) _exit(is_inside(job->proc, "self/ns/pid") == 1 ? kill(-1, signal) : 0);
		prctl(PR_SET_DUMPABLE, 1);
		if (child > 0) {
			while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
			return;
		}
		for (size_t i = 0; attempt % 50 == 49 && i < known->count; i++)
			if (known->list[i].is_member) signal_process(&known->list[i], SIGKILL);
	}
}

enum which { IDLE_LEAKS, LEAKS, HOLDERS };

/* Ends leaks that are idle in `known`, the search before; or the leaks in it; or all holders. False when it finds no holder. */
static bool end_all(const struct look *known, enum which which) {
	static struct look look;
	bool crowd = is_crowd;
	if (crowd) signal_all(known, SIGSTOP);
	freeze();
	look_around(&look);
	for (size_t i = 0; i < look.count; i++) {
		const struct process *process = &look.list[i];
		const struct process *before = find_process(known, process->pid, process->start);
		bool is_known = before != NULL && (which == LEAKS ? before->is_leak : before->is_idle);
		bool is_one = which == HOLDERS ? process->is_member : process->is_leak && (is_known || (which == LEAKS && newcomers > NEWCOMERS));
		if (is_one) end(process);
	}
	thaw();
	if (crowd) signal_all(&look, SIGCONT);
	if (frozen.count > look.leaks) {
		/* unshare(1) stops itself when its child stops, and then waits again. */
		pause_for(LOOK_AGAIN);
		thaw();
	}
	return look.leaks + look.helpers > 0;
}

/*
 * Whether two searches found the same processes and no holder. A process that was started during the first is found by the
 * second.
 */
static bool are_same(const struct look *look, const struct look *before) {
	bool same = look->count == before->count && before->leaks + before->helpers == 0;
	for (size_t i = 0; same && i < look->count; i++)
		same = look->list[i].pid == before->list[i].pid && look->list[i].start == before->list[i].start;
	return same;
}

/*
 * Compares a search with the one before it. True when a leak may redirect its output soon. While a member runs, another one may sleep only
 * until that has opened the other end of a FIFO.
 */
static bool are_leaks_busy(struct look *look, const struct look *before, double waited) {
	bool busy = false;
	for (size_t i = 0; i < look->count; i++) {
		struct process *process = &look->list[i];
		if (!process->is_member) continue;
		const struct process *old = find_process(before, process->pid, process->start);
		bool runs = process->state == 'R' || process->state == 'D';
		bool is_calm = old != NULL && old->is_leak == process->is_leak && old->work == process->work && !runs;
		process->is_idle = process->is_leak && is_calm;
		if (!process->is_leak && !is_crowd && old != NULL && old->bytes != process->bytes) quiet_since = now();
		/* It waits for a processor; in state D for a page, perhaps of a file system that does not answer. */
		double patience = process->state == 'R' && job->seconds > LONGEST_PATIENCE ? job->seconds : LONGEST_PATIENCE;
		if (old == NULL && waited > 0) newcomers++;
		bool is_starved = (old != NULL || newcomers <= NEWCOMERS) && runs && process->ticks < LITTLE_TICKS && waited < patience;
		if (!is_calm && (waited < PATIENCE || is_starved)) busy = true;
	}
	return busy;
}

void drain(const struct drain *drain) {
	job = drain;
	if (!begin_to_look(drain)) return;
	quiet_since = now();
	search_limit = quiet_since + LONGEST_SEARCH;
	struct look looks[2] = {{.missed = true}, {.missed = true}};
	double first_leak = 0, pause = 0.0005;
	char link[64];
	/* A process that SIGKILL does not end sleeps in the kernel, perhaps for ever. */
	for (int turn = 0, doubts = 0, attempts = 0; now() - quiet_since <= drain->seconds + 5; turn = !turn) {
		struct look *look = &looks[turn];
		look_around(look);
		is_crowd = look->leaks + look->helpers > CROWD;
		if (readlinkat(drain->init, "ns/pid", link, sizeof link) < 0) return;
		if (look->leaks == 0 && look->helpers > 0 && !look->missed) {
			first_leak = 0;
			newcomers = 0;
		} else if (first_leak == 0 && look->leaks > 0) {
			first_leak = now();
		}
		bool busy = are_leaks_busy(look, &looks[!turn], now() - first_leak);
		if (look->leaks > 0) {
			if (!busy) end_all(look, now() - first_leak >= PATIENCE ? LEAKS : IDLE_LEAKS);
			if (busy || ++attempts > 5) pause_for(LOOK_AGAIN);
		} else if (look->helpers == 0) {
			/*
			 * A process that ended during the search may have left another one; and when pids wrap, one search does not see a process
			 * that got a lower pid than the search had reached. So two complete searches must have found the same.
			 */
			if (!look->missed && !looks[!turn].missed && are_same(look, &looks[!turn])) return;
			if (++doubts % 3 != 0) continue;
			if (!end_all(look, first_leak != 0 && now() - first_leak >= PATIENCE ? LEAKS : IDLE_LEAKS)) return;
			if (first_leak == 0) first_leak = now();
		} else if (now() - quiet_since > drain->seconds) {
			end_all(look, HOLDERS);
		} else {
			pause_for(pause);
			if (pause < 0.05) pause *= 2;
		}
	}
}
