/*
 * Stage and holder: the two processes that keep a server's user namespaces, and in which its testbeds are made. See "Stage, holder,
 * testbed" in docs/architecture.md.
 *
 * argv: hold [-n] [-g GROUPS] [-r OLD]... STAGE STAGE_UIDS STAGE_GIDS UIDS GIDS SOURCE...
 *   -n      a network namespace of the stage's own
 *   -g      makes this directory for the cgroups of testbeds, in one that the caller may write to; removed at the end
 *   -r      removes this directory, which a killed server has left
 *   STAGE   the stage's user namespace and its maps, as of users.c
 *   SOURCE  directories and files of the host, bound at /mnt/0, /mnt/1, … of stage and holder; with "ro:" before it read-only
 * stdin: requests, each a count of fields and the fields, all ended by a zero byte; its end of file ends everything:
 *   run ID NAMESPACES OWNER COUNT GROUP STEP...
 *                               runs the steps (steps.c) in a new process; NAMESPACES are letters, as of `enter`, of new ones. With
 *                               the letter u its user namespace is below the holder's, has the same ids, and belongs to the user OWNER;
 *                               the first COUNT words of STEP are steps that run in the holder's namespaces before; GROUP is the name
 *                               of its cgroup, which is made, and removed before "ended"; empty: it has that of the holder
 *   end ID                      kills that process
 *   go ID                       continues that process, which waits in its step "init"
 *   drop ID PATH                unmounts PATH, if it is mounted, and removes the directory: the holder does it itself, so that
 *                               it needs neither a process nor a descriptor; "ended" with the status 0, or 1 when it fails
 * stdout: events: "held" with the holder's pid; for each run "started" with its pid, "failed", "standing" when it waits for "go", or "ready" when its steps
 *   are done (for a testbed: when its pid 1 executes /bin/sh), and "ended" with its status when it was reaped; at the end "left" with the pid of
 *   each process, at most some, that SIGKILL has not ended
 * status: 0, or 1 after "failed" or "left"
 */
#include "hold.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { MAX_REQUEST = 1 << 24, MAX_FIELDS = 1 << 16 };

void fail_to_hold(const char *what, const char *on) {
	report_failure(EVENTS, "NO_NAMESPACES", what, on, errno);
	_exit(1);
}

void wait_for_byte(int pipe_end) {
	char word;
	if (read(pipe_end, &word, 1) != 1) _exit(1);
}

static void drop(long id, const char *path) {
	/* It need not be mounted: its set-up may have failed before. */
	bool good = umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || errno == EINVAL || errno == ENOENT;
	/* This also unmounts it in mount namespaces that were copied from this one meanwhile. */
	good = good && (rmdir(path) == 0 || errno == ENOENT);
	report_run("ended", id, "status", good ? 0 : 1);
}

static void answer(char **fields, size_t count) {
	if (count < 2) return;
	long id = strtol(fields[1], NULL, 10);
	if (count >= 6 && strcmp(fields[0], "run") == 0) start_run(fields, count);
	if (count == 3 && strcmp(fields[0], "drop") == 0) drop(id, fields[2]);
	if (count == 2 && strcmp(fields[0], "go") == 0) continue_run(id);
	if (count == 2 && strcmp(fields[0], "end") == 0) kill_run(id);
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

static _Noreturn void serve(void) {
	for (;;) {
		static struct pollfd ends[1 + ENDS_OF_RUNS] = {{.fd = REQUESTS, .events = POLLIN}};
		size_t count = watch_runs(ends + 1);
		if (poll(ends, 1 + count, -1) < 0) continue;
		follow_runs(ends + 1, count);
		if (ends[0].revents != 0 && !read_requests()) break;
	}
	kill_runs();
	_exit(0);
}

struct arguments {
	bool network;
	char *group, *old[64];
	size_t old_count;
	/* The stage's user namespace, its maps, and the holder's; as of users.c. */
	char *stage, *stage_uids, *stage_gids, *uids, *gids, **sources;
	size_t source_count;
};

static bool parse(int argc, char **argv, struct arguments *given) {
	for (int option; (option = getopt(argc, argv, "+ng:r:")) != -1;) {
		if (option == 'n') given->network = true;
		else if (option == 'g') given->group = optarg;
		else if (option != 'r') return false;
		else if (given->old_count < sizeof given->old / sizeof *given->old) given->old[given->old_count++] = optarg;
	}
	argv += optind, argc -= optind;
	if (argc < 5) return false;
	given->stage = argv[0], given->stage_uids = argv[1], given->stage_gids = argv[2], given->uids = argv[3], given->gids = argv[4];
	given->sources = argv + 5, given->source_count = (size_t)argc - 5;
	return true;
}

static void become_stage(const struct arguments *given) {
	read_limits();
	make_user_namespace(given->stage, given->stage_uids, given->stage_gids, EVENTS);
	/* What all testbeds may use together. Real root has no user namespace here that could be limited. */
	if (strcmp(given->stage, "none") != 0) share_limits(3);
	if (given->network && unshare(CLONE_NEWNET) != 0) fail_to_hold("making a network namespace", NULL);
	for (size_t i = 0; i < given->old_count; i++) remove_group(AT_FDCWD, given->old[i], true);
	if (given->group != NULL) {
		/* Of a map, the first line is that of root, and its second number the id outside. */
		long user, group;
		if (sscanf(given->uids, "%*d %ld", &user) != 1 || sscanf(given->gids, "%*d %ld", &group) != 1) _exit(NOT_RUN);
		if ((groups = make_groups(given->group, (uid_t)user, (gid_t)group)) < 0) {
			report_failure(EVENTS, "NO_CGROUP", "making a cgroup", given->group, errno);
			_exit(1);
		}
	}
	own_mounts();
}

/* In a child of the stage. A byte in `made`: the user namespace is made; in `mapped`: the stage has written its id maps. */
static _Noreturn void become_holder(const int made[2], const int mapped[2]) {
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) fail_to_hold("making the user namespace of the testbeds", NULL);
	/* Else this process would wait for ever when the stage fails. */
	close(mapped[1]);
	if (write(made[1], "", 1) != 1) _exit(1);
	wait_for_byte(mapped[0]);
	close(made[0]), close(made[1]), close(mapped[0]);
	if (!become_root()) fail_to_hold("becoming root of the user namespace", NULL);
	/* What each of the testbeds may use. */
	share_limits(2);
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail_to_hold("making the mounts private", NULL);
	/*
	 * A testbed with the machine's /sys has these below its own: those of other testbeds with an init belong to the user that is root of
	 * this one too. Where this is no mount point, there is nothing.
	 */
	struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
	mount_setattr(AT_FDCWD, "/sys/fs/cgroup", AT_RECURSIVE, &read_only, sizeof read_only);
	prctl(PR_SET_DUMPABLE, 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	set_title("virt-ts-unshare holder");
	report_run("held", 0, "pid", getpid());
	serve();
}

/* In its cgroup, to which the holder has no right itself. */
static pid_t fork_holder(const struct arguments *given) {
	int group = given->group == NULL ? -1 : open_group(groups, "holder");
	pid_t holder = given->group != NULL && group < 0 ? -1 : fork_into(group);
	if (holder < 0 && given->group != NULL) {
		report_failure(EVENTS, "NO_CGROUP", "making a process in the cgroup", given->group, errno);
		remove_group(AT_FDCWD, given->group, true);
		_exit(1);
	}
	if (holder < 0) fail_to_hold("making a process", NULL);
	if (group >= 0) close(group);
	return holder;
}

/* Gives the holder its id maps. Returns its user namespace. */
static struct stat admit(pid_t holder, int proc, const struct arguments *given) {
	char number[32];
	struct stat users;
	snprintf(number, sizeof number, "%ld", (long)holder);
	if (!write_map(number, "uid_map", given->uids) || !write_map(number, "gid_map", given->gids)) fail_to_hold("writing the id maps of", number);
	int process = open_process(proc, holder);
	if (process < 0 || fstatat(process, "ns/user", &users, 0) != 0) fail_to_hold("looking at the user namespace of", number);
	close(process);
	return users;
}

int hold_main(int argc, char **argv) {
	struct arguments given = {.group = NULL};
	if (!parse(argc, argv, &given)) return NOT_RUN;
	signal(SIGPIPE, SIG_IGN);
	/* A step that exceeds the limit of the size of files reports EFBIG. */
	signal(SIGXFSZ, SIG_IGN);
	/* A directory among the caller's descriptors would lead out of the testbed. */
	if (close_range(3, ~0U, 0) != 0) fail_to_hold("closing the caller's descriptors", NULL);
	/* Without it no process of a testbed could be ended. */
	if (syscall(SYS_pidfd_send_signal, -1, 0, NULL, 0) != 0 && errno == ENOSYS) fail_to_hold("sending a signal by pidfd", NULL);
	become_stage(&given);
	int made[2], mapped[2], proc;
	/* The working directory may be accessible to the caller only. */
	if (chdir("/") != 0 || (proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) fail_to_hold("opening", "/proc");
	bind_sources(given.sources, given.source_count);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (pipe2(made, O_CLOEXEC) != 0 || pipe2(mapped, O_CLOEXEC) != 0) fail_to_hold("making a pipe", NULL);
	pid_t holder = fork_holder(&given);
	if (holder == 0) become_holder(made, mapped);
	close(made[1]);
	wait_for_byte(made[0]);
	/* set_title() overwrites argv. */
	if (given.group != NULL && (given.group = strdup(given.group)) == NULL) fail_to_hold("copying", NULL);
	struct stat users = admit(holder, proc, &given);
	set_title("virt-ts-unshare stage");
	if (write(mapped[1], "", 1) != 1) _exit(1);
	close(mapped[1]);
	bool complete = wait_for_end(holder, &users, proc);
	if (given.group != NULL) remove_group(AT_FDCWD, given.group, true);
	return complete ? 0 : 1;
}
