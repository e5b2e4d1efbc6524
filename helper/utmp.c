/* The file /run/utmp, see utmp(5). */
#include "steps.h"

#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <utmp.h>

/* The run level of the system's default target: 3 has no graphical login. */
static char run_level(int root) {
	char target[256];
	int units = open_below(root, "etc/systemd/system", O_PATH | O_DIRECTORY);
	ssize_t length = units < 0 ? 0 : readlinkat(units, "default.target", target, sizeof target - 1);
	if (units >= 0) close(units);
	target[length < 0 ? 0 : length] = '\0';
	return strstr(target, "multi-user.target") != NULL || strstr(target, "runlevel3.target") != NULL ? '3' : '5';
}

/* What systemd-update-utmp(8) writes in two processes at each boot. */
static bool record_boot(int file, int root) {
	struct utmp records[] = {{.ut_type = BOOT_TIME, .ut_user = "reboot"}, {.ut_type = RUN_LVL, .ut_user = "runlevel"}};
	struct utsname kernel;
	struct timespec now;
	if (uname(&kernel) != 0 || clock_gettime(CLOCK_REALTIME, &now) != 0) return false;
	records[1].ut_pid = run_level(root);
	for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
		records[i].ut_line[0] = '~';
		memcpy(records[i].ut_id, "~~", 2);
		snprintf(records[i].ut_host, sizeof records[i].ut_host, "%s", kernel.release);
		/* Signed in older versions of glibc. */
		records[i].ut_tv.tv_sec = (__typeof__(records[i].ut_tv.tv_sec))now.tv_sec;
		records[i].ut_tv.tv_usec = (int32_t)(now.tv_nsec / 1000);
	}
	return write(file, records, sizeof records) == (ssize_t)sizeof records;
}

/* utmp boot|empty: makes /run/utmp, for its group where there is one; "boot": with the records of a system that has booted. */
bool step_utmp(struct place *place, char **a) {
	char line[1024];
	unsigned group = 0;
	FILE *groups = NULL;
	int list = open_on_root(place->root, "etc/group", O_RDONLY | O_NONBLOCK);
	struct stat status;
	if (list >= 0 && fstat(list, &status) == 0 && S_ISREG(status.st_mode)) groups = fdopen(list, "r");
	else if (list >= 0) close(list);
	while (groups != NULL && fgets(line, sizeof line, groups) != NULL)
		if (sscanf(line, "utmp:%*[^:]:%u:", &group) == 1) break;
	if (groups != NULL) fclose(groups);
	int run = open_below(place->root, "run", O_PATH | O_DIRECTORY);
	int file = openat(run, "utmp", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0664);
	/* A map of one id has no group. */
	bool good = file >= 0 && (fchown(file, 0, group) == 0 || errno == EINVAL) && fchmod(file, 0664) == 0;
	good = good && (strcmp(a[0], "boot") != 0 || record_boot(file, place->root));
	close(run);
	if (file >= 0) close(file);
	return good;
}
