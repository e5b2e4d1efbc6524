/* The parent in the execute program: waits for the command, and looks whether a process of it is left. */
#include "exec.h"
#include "steps.h"

#include <sys/ptrace.h>
#include <sys/wait.h>

static bool ignores(const struct job *job, pid_t pid, int signal) {
	char path[64], text[4096];
	unsigned long long ignored = 0;
	snprintf(path, sizeof path, "%d/status", pid);
	const char *line = read_at(job->proc, path, text, sizeof text) > 0 ? strstr(text, "\nSigIgn:") : NULL;
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

int status_of(const struct job *job, pid_t child) {
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
			if (ptrace(PTRACE_DETACH, child, NULL, (long)stop.si_status) == 0 || !job->terminal) continue;
			if (!job->foreground) kill(getpid(), SIGSTOP);
			/* A shell inside may have taken the terminal. */
			tcsetpgrp(0, child);
			kill(-child, SIGCONT);
			continue;
		}
		int signal = sigwaitinfo(&signals, &received);
		if (signal < 0 || signal == SIGCHLD) continue;
		if (signal == SIGTSTP && !job->terminal) {
			stop_with(child, &signals);
			continue;
		}
		if (job->terminal && received.si_code > 0) continue;
		/* A driver waits for this process, and a stopped one would block it. */
		if (signal == SIGTERM && ignores(job, child, SIGTERM)) signal = SIGKILL;
		if (kill(-child, signal) != 0) kill(child, signal);
	}
}

bool is_anything_left(const struct job *job, pid_t child) {
	char text[4096], path[64], *next;
	/* A process made with CLONE_PARENT is a child of this one. */
	if (read_at(job->proc, "thread-self/children", text, sizeof text) < 0) return true;
	if (strtol(text, &next, 10) != child || strspn(next, " ") != strlen(next)) return true;
	snprintf(path, sizeof path, "task/%ld/children", (long)job->pid1);
	ssize_t length = read_at(job->init, path, text, sizeof text);
	if (length < 0 || length == sizeof text - 1) return true;
	bool has_reader = false;
	for (const char *word = text;; word = next) {
		long pid = strtol(word, &next, 10);
		if (next == word) return false;
		snprintf(path, sizeof path, "%ld/timerslack_ns", pid);
		long slack = read_number_at(job->proc, path);
		/* Processes that an init has started have its mark. */
		if (slack == job->mark && (job->has_init || !has_reader)) has_reader = true;
		else if (slack == job->tag || !is_tag(slack)) return true;
	}
}

bool waits_for_reboot(const struct job *job) {
	int root = openat(job->init, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int mark = root < 0 ? -1 : open_below(root, "run/autopkgtest-reboot-prepare-mark", O_PATH | O_NOFOLLOW);
	close(root), close(mark);
	return mark >= 0;
}
