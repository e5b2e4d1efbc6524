/*
 * Executes a command as root of the holder's user namespace, in its mount namespace: what nsenter(1) does in twice the time,
 * and without the caller's session keyring, which nsenter leaves to it.
 *
 * argv: [-k] PID COMMAND [ARGUMENT]...
 *   -k   keep the user and group ids: a user namespace of one id, written without help, forbids to set them
 *   PID  of the holder
 * working directory of the command: /
 * status: the command's; 127 and a sentence on stderr when it cannot be executed; 255 and a sentence when the holder cannot be
 *   entered
 */
#define _GNU_SOURCE
#include <stdbool.h>

#include "namespaces.h"

enum { CANNOT_EXECUTE = 127 };

int main(int argc, char **argv) {
	bool keeps_ids = argc > 1 && strcmp(argv[1], "-k") == 0;
	char **words = argv + 1 + keeps_ids;
	if (argc < 3 + keeps_ids) {
		errno = EINVAL;
		cannot("no command");
	}
	char folder[64];
	snprintf(folder, sizeof folder, "/proc/%s", words[0]);
	if (chdir(folder) != 0) cannot(folder);
	const char *names[] = {"ns/user", "ns/mnt"};
	enter_namespaces(names, sizeof names / sizeof *names);
	if (!keeps_ids) become_root();
	leave_session_keyring();
	execvp(words[1], words + 1);
	dprintf(2, "cannot execute %s: %s\n", words[1], strerror(errno));
	return CANNOT_EXECUTE;
}
