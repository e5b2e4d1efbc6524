/*
 * Stage and holder: the two processes that keep a server's user namespaces, and in which its testbeds are made. See "Stage, holder,
 * testbed" in docs/architecture.md.
 *
 * argv: hold [-n] [-g GROUPS] [-r OLD]... STAGE STAGE_UIDS STAGE_GIDS UIDS GIDS SOURCE...
 *   -n      a network namespace of the stage's own
 *   -g      makes this directory for the cgroups of testbeds, in one that the caller may write to; removed at the end
 *   -r      removes this one, of a server that was killed
 *   STAGE   the stage's user namespace and its maps, as of users.c
 *   SOURCE  directories and files of the host, bound at /mnt/0, /mnt/1, … of stage and holder; behind "ro:" read-only
 * stdin: requests, each a count of fields and the fields, all ended by a zero byte; its end of file ends everything:
 *   run ID NAMESPACES OWNER COUNT GROUP STEP...
 *                               runs the steps (steps.c) in a new process; NAMESPACES are letters, as of `enter`, of new ones. With
 *                               the letter u its user namespace is below the holder's, has the same ids, and belongs to the user OWNER;
 *                               the first COUNT words of STEP are steps that run in the holder's namespaces before; GROUP is the name
 *                               of its cgroup, which is made, and removed before "ended"; empty: that of the holder
 *   end ID                      kills that process
 *   go ID                       lets it continue when it waits in its step "init"
 *   drop ID PATH                unmounts PATH, if it is mounted, and removes the directory: the holder does it itself, so that
 *                               it needs neither a process nor a descriptor; "ended" with the status 0, or 1 when it fails
 * stdout: events: "held" with the holder's pid; for each run "started" with its pid, "failed", "standing" when it waits for "go", or "ready" when its steps
 *   are done (for a testbed: when its pid 1 executes /bin/sh), and "ended" with its status when it was reaped
 */
#include "steps.h"

#include <dirent.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { REQUESTS = 0, EVENTS = 1, MAX_RUNS = 256, MAX_REQUEST = 1 << 24, MAX_FIELDS = 1 << 16 };

static _Noreturn void die(const char *what, const char *on) {
	report_failure(EVENTS, "NO_NAMESPACES", what, on, errno);
	_exit(1);
}

/* The directory of the server's cgroups, or -1. */
static int groups = -1;

static void wait_for(int pipe_end) {
	char word;
	if (read(pipe_end, &word, 1) != 1) _exit(1);
}

/* --- The stage --- */

static void own_mounts(void) {
	if (unshare(CLONE_NEWNS) != 0) die("making a mount namespace", NULL);
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) die("making the mounts private", NULL);
}

/*
 * A small tmpfs with a mount point for each source. Sources are opened first, because one may lie below /mnt. A mount that
 * is read-only here stays so in the holder, whose user namespace is a lower one (mount_namespaces(7), "locked").
 */
static void bind_sources(char **sources, size_t count) {
	int trees[count + 1], mnt;
	char words[256];
	struct stat status[count + 1];
	for (size_t i = 0; i < count; i++) {
		bool read_only = strncmp(sources[i], "ro:", 3) == 0;
		if (read_only) sources[i] += 3;
		if (stat(sources[i], &status[i]) != 0 || (trees[i] = clone_mount(AT_FDCWD, sources[i], read_only)) < 0) die("binding", sources[i]);
	}
	int made = make_mount("tmpfs", "mode=755,size=16m", words, sizeof words);
	if (made < 0 || !put_mount(made, AT_FDCWD, "/mnt") || (mnt = open("/mnt", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0) die("mounting a tmpfs on", "/mnt");
	umask(0);
	/* Root of the holder fills these; in the stage it is an unprivileged user. */
	for (const char *const *name = (const char *const[]){"binfmt", "layers", "root", "scratch", "skeleton", NULL}; *name != NULL; name++)
		if (mkdirat(mnt, *name, 0777) != 0) die("making a directory", *name);
	for (size_t i = 0; i < count; i++) {
		char name[32];
		snprintf(name, sizeof name, "%zu", i);
		int file = S_ISDIR(status[i].st_mode) ? mkdirat(mnt, name, 0755) : openat(mnt, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (file < 0 || !put_mount(trees[i], mnt, name)) die("binding", sources[i]);
		if (file > 0) close(file);
		close(trees[i]);
	}
	close(mnt);
}

/* Sends SIGCONT and SIGKILL through an open directory of /proc, which refers to one process as pidfd_open(2) does. */
static void kill_process(int process) {
	syscall(SYS_pidfd_send_signal, process, SIGCONT, NULL, 0);
	syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0);
}

static bool is_zombie(int process) {
	char text[1024];
	if (read_at(process, "stat", text, sizeof text) <= 0) return true;
	const char *state = strrchr(text, ')');
	return state == NULL || state[2] == 'Z' || state[2] == 'X';
}

/* After the end of the holder, pid 1 of a testbed is a child of this process. */
static bool end_children(int proc) {
	char path[64], text[65536];
	while (waitpid(-1, NULL, WNOHANG) > 0) continue;
	snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
	if (read_at(AT_FDCWD, path, text, sizeof text) <= 0) return false;
	for (char *rest = text, *word; (word = strsep(&rest, " ")) != NULL && *word != '\0';) {
		int process = open_process(proc, (pid_t)atol(word));
		if (process >= 0) kill_process(process), close(process);
	}
	return true;
}

/* Whether a process is in a user namespace or below it, as testbeds and programs of the host (shield.c) are. */
static bool is_member(int process, const struct stat *users) {
	struct stat status;
	int space = openat(process, "ns/user", O_RDONLY | O_CLOEXEC);
	bool found = false;
	while (space >= 0 && !found) {
		found = fstat(space, &status) == 0 && status.st_ino == users->st_ino && status.st_dev == users->st_dev;
		/* Fails at the user namespace of this process. */
		int parent = found ? -1 : ioctl(space, NS_GET_PARENT);
		close(space);
		space = parent;
	}
	return found;
}

enum { GRACE = 8 };

/*
 * Kills the processes of a user namespace and of those below, including a tar whose server was killed. Those outside of the testbeds come last:
 * one may be the parent of a process inside, which it then reaps. An orphan would wait for the init of the host.
 */
static bool end_members(int proc, const struct stat *users, int round) {
	bool found = false, stuck = round >= 20 && round % 20 == 0;
	struct stat own, its;
	if (stat("/proc/self/ns/pid", &own) != 0) own.st_ino = 0;
	DIR *list = fdopendir(openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	for (struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
		pid_t pid = (pid_t)atol(entry->d_name);
		int process = pid <= 0 || pid == getpid() ? -1 : open_process(proc, pid);
		if (process < 0) continue;
		if (is_member(process, users) && !is_zombie(process)) {
			found = true;
			bool outside = fstatat(process, "ns/pid", &its, 0) == 0 && its.st_ino == own.st_ino;
			if (!outside || round >= GRACE) kill_process(process);
			/* A process that SIGKILL does not end may wait for a FUSE file system. */
			if (stuck) abort_fuse(process);
		}
		close(process);
	}
	if (list != NULL) closedir(list);
	return found;
}

/* The server is gone: ends the holder and all that it leaves. */
static int stage(pid_t holder, const struct stat *users, int proc, const char *group) {
	int handle = (int)syscall(SYS_pidfd_open, holder, 0);
	struct pollfd ends[] = {{.fd = handle, .events = POLLIN}, {.fd = REQUESTS}};
	while (poll(ends, 2, -1) < 0 && errno == EINTR) continue;
	if (ends[0].revents == 0 && poll(ends, 1, 2000) == 0) kill_process(handle);
	waitpid(holder, NULL, 0);
	for (int round = 0; round < 200; round++) {
		bool children = end_children(proc), members = end_members(proc, users, round);
		if (!children && !members) break;
		usleep(round < 5 ? 1000 : 10000);
	}
	if (group != NULL) remove_group(AT_FDCWD, group, true);
	return 0;
}

/* --- The holder --- */

static struct run {
	long id;
	pid_t pid;
	int handle, started, lifeline;
	char group[32];
} runs[MAX_RUNS];
static size_t run_count;

static void send_run(const char *name, const struct run *run, const char *key, long long number) {
	struct event event;
	event_begin(&event, name);
	event_number(&event, "id", run->id);
	if (key != NULL) event_number(&event, key, number);
	event_send(&event, EVENTS);
}

struct request {
	long id;
	unsigned long flags;
	uid_t owner;
	/* How many of the steps' words come before the namespaces. */
	size_t first, count;
	char **steps;
	/* Of a cgroup, or empty. */
	const char *group;
	int started[2], lifeline[2];
};

static void cannot_make(const struct request *request, int error) {
	struct place failed = {.id = request->id, .report = EVENTS, .code = "NO_NAMESPACES"};
	report_step(&failed, "making the namespaces of a testbed", error);
}

static _Noreturn void set_up(const struct request *request) {
	set_title("virt-ts-unshare set-up");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid();
	umask(022);
	struct place place = {.id = request->id, .root = -1, .report = EVENTS, .started = request->started[1], .lifeline = request->lifeline[0]};
	bool good = run_steps(&place, request->steps + request->first, request->count - request->first);
	/* End of file without a byte: pid 1 has been executed. */
	_exit(write(place.started, "", 1) == 1 && good ? 0 : 1);
}

/* The ids of the holder, as they are, for a process in a user namespace below. */
static bool give_ids(pid_t pid) {
	char process[32], map[4096];
	snprintf(process, sizeof process, "%ld", (long)pid);
	return same_map("/proc/self/uid_map", map, sizeof map) && write_map(process, "uid_map", map) &&
	       same_map("/proc/self/gid_map", map, sizeof map) && write_map(process, "gid_map", map);
}

/*
 * In a child of the holder: makes another child of the holder, with a user namespace below. The kernel counts what a user namespace
 * uses (RLIMIT_NPROC, /proc/sys/user) for its owner, so each has another one.
 */
static _Noreturn void set_up_below(const struct request *request, int made) {
	struct place place = {.id = request->id, .root = -1, .report = EVENTS, .started = -1, .lifeline = -1};
	umask(022);
	if (!run_steps(&place, request->steps, request->first)) _exit(1);
	struct clone_args args = {.flags = request->flags | CLONE_PARENT};
	/* A new cgroup namespace has the cgroup of this process as its root. */
	if (*request->group != '\0' && (!make_group(groups, request->group) || !join_group(groups, request->group, 0))) {
		struct place failed = {.id = request->id, .report = EVENTS, .code = "NO_CGROUP"};
		report_step(&failed, "making the cgroup of a testbed", errno);
		_exit(1);
	}
	/* Each change of ids makes a process invisible to those that write its map and look at it. */
	bool good = seteuid(request->owner) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0;
	pid_t pid = good ? (pid_t)syscall(SYS_clone3, &args, sizeof args) : -1;
	if (pid == 0) {
		wait_for(request->lifeline[0]);
		if (!become_root() || prctl(PR_SET_DUMPABLE, 1) != 0) _exit(1);
		set_up(request);
	}
	if (pid < 0 || seteuid(0) != 0 || !give_ids(pid)) cannot_make(request, errno);
	else if (write(request->lifeline[1], "", 1) == 1 && write(made, &pid, sizeof pid) == (ssize_t)sizeof pid) _exit(0);
	if (pid > 0) kill(pid, SIGKILL);
	if (pid > 0 && write(made, &pid, sizeof pid) < 0) _exit(1);
	_exit(0);
}

/* Both give -1 when it failed, which is reported. */
static pid_t start_below(const struct request *request, int *handle) {
	int made[2];
	pid_t pid = -1;
	if (pipe2(made, O_CLOEXEC) != 0) return cannot_make(request, errno), -1;
	pid_t maker = fork();
	if (maker < 0) cannot_make(request, errno);
	if (maker == 0) set_up_below(request, made[1]);
	close(made[1]);
	if (maker > 0 && read(made[0], &pid, sizeof pid) != (ssize_t)sizeof pid) pid = -1;
	close(made[0]);
	if (maker > 0) waitpid(maker, NULL, 0);
	/* It is a child of this process, and not reaped, so the pid is its own. */
	if (pid > 0 && (*handle = (int)syscall(SYS_pidfd_open, pid, 0)) < 0) {
		cannot_make(request, errno);
		kill(pid, SIGKILL), waitpid(pid, NULL, 0);
		pid = -1;
	}
	return pid;
}

static pid_t start_here(const struct request *request, int *handle) {
	struct clone_args args = {.flags = request->flags | CLONE_PIDFD, .pidfd = (uintptr_t)handle, .exit_signal = SIGCHLD};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0) set_up(request);
	if (pid < 0) cannot_make(request, errno);
	return pid;
}

static void start_run(char **fields, size_t count) {
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
		send_run("ended", &run, "status", NOT_RUN);
		return;
	}
	close(request.started[1]), close(request.lifeline[0]);
	run.started = request.started[0], run.lifeline = request.lifeline[1];
	runs[run_count++] = run;
	send_run("started", &run, "pid", run.pid);
}

static void drop(char **fields) {
	struct run run = {.id = strtol(fields[1], NULL, 10)};
	/* It need not be mounted: its set-up may have failed before. */
	bool good = umount2(fields[2], MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || errno == EINVAL || errno == ENOENT;
	/* This also unmounts it in mount namespaces that were copied from this one meanwhile. */
	good = good && (rmdir(fields[2]) == 0 || errno == ENOENT);
	send_run("ended", &run, "status", good ? 0 : 1);
}

static void answer(char **fields, size_t count) {
	if (count >= 6 && strcmp(fields[0], "run") == 0) start_run(fields, count);
	if (count == 3 && strcmp(fields[0], "drop") == 0) drop(fields);
	for (size_t i = 0; count == 2 && i < run_count; i++) {
		if (runs[i].id != strtol(fields[1], NULL, 10)) continue;
		/* SIGPIPE is ignored: the process may have been killed. */
		if (strcmp(fields[0], "go") == 0 && write(runs[i].lifeline, "", 1) == 1) continue;
		syscall(SYS_pidfd_send_signal, runs[i].handle, SIGKILL, NULL, 0);
	}
}

/* False at the end of file. A request is answered when all its fields were read. */
static bool read_requests(void) {
	static char *buffer, *fields[MAX_FIELDS];
	static size_t length;
	if (buffer == NULL) buffer = malloc(MAX_REQUEST);
	ssize_t got = buffer == NULL || length == MAX_REQUEST ? -1 : read(REQUESTS, buffer + length, MAX_REQUEST - length);
	if (got <= 0) return got < 0 && errno == EINTR;
	length += (size_t)got;
	for (;;) {
		char *end = memchr(buffer, '\0', length);
		size_t count = end == NULL ? 0 : strtoul(buffer, NULL, 10), found = 0;
		if (end == NULL) return true;
		if (count > MAX_FIELDS) return false;
		for (char *at = end + 1; found < count; found++, at = end + 1) {
			fields[found] = at;
			if ((end = memchr(at, '\0', length - (size_t)(at - buffer))) == NULL) return true;
		}
		answer(fields, count);
		length -= (size_t)(end + 1 - buffer);
		memmove(buffer, end + 1, length);
	}
}

static void reap(struct run *run) {
	siginfo_t how = {0};
	if (waitid(P_PIDFD, (id_t)run->handle, &how, WEXITED) != 0) return;
	/* With pid 1, every process in it has ended. */
	if (run->group[0] != '\0') remove_group(groups, run->group, false);
	send_run("ended", run, "status", how.si_code == CLD_EXITED ? how.si_status : 128 + how.si_status);
	close(run->handle), close(run->lifeline);
	if (run->started >= 0) close(run->started);
	*run = runs[--run_count];
}

static _Noreturn void hold(void) {
	for (;;) {
		struct pollfd ends[1 + 2 * MAX_RUNS] = {{.fd = REQUESTS, .events = POLLIN}};
		size_t count = run_count;
		for (size_t i = 0; i < count; i++) {
			ends[1 + 2 * i] = (struct pollfd){.fd = runs[i].started, .events = POLLIN};
			ends[2 + 2 * i] = (struct pollfd){.fd = runs[i].handle, .events = POLLIN};
		}
		if (poll(ends, 1 + 2 * count, -1) < 0) continue;
		for (size_t i = count; i-- > 0;) {
			if (ends[1 + 2 * i].revents != 0) {
				char word, path[64];
				struct pollfd end = {.fd = runs[i].handle, .events = POLLIN};
				bool executes = read(runs[i].started, &word, 1) == 0;
				close(runs[i].started);
				runs[i].started = -1;
				/* A process that is killed has lost its program before it closes its descriptors, and ends in a moment. */
				snprintf(path, sizeof path, "/proc/%ld/exe", (long)runs[i].pid);
				bool ends_now = executes && readlink(path, &word, 1) < 0 && errno == ENOENT && poll(&end, 1, 1000) > 0;
				if (executes && !ends_now) send_run("ready", &runs[i], NULL, 0);
			}
			if (ends[2 + 2 * i].revents != 0) reap(&runs[i]);
		}
		if (ends[0].revents != 0 && !read_requests()) break;
	}
	for (size_t i = 0; i < run_count; i++) syscall(SYS_pidfd_send_signal, runs[i].handle, SIGKILL, NULL, 0);
	_exit(0);
}

int hold_main(int argc, char **argv) {
	bool network = false;
	char *group = NULL, *old[64];
	size_t old_count = 0;
	for (int option; (option = getopt(argc, argv, "+ng:r:")) != -1;) {
		if (option == 'n') network = true;
		else if (option == 'g') group = optarg;
		else if (option != 'r') return NOT_RUN;
		else if (old_count < sizeof old / sizeof *old) old[old_count++] = optarg;
	}
	argv += optind - 1, argc -= optind - 1;
	if (argc < 6) return NOT_RUN;
	signal(SIGPIPE, SIG_IGN);
	/* A directory among the caller's descriptors would lead out of the testbed. */
	if (close_range(3, ~0U, 0) != 0) die("closing the caller's descriptors", NULL);
	/* Without it no process of a testbed could be ended. */
	if (syscall(SYS_pidfd_send_signal, -1, 0, NULL, 0) != 0 && errno == ENOSYS) die("sending a signal by pidfd", NULL);
	read_limits();
	int made[2], mapped[2], proc;
	make_user_namespace(argv[1], argv[2], argv[3], EVENTS);
	/* What all testbeds may use together. Real root has no user namespace here that could be limited. */
	if (strcmp(argv[1], "none") != 0) share_limits(3);
	if (network && unshare(CLONE_NEWNET) != 0) die("making a network namespace", NULL);
	for (size_t i = 0; i < old_count; i++) remove_group(AT_FDCWD, old[i], true);
	/* Of a map, the first line is that of root, and its second number the id outside. */
	long root_user = -1, root_group = -1;
	if (group != NULL && (sscanf(argv[4], "%*d %ld", &root_user) != 1 || sscanf(argv[5], "%*d %ld", &root_group) != 1)) return NOT_RUN;
	if (group != NULL && (groups = make_groups(group, (uid_t)root_user, (gid_t)root_group)) < 0) {
		report_failure(EVENTS, "NO_CGROUP", "making a cgroup", group, errno);
		_exit(1);
	}
	own_mounts();
	/* The working directory may be accessible to the caller only. */
	if (chdir("/") != 0 || (proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) die("opening", "/proc");
	bind_sources(argv + 6, (size_t)argc - 6);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (pipe2(made, O_CLOEXEC) != 0 || pipe2(mapped, O_CLOEXEC) != 0) die("making a pipe", NULL);
	pid_t holder = fork();
	if (holder < 0) die("making a process", NULL);
	if (holder == 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) die("making the user namespace of the testbeds", NULL);
		/* Else it would wait for ever when the stage fails. */
		close(mapped[1]);
		if (write(made[1], "", 1) != 1) _exit(1);
		wait_for(mapped[0]);
		if (!become_root()) die("becoming root of the user namespace", NULL);
		/* What each of the testbeds may use. */
		share_limits(2);
		if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) die("making the mounts private", NULL);
		/*
		 * A testbed with the machine's /sys has these below its own: those of other testbeds with an init belong to the user who is root of
		 * this one too. Where this is no mount point, there is nothing.
		 */
		struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
		mount_setattr(AT_FDCWD, "/sys/fs/cgroup", AT_RECURSIVE, &read_only, sizeof read_only);
		prctl(PR_SET_DUMPABLE, 1);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		set_title("virt-ts-unshare holder");
		struct run self = {.id = 0};
		send_run("held", &self, "pid", getpid());
		hold();
	}
	close(made[1]);
	wait_for(made[0]);
	char number[32];
	struct stat users;
	/* set_title() overwrites argv. */
	if (group != NULL && (group = strdup(group)) == NULL) die("copying", NULL);
	snprintf(number, sizeof number, "%ld", (long)holder);
	if (!write_map(number, "uid_map", argv[4]) || !write_map(number, "gid_map", argv[5])) die("writing the id maps of", number);
	int process = open_process(proc, holder);
	if (process < 0 || fstatat(process, "ns/user", &users, 0) != 0) die("looking at the user namespace of", number);
	close(process);
	if (group != NULL && !join_group(groups, "holder", holder)) {
		report_failure(EVENTS, "NO_CGROUP", "moving a process to the cgroup", group, errno);
		kill(holder, SIGKILL);
		remove_group(AT_FDCWD, group, true);
		_exit(1);
	}
	set_title("virt-ts-unshare stage");
	if (write(mapped[1], "", 1) != 1) _exit(1);
	close(mapped[1]);
	return stage(holder, &users, proc, group);
}
