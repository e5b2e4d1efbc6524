/*
 * Copies a file of a testbed's root filesystem to stdout, after a line with its state (file_state() of journal.c). The testbed is
 * hostile: no link is followed, no other mount is entered (a FUSE daemon need not answer), and only a regular file is read.
 *
 * argv: read HOLDER PID PATH MAX
 *   HOLDER  a process with the user namespace to read from
 *   PID     pid 1 of the testbed, as the host sees it
 *   PATH    without a slash at its start
 *   MAX     bytes, of which no more are copied
 * status: 0, or 1 when there is no such file
 */
#include "steps.h"

int read_main(int argc, char **argv) {
	if (argc != 5) return NOT_RUN;
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int holder = open_process(proc, (pid_t)strtol(argv[1], NULL, 10)), process = open_process(proc, (pid_t)strtol(argv[2], NULL, 10));
	int root = openat(process, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || holder < 0 || !protect_program(holder) || enter_namespaces(holder, USER_NS) != NULL || !become_root()) return NOT_RUN;
	char state[128];
	int file = open_on_root(root, argv[3], O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
	if (!file_state(file, state, sizeof state)) return 1;
	dprintf(1, "%s\n", state);
	static char buffer[65536];
	for (long long left = strtoll(argv[4], NULL, 10); left > 0;) {
		ssize_t got = read(file, buffer, left < (long long)sizeof buffer ? (size_t)left : sizeof buffer);
		if (got < 0 && errno == EINTR) continue;
		if (got < 0) return 1;
		if (got == 0) break;
		for (ssize_t done = 0, put; done < got; done += put)
			if ((put = write(1, buffer + done, (size_t)(got - done))) < 0) return 1;
		left -= got;
	}
	return 0;
}
