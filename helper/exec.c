/*
 * The execute program: runs a command in a testbed with the caller's stdin, stdout and stderr, and returns when all output of
 * the command has been written.
 *
 * argv: exec -p PID -m MARK [-h HOLDER] [-g FILE] [-n] [-c DIR] [-u USER[:GROUP]] [-e NAME=VALUE]... [-d SECONDS] [-l FILE] [-E NUMBER:FILE]
 *   [-T] [-3] [-f] [-N FILES] -- COMMAND [ARGUMENT]...
 *   -p -m  host pid of the testbed's pid 1, and its mark, because pids are reused
 *   -h     host pid of its holder: after a reboot another child of that is pid 1, with the same mark
 *   -g     the testbed has an init of its own: cgroup.procs of the cgroup for commands
 *   -n     the testbed has a network namespace of its own
 *   -c -u  working directory, and user and group (name or number) in the testbed; default / and root
 *   -e     one more variable of the command's environment
 *   -d     seconds that a helper without progress is waited for; default 10
 *   -l     regular file that gets the events: "ended" of drain.c, and "failed" with the pid of this process
 *   -E     number of the testbed and a regular file, as 1:FILE, that gets the events "started" and "finished" of journal.c
 *   -T     the command gets the caller's TERM
 *   -3     the command gets descriptor 3 too
 *   -N     soft limit of its open files, at most the hard one; default: that of this process
 *   -f     a command that stops is continued at once, where it has a terminal; else this process stops with it
 * Where stdin and stdout are a terminal, the command gets one of its own, see terminal.c.
 * status: the command's 0 to 253, its 254 and 255 as 253; 128 + n when signal n killed it; 127 or 126 when the program is missing or
 *   cannot be executed; 255 and a sentence on stderr when the command could not be run
 */
#include "steps.h"

#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <linux/close_range.h>

static struct {
	const char *directory, *user, *group, *term;
	double seconds;
	bool network, third, foreground;
	char **variables, **command;
	size_t variable_count;
	rlim_t files;
	long mark, tag;
	pid_t self, pid1, holder;
	int proc, init, report, cgroup;
	bool has_init;
	/* The child reads one byte before it runs, and writes one when it could not execute the command. */
	int channel;
	/* Its user namespace's, empty where it could not be read. */
	char map[256];
} job = {.directory = "/", .seconds = 10, .proc = -1, .init = -1, .report = -1, .cgroup = -1, .channel = -1};

static _Noreturn __attribute__((format(printf, 2, 3))) void fail(const char *code, const char *format, ...) {
	char what[2048];
	va_list values;
	va_start(values, format);
	vsnprintf(what, sizeof what, format, values);
	va_end(values);
	/* Names come from a driver, and the terminal of the caller would obey control characters. */
	for (char *byte = what; *byte != '\0'; byte++)
		if ((unsigned char)*byte < ' ' || *byte == 127) *byte = '?';
	dprintf(2, "virt-ts-unshare: cannot run a command in the testbed: %s\n", what);
	if (job.report >= 0) {
		struct event event;
		event_begin(&event, "failed");
		event_text(&event, "code", code);
		event_text(&event, "what", what);
		event_number(&event, "pid", job.self);
		event_send(&event, job.report);
	}
	if (job.channel >= 0 && write(job.channel, "", 1) < 0) _exit(NOT_RUN);
	_exit(NOT_RUN);
}

/* A process that is about to end has left its namespaces, even while pid 1 waits for others. */
static bool testbed_is_gone(void) {
	char link[64];
	return job.init >= 0 && readlinkat(job.init, "ns/mnt", link, sizeof link) < 0;
}

static const char *remedy(int error) {
	switch (error) {
	case EMFILE: return "raise the limit of open files (ulimit -n)";
	case ENFILE: return "end programs that have many files open, or raise fs.file-max with sysctl";
	case ENOMEM: return "free some memory";
	case ENOSPC: return "raise user.max_*_namespaces with sysctl, or close other testbeds";
	case EAGAIN: return "end other processes of this user, or raise its limit (ulimit -u)";
	default: return "virt-ts-unshare doctor names what this machine lacks";
	}
}

static _Noreturn void fail_to_enter(const char *what) {
	int error = errno;
	if (testbed_is_gone()) fail("CLOSED", "it is closed");
	if (error == EAGAIN) fail("PROCESS_LIMIT", "it has as many processes as it may have; end some, or give a larger --max-processes");
	fail("CANNOT_ENTER", "entering it failed (%s): %s; %s", what, strerror(error), remedy(error));
}

static void become_user(const struct account *account) {
	long inside, outside, count;
	int end = 0;
	if (sscanf(job.map, "%ld %ld %ld %n", &inside, &outside, &count, &end) == 3 && count == 1 && job.map[end] == '\0') {
		if (account->uid == 0 && account->gid == 0) return;
		fail("NO_IDS", "it has no ids but root's, so not those of %s; on the host, give its caller ranges in /etc/subuid and /etc/subgid",
		     job.user);
	}
	static gid_t groups[NGROUPS_MAX];
	if (setgroups(read_groups(account, groups, NGROUPS_MAX), groups) != 0 ||
	    setresgid(account->gid, account->gid, account->gid) != 0 || setresuid(account->uid, account->uid, account->uid) != 0)
		fail("NO_IDS", "it has no ids for user %s: %s", job.user, strerror(errno));
	prctl(PR_SET_DUMPABLE, 0);
}

static void set_environment(const struct account *account) {
	clearenv();
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("SHELL", account->shell, 1);
	setenv("HOME", account->home, 1);
	read_environment();
	for (size_t i = 0; i < job.variable_count; i++) putenv(job.variables[i]);
	if (job.term != NULL) setenv("TERM", job.term, 1);
}

static _Noreturn void become_command(bool terminal, const sigset_t *mask) {
	char word, keyring[64];
	if (read(job.channel, &word, 1) != 1) _exit(NOT_RUN);
	/*
	 * Its init cannot move a process from outside of its cgroup, for a session or a scope. The right to do so is that of the caller,
	 * who has opened the file, and is missing where `exec` is called in another session of an ordinary user.
	 */
	if (job.cgroup >= 0 && write(job.cgroup, "0", 1) < 0 && errno == ENODEV) fail("CLOSED", "it is closed");
	/* With the caller's controlling terminal, root of the testbed could insert input (TIOCSTI of ioctl_tty(2)). */
	if (terminal) setpgid(0, 0);
	else setsid();
	if (job.user != NULL && read_at(job.init, "uid_map", job.map, sizeof job.map) < 0) fail_to_enter("its ids");
	const char *missing = enter_namespaces(job.init, MNT_NS | IPC_NS | UTS_NS | CGROUP_NS | (job.network ? NET_NS : 0U));
	if (missing != NULL) fail_to_enter(missing);
	if (!close_all_but(job.third ? 4 : 3, (const int[]){job.channel, job.report}, 2)) fail_to_enter("the caller's descriptors");
	job.proc = job.init = job.cgroup = -1;
	snprintf(keyring, sizeof keyring, "virt-ts-unshare-%ld", job.mark);
	if (!join_session_keyring(keyring))
		fail("NO_KEYRING", "joining its session keyring failed (sysctl kernel.keys limits their number): %s", strerror(errno));
	set_slack((unsigned long)job.tag);
	umask(022);
	if (chdir(job.directory) != 0) {
		if (errno == EACCES)
			fail("DIRECTORY_CLOSED", "its root may not enter the directory %s; open it to others, as by chmod o+x", job.directory);
		fail("NO_DIRECTORY", "it has no directory %s", job.directory);
	}
	struct account account = {.home = "/root", .shell = "/bin/sh"};
	if (job.user != NULL && !look_up_account(job.user, &account)) fail("NO_USER", "it has no user %s", job.user);
	if (job.group != NULL && !choose_group(job.group, &account)) fail("NO_GROUP", "it has no group %s", job.group);
	set_environment(&account);
	if (terminal && job.user != NULL && fchown(0, account.uid, (gid_t)-1) != 0 && errno != EPERM && errno != EINVAL)
		fail_to_enter("its terminal");
	if (job.user != NULL) become_user(&account);
	struct rlimit files;
	if (job.files > 0 && getrlimit(RLIMIT_NOFILE, &files) == 0 && job.files < files.rlim_max) {
		files.rlim_cur = job.files;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* That came too late when the parent has ended before. */
	if (recv(job.channel, &word, 1, MSG_DONTWAIT) == 0) _exit(NOT_RUN);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(job.command[0], job.command);
	/* For a user who has too many, the kernel reports it here. */
	if (errno == EAGAIN) fail_to_enter("its processes");
	int status = errno == ENOENT ? NO_PROGRAM : CANNOT_EXECUTE;
	if (status == NO_PROGRAM && strchr(job.command[0], '/') == NULL)
		dprintf(2, "virt-ts-unshare: the testbed has no program %s\n", job.command[0]);
	else
		dprintf(2, "virt-ts-unshare: cannot execute %s in the testbed: %s\n", job.command[0], strerror(errno));
	_exit(status);
}

static bool ignores(pid_t pid, int signal) {
	char path[64], text[4096];
	unsigned long long ignored = 0;
	snprintf(path, sizeof path, "%d/status", pid);
	const char *line = read_at(job.proc, path, text, sizeof text) > 0 ? strstr(text, "\nSigIgn:") : NULL;
	return line != NULL && sscanf(line, " SigIgn: %llx", &ignored) == 1 && (ignored >> (signal - 1) & 1) != 0;
}

/* Ctrl-Z on the caller's terminal, which is that of this process but not of the command. */
static void stop_with(pid_t child, const sigset_t *signals) {
	sigset_t stop;
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	kill(-child, SIGSTOP);
	/* Does nothing where no shell could continue this process. */
	kill(getpid(), SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &stop, NULL);
	sigprocmask(SIG_BLOCK, signals, NULL);
	kill(-child, SIGCONT);
}

/* The command's process stays a zombie, so that its pid and process group are not reused. */
static int status_of(pid_t child, bool terminal) {
	sigset_t signals;
	sigemptyset(&signals);
	for (const int *signal = (const int[]){SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP, 0}; *signal != 0; signal++)
		sigaddset(&signals, *signal);
	for (;;) {
		siginfo_t end = {0}, stop = {0}, received;
		waitid(P_PID, (id_t)child, &end, WEXITED | WNOHANG | WNOWAIT);
		if (end.si_code == CLD_EXITED) return end.si_status;
		if (end.si_code == CLD_KILLED || end.si_code == CLD_DUMPED) return 128 + end.si_status;
		if (waitid(P_PID, (id_t)child, &stop, WSTOPPED | WNOHANG) == 0 && stop.si_pid != 0) {
			/* A command that asked this process to trace it (PTRACE_TRACEME) still gets its signals. */
			if (ptrace(PTRACE_DETACH, child, NULL, (long)stop.si_status) == 0 || !terminal) continue;
			if (!job.foreground) kill(getpid(), SIGSTOP);
			/* A shell inside may have taken the terminal. */
			tcsetpgrp(0, child);
			kill(-child, SIGCONT);
			continue;
		}
		int signal = sigwaitinfo(&signals, &received);
		if (signal < 0 || signal == SIGCHLD) continue;
		if (signal == SIGTSTP && !terminal) {
			stop_with(child, &signals);
			continue;
		}
		if (terminal && received.si_code > 0) continue;
		/* A driver waits for this process, and a stopped one would block it. */
		if (signal == SIGTERM && ignores(child, SIGTERM)) signal = SIGKILL;
		if (kill(-child, signal) != 0) kill(child, signal);
	}
}

/* A quick check: may any process, except the reader of pid 1, belong to this command? */
static bool is_anything_left(pid_t child) {
	char text[4096], path[64], *next;
	/* A process made with CLONE_PARENT is a child of this one. */
	if (read_at(job.proc, "thread-self/children", text, sizeof text) < 0) return true;
	if (strtol(text, &next, 10) != child || strspn(next, " ") != strlen(next)) return true;
	snprintf(path, sizeof path, "task/%ld/children", (long)job.pid1);
	ssize_t length = read_at(job.init, path, text, sizeof text);
	if (length < 0 || length == sizeof text - 1) return true;
	bool has_reader = false;
	for (const char *word = text;; word = next) {
		long pid = strtol(word, &next, 10);
		if (next == word) return false;
		snprintf(path, sizeof path, "%ld/timerslack_ns", pid);
		long slack = read_number_at(job.proc, path);
		/* Processes that an init has started have its mark. */
		if (slack == job.mark && (job.has_init || !has_reader)) has_reader = true;
		else if (slack == job.tag || !is_tag(slack)) return true;
	}
}

/* autopkgtest-reboot-prepare has killed the driver's wrapper; the test goes on, and reboots. */
static bool waits_for_reboot(void) {
	int root = openat(job.init, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int mark = root < 0 ? -1 : open_below(root, "run/autopkgtest-reboot-prepare-mark", O_PATH | O_NOFOLLOW);
	close(root), close(mark);
	return mark >= 0;
}

/* The process that opened the testbed may belong to another user, or have ended. */
static int open_report(const char *path) {
	struct stat status;
	int file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file >= 0 && fstat(file, &status) == 0 && S_ISREG(status.st_mode)) return file;
	if (file >= 0) close(file);
	return -1;
}

static void parse_options(int argc, char **argv) {
	job.variables = calloc((size_t)argc, sizeof *job.variables);
	for (int option; (option = getopt(argc, argv, "+p:m:h:g:nc:u:e:d:l:E:T3fN:")) != -1;) {
		switch (option) {
		case 'p': job.pid1 = (pid_t)strtol(optarg, NULL, 10); break;
		case 'm': job.mark = strtol(optarg, NULL, 10); break;
		case 'h': job.holder = (pid_t)strtol(optarg, NULL, 10); break;
		case 'g': job.has_init = true, job.cgroup = open(optarg, O_WRONLY | O_CLOEXEC); break;
		case 'n': job.network = true; break;
		case 'c': job.directory = optarg; break;
		case 'u': {
			/* The arguments stay as they are: a protected copy of the program gets them again. */
			char *user = strdup(optarg);
			if (user == NULL) fail("NO_USER", "there is no memory for the name of the user");
			job.user = strsep(&user, ":"), job.group = user;
			break;
		}
		case 'e': if (job.variables != NULL && strchr(optarg, '=') != NULL) job.variables[job.variable_count++] = optarg; break;
		case 'd': job.seconds = strtod(optarg, NULL); break;
		case 'l': job.report = open_report(optarg); break;
		case 'E': {
			char *path;
			long testbed = strtol(optarg, &path, 10);
			if (*path == ':') journal_open(open_report(path + 1), testbed);
			break;
		}
		case 'T': job.term = getenv("TERM"); break;
		case '3': job.third = true; break;
		case 'f': job.foreground = true; break;
		case 'N': job.files = (rlim_t)strtoul(optarg, NULL, 10); break;
		default: fail("WRONG_OPTION", "the helper was called with a wrong option");
		}
	}
	job.command = argv + optind;
	if (job.command[0] == NULL || job.variables == NULL) fail("WRONG_OPTION", "no command is given");
}

static bool find_pid1(void) {
	job.init = open_process(job.proc, job.pid1);
	if (job.mark <= 0) return false;
	if (job.init >= 0 && read_number_at(job.init, "timerslack_ns") == job.mark) return true;
	char path[64], text[65536], *next;
	snprintf(path, sizeof path, "%ld/task/%ld/children", (long)job.holder, (long)job.holder);
	if (job.holder <= 0 || read_at(job.proc, path, text, sizeof text) <= 0) return false;
	for (const char *word = text;; word = next) {
		job.pid1 = (pid_t)strtol(word, &next, 10);
		if (next == word) return false;
		close(job.init);
		job.init = open_process(job.proc, job.pid1);
		if (job.init >= 0 && read_number_at(job.init, "timerslack_ns") == job.mark) return true;
	}
}

int exec_main(int argc, char **argv) {
	job.self = getpid();
	job.tag = FIRST_TAG + job.self % TAGS;
	for (int descriptor = 0; descriptor < 3; descriptor++)
		if (fcntl(descriptor, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0) return NOT_RUN;
	parse_options(argc, argv);
	errno = 0;
	job.proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (job.proc < 0 || !find_pid1()) {
		/* Else it would be reported as closed where only this process lacks a descriptor. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) fail_to_enter("its pid 1");
		fail("CLOSED", "it is closed");
	}
	if (!protect_program(job.init)) fail("UNPROTECTED", "the helper cannot copy itself into memory: %s; %s", strerror(errno), remedy(errno));

	sigset_t all, mask;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &mask);
	/* With SIGCHLD ignored the kernel reaps the children, and their status is lost. */
	signal(SIGCHLD, SIG_DFL);
	bool terminal = isatty(0) == 1 && isatty(1) == 1;
	int link = terminal ? split_for_terminal() : -1;
	if (terminal && link < 0) fail("NO_TERMINAL", "making a terminal for it failed: %s; %s", strerror(errno), remedy(errno));

	/* Without the mount namespace, because /proc has to stay that of the host. */
	const char *missing = enter_namespaces(job.init, USER_NS | PID_NS);
	if (missing != NULL) fail_to_enter(missing);
	if (!become_root()) fail_to_enter("its root's ids");
	if (terminal && !take_terminal(job.init, link))
		fail("NO_TERMINAL", "its devpts at /dev/pts makes no terminal: %s; %s", strerror(errno), remedy(errno));
	/* Root of the testbed must not ptrace(2) the child, which has the caller's memory until it executes the command. */
	prctl(PR_SET_DUMPABLE, 0);
	/* The command line can be read in spite of that, and has the path of a private home. */
	size_t length = strlen(program_invocation_name);
	char *name = strdup(program_invocation_name);
	memset(program_invocation_name, 0, length);
	int channel[2];
	if (name == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) != 0) fail_to_enter("a pair of sockets");
	pid_t child = fork();
	if (child < 0) fail_to_enter("a new process");
	if (child == 0) {
		close(channel[0]);
		job.channel = channel[1];
		become_command(terminal, &mask);
	}
	close(channel[1]);
	memcpy(program_invocation_name, name, length);
	/* The server must see the namespaces of this process, to end a testbed when this process is stopped. */
	prctl(PR_SET_DUMPABLE, 1);
	if (terminal) {
		setpgid(child, child);
		tcsetpgrp(0, child);
	}
	journal_start(job.init, job.self, job.command);
	if (write(channel[0], "", 1) != 1) fail_to_enter("the command's process");
	journal_watch(job.proc, child, channel[0]);

	int status = status_of(child, terminal);
	char word;
	bool was_run = recv(channel[0], &word, 1, MSG_DONTWAIT) != 1;
	if (was_run && status == 128 + SIGKILL && testbed_is_gone()) {
		/* Else it would be reaped by the init of the host, for which the end of pid 1 would have to wait. */
		waitpid(child, NULL, 0);
		fail("CLOSED", "its pid 1 has ended");
	}
	if (was_run && status > HIGHEST_STATUS) status = HIGHEST_STATUS;
	if (is_anything_left(child) && !(status == 128 + SIGKILL && waits_for_reboot()))
		drain(&(struct drain){.proc = job.proc, .init = job.init, .tag = job.tag, .seconds = job.seconds, .in = 0, .out = 1, .err = 2,
		                      .group = terminal ? 0 : child, .report = job.report});
	journal_finish(&(struct finished){.init = job.init, .self = job.self, .child = child, .status = was_run ? status : -1});
	waitpid(child, NULL, 0);
	return status;
}
