/*
 * Executes a command as root of the holder's user namespace, in its mount namespace: what nsenter(1) does in twice the time,
 * and, if asked, in a session keyring that is not the caller's.
 *
 * argv: [-k] PID KEYRING COMMAND [ARGUMENT]...
 *   -k       keep the user and group ids: a user namespace of one id, written without help, forbids to set them
 *   PID      of the holder
 *   KEYRING  name of the session keyring of a testbed that is to be made; empty: none of its own
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
	if (argc < 4 + keeps_ids) {
		errno = EINVAL;
		cannot("no command");
	}
	const char *pid = argv[1 + keeps_ids], *keyring = argv[2 + keeps_ids];
	char **command = argv + 3 + keeps_ids;
	char folder[64];
	snprintf(folder, sizeof folder, "/proc/%s", pid);
	if (chdir(folder) != 0) cannot(folder);
	const char *names[] = {"ns/user", "ns/mnt"};
	enter_namespaces(names, sizeof names / sizeof *names);
	if (!keeps_ids) become_root();
	if (*keyring != '\0') join_session_keyring(keyring);
	execvp(command[0], command);
	dprintf(2, "cannot execute %s: %s\n", command[0], strerror(errno));
	return CANNOT_EXECUTE;
}
