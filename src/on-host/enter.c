/*
 * Runs a command in the namespaces of a process, and waits for it: what nsenter(1) does, in one step where that needs two,
 * and in half the time. Nothing of the testbed runs before the caller's user id, environment and descriptors are given up.
 *
 * argv: -k KEYRING [-n] [-t] [-s] NAME=VALUE... -- COMMAND [ARGUMENT]...
 *   -k  name of the testbed's session keyring
 *   -n  enter its network namespace too
 *   -t  on a terminal: be in one process group with the command, and stop when it stops
 *   -s  start the command in a session of its own
 *   NAME=VALUE...  the whole environment of the command
 * working directory: its folder in /proc
 * descriptors: the command gets 0 to 7
 * status: the command's; 128 + n for death by signal n; 126 or 127 and a sentence on stderr when it cannot be executed; 255
 *   and a sentence when the namespaces cannot be entered
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "namespaces.h"

enum { LAST_DESCRIPTOR = 7, CANNOT_EXECUTE = 126, NO_PROGRAM = 127 };

static _Noreturn void execute(char **command) {
	execvp(command[0], command);
	int status = errno == ENOENT ? NO_PROGRAM : CANNOT_EXECUTE;
	if (status == NO_PROGRAM && strchr(command[0], '/') == NULL)
		dprintf(2, "virt-ts-unshare: the testbed has no program %s\n", command[0]);
	else
		dprintf(2, "virt-ts-unshare: cannot execute %s in the testbed: %s\n", command[0], strerror(errno));
	_exit(status);
}

/* Stops when the command stops, for the sake of a shell's job control on the terminal, and lets it go on afterwards. */
static int status_of(pid_t child, bool terminal) {
	int status;
	for (;;) {
		if (waitpid(child, &status, terminal ? WUNTRACED : 0) < 0) {
			if (errno != EINTR) cannot("its end");
		} else if (WIFSTOPPED(status)) {
			/* One that has asked to be traced by us (PTRACE_TRACEME) shall have its signals nevertheless. */
			if (ptrace(PTRACE_DETACH, child, NULL, (long)WSTOPSIG(status)) == 0) continue;
			kill(getpid(), SIGSTOP);
			kill(child, SIGCONT);
		} else {
			return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		}
	}
}

int main(int argc, char **argv) {
	const char *keyring = NULL;
	bool network = false, terminal = false, session = false;
	for (int option; (option = getopt(argc, argv, "+k:nts")) != -1;) {
		switch (option) {
		case 'k': keyring = optarg; break;
		case 'n': network = true; break;
		case 't': terminal = true; break;
		case 's': session = true; break;
		default: errno = EINVAL; cannot("its options");
		}
	}
	char **environment = argv + optind, **end = environment;
	while (*end != NULL && strcmp(*end, "--") != 0) end++;
	if (*end == NULL || end[1] == NULL || keyring == NULL) {
		errno = EINVAL;
		cannot("no command");
	}
	*end = NULL;
	char **command = end + 1;

	/* The user namespace first, since it gives the right to enter the others. */
	const char *names[] = {"ns/user", "ns/cgroup", "ns/ipc", "ns/uts", "ns/pid", "ns/mnt", network ? "ns/net" : NULL};
	enter_namespaces(names, sizeof names / sizeof *names);
	become_root();
	join_session_keyring(keyring);
	/* Until it executes the command, root of the testbed must not ptrace(2) the child: it has the caller's memory. */
	prctl(PR_SET_DUMPABLE, 0);
	/* This can be read for so long all the same, and has the path of a private home. */
	memset(argv[0], 0, strlen(argv[0]));
	/* Who ignores it has its children reaped by the kernel, and never learns how they ended. */
	signal(SIGCHLD, SIG_DFL);
	sigset_t all, before;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	int go[2];
	if (pipe2(go, O_CLOEXEC) != 0) cannot("a pipe");
	pid_t child = fork();
	if (child < 0) cannot("a new process");
	if (child == 0) {
		char word;
		close(go[1]);
		if (read(go[0], &word, 1) != 1) _exit(CANNOT_ENTER);
		if (session) setsid();
		sigprocmask(SIG_SETMASK, &before, NULL);
		closefrom(LAST_DESCRIPTOR + 1);
		environ = environment;
		execute(command);
	}
	/*
	 * What the command does to its process group is none of ours. It stays in the caller's, where drain.sh looks for it. Another
	 * group of the same session would not do for us: the kernel hangs up a group with a stopped process when the last one ends
	 * whose parent is in such a group.
	 */
	if (!terminal) setsid();
	/* The server must see which namespaces we are in, to end a testbed that somebody has stopped us in. */
	prctl(PR_SET_DUMPABLE, 1);
	/* Not before: the command could stop us, and nobody would see where we are. */
	if (write(go[1], "", 1) != 1) cannot("the pipe to the command");
	close(go[0]);
	close(go[1]);
	return status_of(child, terminal);
}
