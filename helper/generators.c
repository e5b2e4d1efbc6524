/*
 * A step for systemd's generators: programs that it starts at each boot, before the first unit. Most images have nothing for
 * those that are masked here.
 */
#include "steps.h"

#include <dirent.h>
#include <sys/stat.h>

static bool exists(int root, const char *path) {
	int file = open_below(root, path, O_PATH | O_NOFOLLOW);
	if (file >= 0) close(file);
	/* What cannot be looked at may be there. */
	return file >= 0 || errno != ENOENT;
}

/* A line that is no comment. */
static bool has_lines(int root, const char *path) {
	static char text[65536];
	int file = open_below(root, path, O_RDONLY | O_NONBLOCK);
	if (file < 0) return errno != ENOENT;
	ssize_t length = read(file, text, sizeof text - 1);
	close(file);
	if (length < 0 || length == (ssize_t)sizeof text - 1) return true;
	text[length] = '\0';
	for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL;) {
		line += strspn(line, " \t\r");
		if (*line != '\0' && *line != '#') return true;
	}
	return false;
}

/* Whether systemd finds a unit for a script of sysvinit, as of systemd-sysv-generator(8). */
static bool has_unit(int root, const char *script) {
	static const char *const folders[] = {"etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system",
	                                      "lib/systemd/system", "usr/lib/systemd/system"};
	size_t length = strlen(script);
	if (length > 3 && strcmp(script + length - 3, ".sh") == 0) length -= 3;
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		char path[512];
		snprintf(path, sizeof path, "%s/%.*s.service", folders[i], (int)length, script);
		int unit = open_below(root, path, O_PATH | O_NOFOLLOW);
		if (unit < 0) continue;
		close(unit);
		return true;
	}
	return false;
}

static bool has_scripts(int root, const char *path) {
	int folder = open_below(root, path, O_RDONLY | O_DIRECTORY);
	DIR *list = folder < 0 ? NULL : fdopendir(folder);
	if (list == NULL) return folder >= 0 || errno != ENOENT;
	bool found = false;
	for (struct dirent *entry; !found && (entry = readdir(list)) != NULL;) {
		struct stat status;
		bool script = fstatat(folder, entry->d_name, &status, 0) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 0100) != 0;
		found = script && !has_unit(root, entry->d_name);
	}
	closedir(list);
	return found;
}

/* mask_idle PATH exists|lines|scripts WHAT: makes the link PATH to /dev/null, unless there is WHAT. */
bool step_mask_idle(struct place *place, char **a) {
	bool needed = strcmp(a[1], "exists") == 0 ? exists(place->root, a[2])
	            : strcmp(a[1], "lines") == 0 ? has_lines(place->root, a[2])
	                                         : has_scripts(place->root, a[2]);
	return needed || make_link(place->root, a[0], "/dev/null");
}
