/*
 * What the kernel lets a user namespace use: namespaces, inotify and fanotify objects (/proc/sys/user, namespaces(7)), processes
 * (RLIMIT_NPROC, counted for each user namespace since Linux 5.14). It counts the same for the caller too, so a
 * testbed without limits of its own could use up those of the caller.
 */
#include "steps.h"

#include <limits.h>
#include <sys/resource.h>

static struct {
	const char *file, *also;
	long long callers;
} limits[] = {
    {"/proc/sys/user/max_cgroup_namespaces", NULL, 0},
    {"/proc/sys/user/max_fanotify_groups", NULL, 0},
    {"/proc/sys/user/max_fanotify_marks", NULL, 0},
    {"/proc/sys/user/max_inotify_instances", "/proc/sys/fs/inotify/max_user_instances", 0},
    {"/proc/sys/user/max_inotify_watches", "/proc/sys/fs/inotify/max_user_watches", 0},
    {"/proc/sys/user/max_ipc_namespaces", NULL, 0},
    {"/proc/sys/user/max_mnt_namespaces", NULL, 0},
    {"/proc/sys/user/max_net_namespaces", NULL, 0},
    {"/proc/sys/user/max_pid_namespaces", NULL, 0},
    {"/proc/sys/user/max_time_namespaces", NULL, 0},
    {"/proc/sys/user/max_user_namespaces", NULL, 0},
    {"/proc/sys/user/max_uts_namespaces", NULL, 0},
};
enum { LIMITS = sizeof limits / sizeof *limits };

void read_limits(void) {
	for (size_t i = 0; i < LIMITS; i++) {
		/* A new user namespace has INT_MAX, while those above it have less: `also` has the limit of the machine. */
		long own = read_number_at(AT_FDCWD, limits[i].file), also = limits[i].also == NULL ? -1 : read_number_at(AT_FDCWD, limits[i].also);
		limits[i].callers = also >= 0 && (own < 0 || also < own) ? also : own;
	}
}

void share_limits(int quarters) {
	for (size_t i = 0; i < LIMITS; i++) {
		if (limits[i].callers < 0 || limits[i].callers >= INT_MAX) continue;
		char text[32];
		int length = snprintf(text, sizeof text, "%lld\n", (limits[i].callers * quarters + 3) / 4);
		/* Where /proc/sys is read-only, as in containers, the testbeds have the limits of the caller. */
		int file = open(limits[i].file, O_WRONLY | O_CLOEXEC);
		if (file < 0) continue;
		ssize_t written = write(file, text, (size_t)length);
		(void)written;
		close(file);
	}
}

/* processes COUNT: for the user namespace that is made next, and for each user in it. */
bool step_processes(struct place *place, char **a) {
	(void)place;
	struct rlimit limit;
	rlim_t count = (rlim_t)strtoul(a[0], NULL, 10);
	if (getrlimit(RLIMIT_NPROC, &limit) != 0) return false;
	limit.rlim_cur = count < limit.rlim_max ? count : limit.rlim_max;
	return setrlimit(RLIMIT_NPROC, &limit) == 0;
}
