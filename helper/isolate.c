/*
 * Runs a command on the machine's own root filesystem, with mounts, processes and IPC objects of its own: `run --host`.
 *
 * argv: isolate [-f] USERS UIDS GIDS COUNT STEP... COMMAND [ARGUMENT]...
 *   -f     the command is an interactive shell: it becomes the foreground job of the terminal, which the caller gets back
 *   USERS  the user namespace and its maps, as of users.c
 *   STEP   so many words of steps for the mounts (steps.c)
 * descriptors: 0, 1 and 2 are the command's; 3 starts the command by a byte, and its end of file ends everything; 4 gets events:
 *   "ready" with the pid of the command's pid 1, "ended" as of drain.c, "done" with the command's status, "failed"
 */
#include "steps.h"

#include <limits.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { LIFELINE_END = 3, EVENTS = 4, DRAIN_SECONDS = 10 };

static struct {
	bool foreground, keeps_capabilities;
	char **steps, **command;
	long tag;
	sigset_t mask;
} job;

static _Noreturn void die(const char *what, const char *on) {
	report_failure(EVENTS, "NO_ISOLATION", what, on, errno);
	_exit(1);
}

static void send_event(const char *name, const char *key, long long number) {
	struct event event;
	event_begin(&event, name);
	event_number(&event, key, number);
	event_send(&event, EVENTS);
}

/*
 * An ordinary user may mount (FUSE too) and change the root directory. Capabilities that override file modes would change
 * results of programs. Only ambient ones survive execve(2) of an ordinary user.
 */
static bool keep_capabilities(void) {
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2];
	if (syscall(SYS_capget, &header, sets) != 0) return false;
	sets[0].inheritable = 1U << CAP_SYS_ADMIN | 1U << CAP_SYS_CHROOT;
	sets[1].inheritable = 0;
	return syscall(SYS_capset, &header, sets) == 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0) == 0 &&
	       prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_CHROOT, 0, 0) == 0;
}

static _Noreturn void become_command(void) {
	if (job.foreground && setpgid(0, 0) == 0) tcsetpgrp(0, getpid());
	if (job.keeps_capabilities && !keep_capabilities()) die("keeping capabilities", NULL);
	set_slack((unsigned long)job.tag);
	sigprocmask(SIG_SETMASK, &job.mask, NULL);
	execvp(job.command[0], job.command);
	bool is_missing = errno == ENOENT;
	if (is_missing) dprintf(2, "virt-ts-unshare: this machine has no program %s\n", job.command[0]);
	else dprintf(2, "virt-ts-unshare: cannot execute %s: %s\n", job.command[0], strerror(errno));
	_exit(is_missing ? NO_PROGRAM : CANNOT_EXECUTE);
}

struct end {
	int status;
	bool has_left;
};

static _Noreturn void be_init(int channel) {
	char word = 0, here[PATH_MAX];
	struct place place = {.root = -1, .report = EVENTS, .started = -1, .lifeline = -1};
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) die("making the mounts private", NULL);
	const char *directory = getcwd(here, sizeof here);
	if (!run_steps(&place, job.steps, (size_t)(job.command - job.steps))) _exit(1);
	/* The path may now lead to a mount of the steps. A directory without a path stays the working directory. */
	if (directory != NULL && chdir(directory) != 0 && errno != ENOENT && errno != EACCES) die("changing to the directory", directory);
	close(place.root);
	if (send(channel, &word, 1, 0) != 1 || recv(channel, &word, 1, 0) != 1) _exit(1);
	pid_t command = fork();
	if (command < 0) die("making a process", NULL);
	if (command == 0) become_command();
	int null = open("/dev/null", O_RDWR);
	for (int descriptor = 0; descriptor < 3; descriptor++) dup2(null, descriptor);
	set_title("virt-ts-unshare init");
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	for (;; sigwaitinfo(&child, NULL)) {
		int status, of_command = -1;
		for (pid_t ended; (ended = waitpid(-1, &status, WNOHANG)) > 0;)
			if (ended == command) of_command = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		if (of_command < 0) continue;
		struct end end = {.status = of_command, .has_left = kill(-1, 0) == 0};
		if (send(channel, &end, sizeof end, 0) != sizeof end) _exit(1);
	}
}

static pid_t start_drain(int init) {
	pid_t child = fork();
	if (child != 0) return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	drain(&(struct drain){.proc = proc, .init = open_process(proc, init), .tag = job.tag, .seconds = DRAIN_SECONDS,
	                      .in = 0, .out = 1, .err = 2, .report = EVENTS});
	_exit(0);
}

/* Reports the end of the command after that of its output. Gives the drain that still runs when the lifeline ends. */
static pid_t supervise(pid_t init, int channel, pid_t terminal_group) {
	struct end end = {.status = 128 + SIGKILL};
	pid_t draining = -1;
	struct pollfd ends[] = {{.fd = LIFELINE_END, .events = POLLIN}, {.fd = channel, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
	for (;;) {
		char word = 0;
		if (poll(ends, 3, -1) < 0) continue;
		if (ends[0].revents != 0) {
			if (read(LIFELINE_END, &word, 1) != 1) return draining;
			send(channel, &word, 1, 0);
		}
		if (ends[1].revents != 0) {
			bool is_end = recv(channel, &end, sizeof end, 0) == sizeof end;
			ends[1].fd = -1;
			if (terminal_group > 0) tcsetpgrp(0, terminal_group);
			draining = is_end && end.has_left ? start_drain(init) : -1;
			if (draining < 0) send_event("done", "status", end.status);
			else ends[2].fd = (int)syscall(SYS_pidfd_open, draining, 0);
		}
		if (ends[2].revents != 0) {
			waitpid(draining, NULL, 0);
			send_event("done", "status", end.status);
			draining = ends[2].fd = -1;
		}
	}
}

int isolate_main(int argc, char **argv) {
	int channel[2], handle = -1;
	job.foreground = getopt(argc, argv, "+f") == 'f';
	char **users = argv + optind;
	long left = argc - optind - 4, count = left < 0 ? -1 : strtol(users[3], NULL, 10);
	if (count < 0 || count >= left) return NOT_RUN;
	job.steps = users + 4;
	job.command = job.steps + count;
	job.tag = FIRST_TAG + getpid() % TAGS;
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &job.mask);
	signal(SIGCHLD, SIG_DFL);
	fcntl(LIFELINE_END, F_SETFD, FD_CLOEXEC);
	fcntl(EVENTS, F_SETFD, FD_CLOEXEC);
	make_user_namespace(users[0], users[1], users[2], EVENTS);
	job.keeps_capabilities = strcmp(users[0], "none") != 0 && geteuid() != 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pid_t terminal_group = job.foreground ? tcgetpgrp(0) : -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) != 0) die("making a pair of sockets", NULL);
	struct clone_args args = {
	    .flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_PIDFD, .pidfd = (uintptr_t)&handle, .exit_signal = SIGCHLD};
	pid_t init = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (init < 0) die("making the namespaces of the command", NULL);
	if (init == 0) {
		close(channel[0]);
		close(LIFELINE_END);
		be_init(channel[1]);
	}
	close(channel[1]);
	set_title("virt-ts-unshare isolation");
	char word;
	pid_t draining = -1;
	if (recv(channel[0], &word, 1, 0) == 1) {
		send_event("ready", "pid", init);
		draining = supervise(init, channel[0], terminal_group);
	}
	syscall(SYS_pidfd_send_signal, handle, SIGKILL, NULL, 0);
	if (draining > 0) kill(draining, SIGKILL);
	waitpid(init, NULL, 0);
	if (terminal_group > 0) tcsetpgrp(0, terminal_group);
	return 0;
}
