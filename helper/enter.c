/*
 * Executes a program of the host in namespaces of the holder or a testbed.
 *
 * argv: enter [-s] [-k KEYRING] [-n NAMESPACES] [-o OTHER] PID PROGRAM [ARGUMENT]...
 *   -s  below the user namespace of the testbeds, where no interpreter that root of a testbed registers is used (shield.c)
 *   -k  name of a session keyring for it; default: the caller's own
 *   -n  letters of the namespaces, see helper.h; default: um
 *   -o  pid of another process whose network namespace it enters too
 * working directory of the program: /
 * status: the program's; 127 and an event on stderr when it cannot be executed, 255 and an event when PID cannot be entered
 */
#include "helper.h"

static int failed(const char *what, const char *on) {
	report_failure(2, "CANNOT_ENTER", what, on, errno);
	return NOT_RUN;
}

int enter_main(int argc, char **argv) {
	const char *keyring = NULL, *letters = "um", *other = NULL;
	bool shielded = false;
	for (int option; (option = getopt(argc, argv, "+sk:n:o:")) != -1;) {
		if (option == 'k') keyring = optarg;
		else if (option == 'n') letters = optarg;
		else if (option == 'o') other = optarg;
		else if (option == 's') shielded = true;
		else return NOT_RUN;
	}
	if (argc - optind < 2) return NOT_RUN;
	char **program = argv + optind + 1;
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int process = open_process(proc, (pid_t)strtol(argv[optind], NULL, 10));
	if (process < 0) return failed("looking for the process to enter", argv[optind]);
	int beside = other == NULL ? -1 : open_process(proc, (pid_t)strtol(other, NULL, 10));
	if (other != NULL && beside < 0) return failed("looking for the process to enter", other);
	const char *missing = enter_namespaces(process, namespaces_of(letters));
	if (missing != NULL) return failed("entering a namespace", missing);
	if (strchr(letters, 'u') != NULL && !become_root()) return failed("becoming root of the user namespace", NULL);
	if (other != NULL && enter_namespaces(beside, NET_NS) != NULL) return failed("entering the network namespace of", other);
	if (keyring != NULL && !join_session_keyring(keyring)) return failed("making a session keyring", keyring);
	if (shielded && !shield()) return failed("making a user namespace for a program of the host", program[0]);
	if (chdir("/") != 0) return failed("changing to the directory", "/");
	execvp(program[0], program);
	report_failure(2, "NO_PROGRAM", "executing a program", program[0], errno);
	return NO_PROGRAM;
}
