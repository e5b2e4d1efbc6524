/*
 * Aborts FUSE connections. A process that waits for the answer to a request that the daemon has read cannot be killed. When
 * it also holds the daemon's descriptor (a thread, a child), the end of the daemon does not close the connection.
 */
#include "helper.h"

#include <sys/mount.h>
#include <sys/wait.h>

/*
 * Aborts inside the namespaces of the process, for kernels that refuse it outside: umount2(2) with MNT_FORCE aborts busy
 * mounts too.
 */
static void abort_inside(int process, const char *connection, const char *point) {
	pid_t child = fork();
	if (child == 0) {
		if (enter_namespaces(process, USER_NS) == NULL && become_root()) {
			int file = open(connection, O_WRONLY | O_CLOEXEC);
			if ((file < 0 || write(file, "1", 1) != 1) && enter_namespaces(process, MNT_NS) == NULL) umount2(point, MNT_FORCE);
		}
		_exit(0);
	}
	if (child > 0) waitpid(child, NULL, 0);
}

/* proc_pid_mountinfo(5): white space and backslash are octal escapes. */
static void unescape(char *text) {
	char *to = text;
	for (; *text != '\0'; to++) {
		unsigned byte;
		int length;
		/* The last one may be truncated. */
		if (*text == '\\' && sscanf(text + 1, "%3o%n", &byte, &length) == 1) *to = (char)byte, text += 1 + length;
		else *to = *text++;
	}
	*to = '\0';
}

void abort_fuse(int process) {
	static char own[1 << 20], theirs[1 << 20];
	if (read_at(AT_FDCWD, "/proc/self/mountinfo", own, sizeof own) < 0 || read_at(process, "mountinfo", theirs, sizeof theirs) < 0) return;
	for (char *rest = theirs, *line; (line = strsep(&rest, "\n")) != NULL;) {
		char device[32], point[4096], connection[64];
		const char *type = strstr(line, " - fuse");
		if (type == NULL || strchr(" .b", type[7]) == NULL) continue;
		if (sscanf(line, "%*s %*s %31s %*s %4095s", device, point) != 2) continue;
		char word[40];
		snprintf(word, sizeof word, " %s ", device);
		/* A mount that also exists outside serves other processes. */
		if (strstr(own, word) != NULL) continue;
		snprintf(connection, sizeof connection, "/sys/fs/fuse/connections/%s/abort", strchr(device, ':') + 1);
		unescape(point);
		int file = open(connection, O_WRONLY | O_CLOEXEC);
		if (file < 0 || write(file, "1", 1) != 1) abort_inside(process, connection, point);
		if (file >= 0) close(file);
	}
}

/* argv: abort-fuse PID...   processes that SIGKILL does not end */
int abort_fuse_main(int argc, char **argv) {
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 1; i < argc; i++) {
		int process = open_process(proc, (pid_t)strtol(argv[i], NULL, 10));
		if (process < 0) continue;
		abort_fuse(process);
		close(process);
	}
	return 0;
}
