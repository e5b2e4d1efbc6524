/* Makes or enters a user namespace whose id maps TypeScript has chosen. */
#include "steps.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static int events;

static _Noreturn void die(const char *what, const char *on) {
	report_failure(events, "NO_NAMESPACES", what, on, errno);
	_exit(1);
}

/* Starts newuidmap or newgidmap, which has to run outside of the namespace whose map it writes. */
static pid_t start_mapper(const char *tool, char *map, const int go[2]) {
	static char pid[32];
	snprintf(pid, sizeof pid, "%ld", (long)getpid());
	pid_t child = fork();
	if (child != 0) return child;
	char *words[128] = {(char *)(uintptr_t)tool, pid};
	size_t count = 2;
	for (char *word; count < 127 && (word = strsep(&map, " \n")) != NULL;)
		if (*word != '\0') words[count++] = word;
	close(go[1]);
	char word;
	if (read(go[0], &word, 1) != 1) _exit(1);
	char said[512];
	if (run_program(words, false, said, sizeof said)) _exit(0);
	struct event event;
	event_begin(&event, "failed");
	event_failure(&event, "NO_ID_MAP", "writing an id map", NULL, errno, said);
	event_send(&event, events);
	_exit(1);
}

bool write_map(const char *process, const char *file, const char *text) {
	char path[64];
	snprintf(path, sizeof path, "/proc/%s/%s", process, file);
	int map = open(path, O_WRONLY | O_CLOEXEC);
	bool good = map >= 0 && write(map, text, strlen(text)) >= 0;
	if (map >= 0) close(map);
	return good;
}

bool same_map(const char *file, char *text, size_t size) {
	char own[4096];
	size_t length = 0;
	if (read_at(AT_FDCWD, file, own, sizeof own) <= 0) return false;
	for (char *rest = own, *line; (line = strsep(&rest, "\n")) != NULL;) {
		unsigned long inside, outside, count;
		if (sscanf(line, "%lu %lu %lu", &inside, &outside, &count) != 3) continue;
		int added = snprintf(text + length, size - length, "%lu %lu %lu\n", inside, inside, count);
		if (added < 0 || (size_t)added >= size - length) return false;
		length += (size_t)added;
	}
	return length > 0;
}

void make_user_namespace(const char *how, char *uids, char *gids, int report) {
	int go[2], status;
	events = report;
	if (strcmp(how, "none") == 0) return;
	if (*how >= '0' && *how <= '9') {
		char path[64];
		snprintf(path, sizeof path, "/proc/%s", how);
		int other = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (other < 0 || enter_namespaces(other, USER_NS) != NULL || !become_root()) die("entering the user namespace of", path);
	} else if (strcmp(how, "self") == 0) {
		if (unshare(CLONE_NEWUSER) != 0) die("making a user namespace", NULL);
		/* Without CAP_SETGID outside, setgroups(2) has to be denied before the gid_map is written. */
		if (!write_map("self", "setgroups", "deny") || !write_map("self", "uid_map", uids) || !write_map("self", "gid_map", gids)) die("writing an id map", NULL);
	} else {
		if (pipe2(go, O_CLOEXEC) != 0) die("making a pipe", NULL);
		pid_t mappers[] = {start_mapper("newuidmap", uids, go), start_mapper("newgidmap", gids, go)};
		if (mappers[0] < 0 || mappers[1] < 0) die("making a process", NULL);
		if (unshare(CLONE_NEWUSER) != 0) die("making a user namespace", NULL);
		if (write(go[1], "go", 2) != 2) die("writing to a pipe", NULL);
		bool good = true;
		for (int i = 0; i < 2; i++) good &= waitpid(mappers[i], &status, 0) == mappers[i] && status == 0;
		if (!good) _exit(1);
		close(go[0]), close(go[1]);
		if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0) die("becoming root of the user namespace", NULL);
	}
	/* A change of ids has closed /proc/PID to the server. */
	prctl(PR_SET_DUMPABLE, 1);
}
