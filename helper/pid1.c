/* The last step of a testbed: its process becomes pid 1, /bin/sh with a script or an init of the root filesystem. */
#include "steps.h"

#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Waits for a byte of the lifeline, which the holder writes at the request "go". False at its end: the holder is gone. */
static bool wait_for_go(const struct place *place) {
	struct event event;
	event_begin(&event, "standing");
	event_number(&event, "id", place->id);
	event_send(&event, place->report);
	char word;
	ssize_t got;
	while ((got = read(place->lifeline, &word, 1)) < 0 && errno == EINTR) continue;
	return got == 1;
}

/* An init does not read its lifeline, so the holder's end has to kill it. False when the holder has ended before. */
static bool die_with_holder(const struct place *place) {
	struct pollfd end = {.fd = place->lifeline};
	return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && poll(&end, 1, 0) == 0;
}

/*
 * init PATH MARK SCRIPT now|later PROGRAM: makes the mount point PATH the root, and becomes pid 1 of a testbed: PROGRAM, an init of
 * the root filesystem, or where that is empty /bin/sh with SCRIPT. "later": it waits before that, when nothing of the root
 * filesystem has run.
 */
bool step_init(struct place *place, char **a) {
	if (place->lifeline < 0 || chdir(a[0]) != 0) return false;
	/* The old root is put on top of the new one, as in pivot_root(2), so it needs no directory. */
	if (syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0 || chdir("/") != 0) return false;
	if (strcmp(a[3], "later") == 0 && !wait_for_go(place)) return false;
	set_slack(strtoul(a[1], NULL, 10));
	umask(022);
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (nothing < 0 && (nothing = open("/", O_RDONLY | O_CLOEXEC)) < 0) return false;
	/* These report a failure of execve(2). When it succeeds it closes them, as all others. */
	place->report = fcntl(place->report, F_DUPFD_CLOEXEC, LIFELINE + 1);
	place->started = fcntl(place->started, F_DUPFD_CLOEXEC, LIFELINE + 1);
	place->lifeline = fcntl(place->lifeline, F_DUPFD_CLOEXEC, LIFELINE + 1);
	if (place->report < 0 || place->started < 0 || place->lifeline < 0) return false;
	for (int i = 0; i < 3; i++) dup2(nothing, i);
	place->root = -1;
	if (!close_all_but(LIFELINE, (const int[]){place->report, place->started, place->lifeline}, 3)) return false;
	signal(SIGXFSZ, SIG_DFL);
	const char *path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	if (*a[4] != '\0') {
		signal(SIGPIPE, SIG_DFL);
		place->code = "NO_INIT";
		snprintf(place->on, sizeof place->on, "%s", a[4]);
		/* "container": see systemd.io/CONTAINER_INTERFACE; sysvinit and openrc read it too. */
		char *const variables[] = {"container=virt-ts-unshare", (char *)(uintptr_t)path, NULL};
		if (die_with_holder(place)) execve(a[4], (char *const[]){a[4], NULL}, variables);
		return false;
	}
	if (dup2(place->lifeline, LIFELINE) < 0) return false;
	/* In the environment, so that ps in the testbed does not show the text. pid1.sh restarts itself in the same way. */
	char *script = NULL;
	if (asprintf(&script, "PID1=%s", a[2]) < 0) return false;
	char *const environment[] = {script, (char *)(uintptr_t)path, NULL};
	place->code = "NO_SHELL";
	execve("/bin/sh", (char *const[]){"/bin/sh", "-c", "eval \"$PID1\"", "pid1", NULL}, environment);
	return false;
}
