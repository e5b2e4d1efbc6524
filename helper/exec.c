/*
 * The execute program: runs a command in a testbed with the caller's stdin, stdout and stderr, and returns when all output of
 * the command has been written.
 *
 * argv: exec -p PID -m MARK [-h HOLDER] [-g DIR] [-n] [-c DIR] [-u USER[:GROUP]] [-e NAME=VALUE]... [-d SECONDS] [-l FILE] [-E NUMBER:FILE]
 *   [-T] [-3] [-f] [-N FILES] -- COMMAND [ARGUMENT]...
 *   -p -m  host pid of the testbed's pid 1, and its mark, because pids are reused
 *   -h     host pid of its holder: after a reboot another child of that is pid 1, with the same mark
 *   -g     the testbed has an init of its own: the directory of the cgroup for commands
 *   -n     the testbed has a network namespace of its own
 *   -c -u  working directory, and user and group (name or number) in the testbed; default / and root
 *   -e     one more variable of the command's environment
 *   -d     seconds that a helper without progress is waited for; default 10
 *   -l     regular file of mode 600 that gets the events: "ended" of drain.c, and "failed" with the pid of this process
 *   -E     number of the testbed and such a file, as 1:FILE, that gets the events "started" and "finished" of journal.c
 *   -T     the command gets the caller's TERM
 *   -3     the command gets descriptor 3 too
 *   -N     soft limit of its open files, at most the hard one; default: that of this process
 *   -f     a command that stops is continued at once, where it has a terminal; else this process stops with it
 * Where stdin and stdout are a terminal, the command gets one of its own, see terminal.c.
 * status: the command's 0 to 253, its 254 and 255 as 253; 128 + n when signal n killed it; 127 or 126 when the program is missing or
 *   cannot be executed; 255 and a sentence on stderr when the command could not be run
 */
#include "exec.h"

#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

void fail(const struct job *job, const char *code, const char *format, ...) {
	char what[2048];
	va_list values;
	va_start(values, format);
	vsnprintf(what, sizeof what, format, values);
	va_end(values);
	/* Names come from a driver, and the terminal of the caller would obey control characters. */
	for (char *byte = what; *byte != '\0'; byte++)
		if ((unsigned char)*byte < ' ' || *byte == 127) *byte = '?';
	dprintf(2, "virt-ts-unshare: cannot run a command in the testbed: %s\n", what);
	if (job->report >= 0) {
		struct event event;
		event_begin(&event, "failed");
		event_text(&event, "code", code);
		event_text(&event, "what", what);
		event_number(&event, "pid", job->self);
		event_send(&event, job->report);
	}
	if (job->channel >= 0 && write(job->channel, "", 1) < 0) _exit(NOT_RUN);
	_exit(NOT_RUN);
}

/* A process that is about to end has left its namespaces, even while pid 1 waits for others. */
static bool testbed_is_gone(const struct job *job) {
	char link[64];
	return job->init >= 0 && readlinkat(job->init, "ns/mnt", link, sizeof link) < 0;
}

static const char *remedy(int error) {
	switch (error) {
	case EMFILE: return "raise the limit of open files (ulimit -n)";
	case ENFILE: return "end programs that have many files open, or raise fs.file-max with sysctl";
	case ENOMEM: return "free some memory";
	case ENOSPC: return "raise user.max_*_namespaces with sysctl, or close other testbeds";
	case EAGAIN: return "end other processes of this user, or raise its limit (ulimit -u, or TasksMax= of the systemd unit)";
	default: return "virt-ts-unshare doctor names what this machine lacks";
	}
}

void fail_to_enter(const struct job *job, const char *what) {
	int error = errno;
	if (testbed_is_gone(job)) fail(job, "CLOSED", "it is closed");
	if (error == EAGAIN) fail(job, "PROCESS_LIMIT", "it has as many processes as it may have; end some, or give a larger limit (--max-processes, maxProcesses in the library)");
	fail(job, "CANNOT_ENTER", "entering it failed (%s): %s; %s", what, strerror(error), remedy(error));
}

/*
 * The process that opened the testbed may belong to another user, or have ended. Then the path may be that of an open file of a later
 * process with its pid, which must not be changed: that of the testbed is private.
 */
static int open_report(const char *path) {
	struct stat status;
	int file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file >= 0 && fstat(file, &status) == 0 && status.st_mode == (S_IFREG | 0600)) return file;
	if (file >= 0) close(file);
	return -1;
}

static void parse_options(struct job *job, int argc, char **argv) {
	job->variables = calloc((size_t)argc, sizeof *job->variables);
	for (int option; (option = getopt(argc, argv, "+p:m:h:g:nc:u:e:d:l:E:T3fN:")) != -1;) {
		switch (option) {
		case 'p': job->pid1 = (pid_t)strtol(optarg, NULL, 10); break;
		case 'm': job->mark = strtol(optarg, NULL, 10); break;
		case 'h': job->holder = (pid_t)strtol(optarg, NULL, 10); break;
		case 'g':
			job->has_init = true;
			job->cgroup = open(optarg, O_PATH | O_DIRECTORY | O_CLOEXEC);
			break;
		case 'n': job->network = true; break;
		case 'c': job->directory = optarg; break;
		case 'u': {
			/* The arguments stay as they are: a protected copy of the program gets them again. */
			char *user = strdup(optarg);
			if (user == NULL) fail(job, "NO_USER", "there is no memory for the name of the user");
			job->user = strsep(&user, ":"), job->group = user;
			break;
		}
		case 'e': if (job->variables != NULL && strchr(optarg, '=') != NULL) job->variables[job->variable_count++] = optarg; break;
		case 'd': job->seconds = strtod(optarg, NULL); break;
		case 'l': job->report = open_report(optarg); break;
		case 'E': {
			char *path;
			long testbed = strtol(optarg, &path, 10);
			if (*path == ':') journal_open(open_report(path + 1), testbed);
			break;
		}
		case 'T': job->term = getenv("TERM"); break;
		case '3': job->third = true; break;
		case 'f': job->foreground = true; break;
		case 'N': job->files = (rlim_t)strtoul(optarg, NULL, 10); break;
		default: fail(job, "WRONG_OPTION", "the helper was called with a wrong option");
		}
	}
	job->command = argv + optind;
	if (job->command[0] == NULL || job->variables == NULL) fail(job, "WRONG_OPTION", "no command is given");
}

/*
 * The command's process, in the cgroup for commands: the testbed's init cannot move one from outside, for a session or a scope. The right to
 * is the caller's, before it becomes root of the testbed; an ordinary user does not have it in another login session.
 */
static pid_t fork_for_command(const struct job *job) {
	pid_t child = fork_into(job->cgroup);
	if (child >= 0 || job->cgroup < 0) return child;
	if (errno == ENODEV) fail(job, "CLOSED", "it is closed");
	return fork();
}

/* Root of the testbed must not ptrace(2) what has the caller's memory. A change of ids may have permitted it. */
static void take_ids(const struct job *job) {
	if (!become_root()) fail_to_enter(job, "its root's ids");
	prctl(PR_SET_DUMPABLE, 0);
}

static bool find_pid1(struct job *job) {
	job->init = open_process(job->proc, job->pid1);
	if (job->mark <= 0) return false;
	if (job->init >= 0 && read_number_at(job->init, "timerslack_ns") == job->mark) return true;
	char path[64], text[65536], *next;
	snprintf(path, sizeof path, "%ld/task/%ld/children", (long)job->holder, (long)job->holder);
	if (job->holder <= 0 || read_at(job->proc, path, text, sizeof text) <= 0) return false;
	for (const char *word = text;; word = next) {
		job->pid1 = (pid_t)strtol(word, &next, 10);
		if (next == word) return false;
		close(job->init);
		job->init = open_process(job->proc, job->pid1);
		if (job->init >= 0 && read_number_at(job->init, "timerslack_ns") == job->mark) return true;
	}
}

int exec_main(int argc, char **argv) {
	const pid_t self = getpid();
	struct job job = {.directory = "/", .seconds = 10, .self = self, .tag = FIRST_TAG + self % TAGS,
	                  .proc = -1, .init = -1, .report = -1, .cgroup = -1, .channel = -1};
	for (int descriptor = 0; descriptor < 3; descriptor++)
		if (fcntl(descriptor, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0) return NOT_RUN;
	parse_options(&job, argc, argv);
	errno = 0;
	job.proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (job.proc < 0 || !find_pid1(&job)) {
		/* Else it would be reported as closed where only this process lacks a descriptor. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) fail_to_enter(&job, "its pid 1");
		fail(&job, "CLOSED", "it is closed");
	}
	if (!protect_program(job.init)) fail(&job, "UNPROTECTED", "the helper cannot copy itself into memory: %s; %s", strerror(errno), remedy(errno));

	sigset_t all, mask;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &mask);
	/* With SIGCHLD ignored the kernel reaps the children, and their status is lost. */
	signal(SIGCHLD, SIG_DFL);
	job.terminal = isatty(0) == 1 && isatty(1) == 1;
	/* A terminal is taken as root, before the command's process is made, which then moves itself by a file that the caller has opened. */
	int procs = job.terminal && job.cgroup >= 0 ? openat(job.cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC) : -1;
	if (job.terminal) job.cgroup = -1;
	int link = job.terminal ? split_for_terminal() : -1;
	if (job.terminal && link < 0) fail(&job, "NO_TERMINAL", "making a terminal for it failed: %s; %s", strerror(errno), remedy(errno));

	/* Without the mount namespace, because /proc has to stay that of the host. */
	const char *missing = enter_namespaces(job.init, USER_NS | PID_NS);
	if (missing != NULL) fail_to_enter(&job, missing);
	if (job.terminal) take_ids(&job);
	if (job.terminal && !take_terminal(job.init, link))
		fail(&job, "NO_TERMINAL", "its devpts at /dev/pts makes no terminal: %s; %s", strerror(errno), remedy(errno));
	/* Root of the testbed sees the child before it has changed its ids, and must not ptrace(2) it then either: see take_ids(). */
	prctl(PR_SET_DUMPABLE, 0);
	/* The command line can be read in spite of that, and has the path of a private home. */
	size_t length = strlen(program_invocation_name);
	char *name = strdup(program_invocation_name);
	memset(program_invocation_name, 0, length);
	int channel[2];
	if (name == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) != 0) fail_to_enter(&job, "a pair of sockets");
	pid_t child = fork_for_command(&job);
	if (child < 0) fail_to_enter(&job, "a new process");
	if (child == 0) {
		close(channel[0]);
		job.channel = channel[1];
		if (procs >= 0 && write(procs, "0", 1) < 0 && errno == ENODEV) fail(&job, "CLOSED", "it is closed");
		take_ids(&job);
		become_command(&job, &mask);
	}
	close(channel[1]);
	take_ids(&job);
	memcpy(program_invocation_name, name, length);
	/* The server must see the namespaces of this process, to end a testbed when this process is stopped. */
	prctl(PR_SET_DUMPABLE, 1);
	if (job.terminal) {
		setpgid(child, child);
		tcsetpgrp(0, child);
	}
	journal_start(job.init, job.self, job.command);
	/* A process that another command has killed, as by kill -9 -1, is the command's. */
	if (write(channel[0], "", 1) != 1 && errno != EPIPE) fail_to_enter(&job, "the command's process");
	journal_watch(job.proc, child, channel[0]);

	int status = status_of(&job, child);
	char word;
	bool was_run = recv(channel[0], &word, 1, MSG_DONTWAIT) != 1;
	if (was_run && status == 128 + SIGKILL && testbed_is_gone(&job)) {
		/* Else it would be reaped by the init of the host, for which the end of pid 1 would have to wait. */
		waitpid(child, NULL, 0);
		fail(&job, "CLOSED", "its pid 1 has ended");
	}
	if (was_run && status > HIGHEST_STATUS) status = HIGHEST_STATUS;
	if (is_anything_left(&job, child) && !(status == 128 + SIGKILL && waits_for_reboot(&job)))
		drain(&(struct drain){.proc = job.proc, .init = job.init, .tag = job.tag, .seconds = job.seconds, .in = 0, .out = 1, .err = 2,
		                      .group = job.terminal ? 0 : child, .report = job.report});
	journal_finish(&(struct finished){.init = job.init, .self = job.self, .child = child, .status = was_run ? status : -1});
	waitpid(child, NULL, 0);
	/* systemd-shutdown waits for all that it has killed, and looks again at SIGCHLD only, which this process gets for the command. */
	if (job.has_init) syscall(SYS_pidfd_send_signal, job.init, SIGCHLD, NULL, 0);
	return status;
}
