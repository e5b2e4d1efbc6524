/* Runs: processes that the holder makes, one for each request "run". A run runs its steps, and becomes pid 1 of a testbed or ends. */
#include "hold.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

int groups = -1;

static struct run {
	long id;
	pid_t pid;
	int handle, started, lifeline;
	char group[32];
} runs[MAX_RUNS];
static size_t run_count;

void report_run(const char *name, long id, const char *key, long long number) {
	struct event event;
	event_begin(&event, name);
	event_number(&event, "id", id);
	if (key != NULL) event_number(&event, key, number);
	event_send(&event, EVENTS);
}

struct request {
	long id;
	unsigned long flags;
	uid_t owner;
	/* The first so many words are steps that run in the holder's namespaces. */
	size_t first, count;
	char **steps;
	/* The name of its cgroup, or empty. */
	const char *group;
	int started[2], lifeline[2];
};

static void cannot_make(const struct request *request, int error) {
	struct place failed = {.id = request->id, .report = EVENTS, .code = "NO_NAMESPACES"};
	report_step(&failed, "making the namespaces of a testbed", error);
}

static _Noreturn void set_up(const struct request *request) {
	set_title("virt-ts-unshare set-up");
	close(request->started[0]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid();
	umask(022);
	struct place place = {.id = request->id, .root = -1, .report = EVENTS, .started = request->started[1], .lifeline = request->lifeline[0]};
	bool good = run_steps(&place, request->steps + request->first, request->count - request->first);
	/* End of file without a byte: pid 1 has been executed. */
	_exit(write(place.started, "", 1) == 1 && good ? 0 : 1);
}

/* Gives a process in a user namespace below the ids of the holder, unchanged. */
static bool give_ids(pid_t pid) {
	char process[32], map[4096];
	snprintf(process, sizeof process, "%ld", (long)pid);
	return same_map("/proc/self/uid_map", map, sizeof map) && write_map(process, "uid_map", map) &&
	       same_map("/proc/self/gid_map", map, sizeof map) && write_map(process, "gid_map", map);
}

static void cannot_group(const struct request *request, int error) {
	struct place failed = {.id = request->id, .report = EVENTS, .code = "NO_CGROUP"};
	report_step(&failed, "making the cgroup of a testbed", error);
}

/*
 * In a child of the holder: makes another child of the holder, with a user namespace below. The kernel counts what a user namespace
 * uses (RLIMIT_NPROC, /proc/sys/user) for its owner, so that of each testbed has another owner.
 */
static _Noreturn void set_up_below(const struct request *request, int made) {
	struct place place = {.id = request->id, .root = -1, .report = EVENTS, .started = -1, .lifeline = -1};
	umask(022);
	if (!run_steps(&place, request->steps, request->first)) _exit(1);
	struct clone_args args = {.flags = request->flags | CLONE_PARENT};
	/* A change of ids closes /proc/PID to the processes that write the id map and read the namespaces. */
	bool good = seteuid(request->owner) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0;
	pid_t pid = good ? (pid_t)syscall(SYS_clone3, &args, sizeof args) : -1;
	if (pid == 0) {
		/* Else neither the holder nor this process would see that the one between them was killed. */
		close(made);
		close(request->lifeline[1]);
		/* Until its id map is written. */
		wait_for_byte(request->lifeline[0]);
		if (!become_root() || prctl(PR_SET_DUMPABLE, 1) != 0) _exit(1);
		set_up(request);
	}
	if (pid < 0 || seteuid(0) != 0 || !give_ids(pid)) cannot_make(request, errno);
	else if (write(request->lifeline[1], "", 1) == 1 && write(made, &pid, sizeof pid) == (ssize_t)sizeof pid) _exit(0);
	/* The holder gets the pid even so: it has to reap the process. */
	if (pid > 0) kill(pid, SIGKILL);
	if (pid > 0 && write(made, &pid, sizeof pid) < 0) _exit(1);
	_exit(0);
}

/* Both give the pid, or -1 after an event "failed". */
static pid_t start_below(const struct request *request, int *handle) {
	int made[2];
	pid_t pid = -1;
	if (pipe2(made, O_CLOEXEC) != 0) {
		cannot_make(request, errno);
		return -1;
	}
	/* A new cgroup namespace has the cgroup of the process that makes it as its root. */
	bool grouped = *request->group != '\0';
	int group = grouped ? make_group(groups, request->group) : -1;
	pid_t maker = grouped && group < 0 ? -1 : fork_into(group);
	if (maker < 0) (grouped ? cannot_group : cannot_make)(request, errno);
	if (group >= 0) close(group);
	if (maker == 0) {
		close(made[0]);
		set_up_below(request, made[1]);
	}
	close(made[1]);
	if (maker > 0 && read(made[0], &pid, sizeof pid) != (ssize_t)sizeof pid) pid = -1;
	close(made[0]);
	if (maker > 0) waitpid(maker, NULL, 0);
	/* The pid cannot be that of another process: it is a child of this one, and not reaped. */
	if (pid > 0 && (*handle = (int)syscall(SYS_pidfd_open, pid, 0)) < 0) {
		cannot_make(request, errno);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		pid = -1;
	}
	return pid;
}

static pid_t start_here(const struct request *request, int *handle) {
	struct clone_args args = {.flags = request->flags | CLONE_PIDFD, .pidfd = (uintptr_t)handle, .exit_signal = SIGCHLD};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0) {
		close(request->lifeline[1]);
		set_up(request);
	}
	if (pid < 0) cannot_make(request, errno);
	return pid;
}

void start_run(char **fields, size_t count) {
	struct request request = {.id = strtol(fields[1], NULL, 10), .flags = namespace_flags(fields[2]), .owner = (uid_t)strtoul(fields[3], NULL, 10),
	                          .first = strtoul(fields[4], NULL, 10), .count = count - 6, .steps = fields + 6,
	                          .group = fields[5], .started = {-1, -1}, .lifeline = {-1, -1}};
	struct run run = {.id = request.id, .pid = -1};
	snprintf(run.group, sizeof run.group, "%s", request.group);
	bool below = (request.flags & CLONE_NEWUSER) != 0;
	if (request.first > (below ? request.count : 0)) request.first = 0;
	bool room = run_count < MAX_RUNS && pipe2(request.started, O_CLOEXEC) == 0 && pipe2(request.lifeline, O_CLOEXEC) == 0;
	if (!room) cannot_make(&request, EMFILE);
	else run.pid = below ? start_below(&request, &run.handle) : start_here(&request, &run.handle);
	if (run.pid < 0) {
		if (run.group[0] != '\0') remove_group(groups, run.group, false);
		for (int i = 0; i < 2; i++) close(request.started[i]), close(request.lifeline[i]);
		report_run("ended", run.id, "status", NOT_RUN);
		return;
	}
	close(request.started[1]), close(request.lifeline[0]);
	run.started = request.started[0], run.lifeline = request.lifeline[1];
	runs[run_count++] = run;
	report_run("started", run.id, "pid", run.pid);
}

static void kill_it(const struct run *run) {
	syscall(SYS_pidfd_send_signal, run->handle, SIGKILL, NULL, 0);
}

void kill_run(long id) {
	for (size_t i = 0; i < run_count; i++)
		if (runs[i].id == id) kill_it(&runs[i]);
}

void kill_runs(void) {
	for (size_t i = 0; i < run_count; i++) kill_it(&runs[i]);
}

void continue_run(long id) {
	for (size_t i = 0; i < run_count; i++)
		/* SIGPIPE is ignored: the process may have been killed. */
		if (runs[i].id == id && write(runs[i].lifeline, "", 1) != 1) kill_it(&runs[i]);
}

size_t watch_runs(struct pollfd ends[ENDS_OF_RUNS]) {
	for (size_t i = 0; i < run_count; i++) {
		ends[2 * i] = (struct pollfd){.fd = runs[i].started, .events = POLLIN};
		ends[2 * i + 1] = (struct pollfd){.fd = runs[i].handle, .events = POLLIN};
	}
	return 2 * run_count;
}

/* Its steps are done, or one has failed. */
static void follow_start(struct run *run) {
	char word, path[64];
	struct pollfd end = {.fd = run->handle, .events = POLLIN};
	bool executes = read(run->started, &word, 1) == 0;
	close(run->started);
	run->started = -1;
	/* A process that is killed has lost its program before it closes its descriptors, and ends in a moment. */
	snprintf(path, sizeof path, "/proc/%ld/exe", (long)run->pid);
	bool ends_now = executes && readlink(path, &word, 1) < 0 && errno == ENOENT && poll(&end, 1, 1000) > 0;
	if (executes && !ends_now) report_run("ready", run->id, NULL, 0);
}

static void reap(struct run *run) {
	siginfo_t how = {0};
	if (waitid(P_PIDFD, (id_t)run->handle, &how, WEXITED) != 0) return;
	/* With pid 1, every process in it has ended. */
	if (run->group[0] != '\0') remove_group(groups, run->group, false);
	close(run->handle), close(run->lifeline);
	if (run->started >= 0) close(run->started);
	report_run("ended", run->id, "status", how.si_code == CLD_EXITED ? how.si_status : 128 + how.si_status);
	*run = runs[--run_count];
}

/* Begins with the last run, because it takes the place of a run that has ended. */
void follow_runs(const struct pollfd *ends, size_t count) {
	for (size_t i = count / 2; i-- > 0;) {
		if (ends[2 * i].revents != 0) follow_start(&runs[i]);
		if (ends[2 * i + 1].revents != 0) reap(&runs[i]);
	}
}
