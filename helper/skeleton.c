/* Steps for the accounts in the skeleton, the layer that all testbeds of a server have in common. */
#include "steps.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static int open_plain(int root, const char *path, int flags) {
	struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC), .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
	return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

/* Of a file or directory that root of the holder may not read: its owner is no user of the id map. */
static bool closed(struct place *place, const char *path) {
	place->code = "ROOT_CLOSED";
	snprintf(place->on, sizeof place->on, "%s", path);
	return false;
}

static bool copy_contents(int from, int to, const struct stat *status, uid_t uid, gid_t gid) {
	for (off_t left = status->st_size; left > 0;) {
		ssize_t sent = sendfile(to, from, NULL, (size_t)left);
		if (sent <= 0) return sent == 0;
		left -= sent;
	}
	return fchown(to, uid, gid) == 0 && fchmod(to, status->st_mode & 07777) == 0;
}

/* Copies /etc/skel to a home. */
static bool copy_tree(int from, int to, uid_t id) {
	DIR *list = fdopendir(from);
	if (list == NULL) return false;
	bool good = true;
	for (struct dirent *entry; good && (entry = readdir(list)) != NULL;) {
		const char *name = entry->d_name;
		struct stat status;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
		if (S_ISLNK(status.st_mode)) {
			char target[4096];
			ssize_t length = readlinkat(from, name, target, sizeof target - 1);
			target[length < 0 ? 0 : length] = '\0';
			good = symlinkat(target, to, name) == 0 && fchownat(to, name, id, id, AT_SYMLINK_NOFOLLOW) == 0;
		} else if (S_ISDIR(status.st_mode)) {
			int below = open_plain(from, name, O_RDONLY | O_DIRECTORY);
			good = mkdirat(to, name, 0700) == 0;
			int copy = open_plain(to, name, O_RDONLY | O_DIRECTORY);
			good = good && below >= 0 && copy >= 0 && copy_tree(below, copy, id) && fchown(copy, id, id) == 0 &&
			       fchmod(copy, status.st_mode & 07777) == 0;
			close(copy);
		} else if (S_ISREG(status.st_mode)) {
			int file = open_plain(from, name, O_RDONLY | O_NONBLOCK);
			int copy = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
			good = file >= 0 && copy >= 0 && copy_contents(file, copy, &status, id, id);
			close(file), close(copy);
		}
	}
	closedir(list);
	return good;
}

/* The first account with an ordinary user id as of adduser(8): 1000 to 59999. */
static bool find_user(int etc, char *name, size_t size) {
	FILE *file = fdopen(openat(etc, "passwd", O_RDONLY | O_CLOEXEC), "r");
	char line[1024];
	bool found = false;
	while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
		char *rest = line, *first = strsep(&rest, ":"), *end;
		strsep(&rest, ":");
		char *id = strsep(&rest, ":");
		if (id == NULL || *id < '0' || *id > '9') continue;
		unsigned long uid = strtoul(id, &end, 10);
		found = *end == '\0' && uid >= 1000 && uid < 60000;
		if (found) snprintf(name, size, "%s", first);
	}
	if (file != NULL) fclose(file);
	return found;
}

/*
 * accounts BASE: copies the files of accounts. Reports the event "accounts" with "files", the names of those that there are, "user", the
 * first ordinary one, and "bash", its path; empty: none.
 */
bool step_accounts(struct place *place, char **a) {
	static const char *const files[] = {"passwd", "group", "shadow", "gshadow"};
	int base = open(a[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (base < 0) return errno == EACCES ? closed(place, "") : false;
	int from = open_plain(base, "etc", O_RDONLY | O_DIRECTORY), to = open_plain(place->root, "etc", O_RDONLY | O_DIRECTORY);
	if (from < 0 && errno == EACCES) return closed(place, "/etc");
	char there[64] = "", user[256] = "";
	for (size_t i = 0; from >= 0 && i < sizeof files / sizeof *files; i++) {
		struct stat status;
		char path[32];
		int file = open_plain(from, files[i], O_RDONLY | O_NONBLOCK);
		snprintf(path, sizeof path, "/etc/%s", files[i]);
		if (file < 0 && errno == EACCES) return closed(place, path);
		if (file < 0 || fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) continue;
		int copy = openat(to, files[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (copy < 0 || !copy_contents(file, copy, &status, status.st_uid, status.st_gid)) return false;
		close(file), close(copy);
		strcat(strcat(there, there[0] == '\0' ? "" : " "), files[i]);
	}
	find_user(to, user, sizeof user);
	struct event event;
	event_begin(&event, "accounts");
	event_number(&event, "id", place->id);
	event_text(&event, "files", there);
	event_text(&event, "user", user);
	event_text(&event, "bash", faccessat(base, "bin/bash", X_OK, 0) == 0 ? "/bin/bash" : "");
	event_send(&event, place->report);
	close(base), close(from), close(to);
	return true;
}

/*
 * services BASE: lets maintainer scripts start services. invoke-rc.d(8) starts none where there is neither a policy nor an init that
 * runs. Reports the event "services" with "start": 0 when it has to leave the image as it is.
 */
bool step_services(struct place *place, char **a) {
	static const char allow[] = "#!/bin/sh\nexit 0\n";
	int base = open(a[0], O_PATH | O_DIRECTORY | O_CLOEXEC), usr = open_plain(base, "usr", O_PATH | O_DIRECTORY);
	int sbin = open_plain(base, "usr/sbin", O_PATH | O_DIRECTORY);
	struct stat status, parent;
	/* A directory of the skeleton would hide a link of the image at its place. */
	bool asks = faccessat(base, "usr/sbin/invoke-rc.d", F_OK, 0) == 0, good = true;
	bool fits = sbin >= 0 && fstat(usr, &parent) == 0 && fstat(sbin, &status) == 0;
	if (asks && fits) {
		good = (mkdirat(place->root, "usr", 0755) == 0 || errno == EEXIST) && mkdirat(place->root, "usr/sbin", 0755) == 0;
		int file = openat(place->root, "usr/sbin/policy-rc.d", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0755);
		good = good && file >= 0 && write(file, allow, sizeof allow - 1) == (ssize_t)sizeof allow - 1;
		if (file >= 0) close(file);
		/* These two directories cover those of the image. */
		const struct timespec times[] = {status.st_atim, status.st_mtim}, above[] = {parent.st_atim, parent.st_mtim};
		good = good && fchmodat(place->root, "usr/sbin", status.st_mode & 07777, 0) == 0 && fchmodat(place->root, "usr", parent.st_mode & 07777, 0) == 0 &&
		       utimensat(place->root, "usr/sbin", times, 0) == 0 && utimensat(place->root, "usr", above, 0) == 0;
	}
	close(base), close(usr), close(sbin);
	struct event event;
	event_begin(&event, "services");
	event_number(&event, "id", place->id);
	event_number(&event, "start", !asks || fits);
	event_send(&event, place->report);
	return good;
}

/* Gives the name of the file that a path of the base leads to, when it is a program. No link leads out of the base. */
static bool find_program(int base, const char *path, char *name, size_t size) {
	char link[64], target[4096];
	struct stat status;
	int file = open_below(base, path, O_PATH);
	if (file < 0) return false;
	snprintf(link, sizeof link, "/proc/self/fd/%d", file);
	ssize_t length = readlink(link, target, sizeof target - 1);
	bool good = length > 0 && fstat(file, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 0111) != 0;
	close(file);
	if (!good) return false;
	target[length] = '\0';
	const char *slash = strrchr(target, '/'), *own = slash == NULL ? target : slash + 1;
	if (strlen(own) >= size) return false;
	strcpy(name, own);
	return true;
}

/* machine-id(5): without an id, systemd acts as at the first start of a machine. */
static bool has_machine_id(int base) {
	char text[64];
	int file = open_below(base, "etc/machine-id", O_RDONLY | O_NONBLOCK);
	ssize_t length = file < 0 ? 0 : read(file, text, sizeof text);
	if (file >= 0) close(file);
	return length >= 32;
}

/*
 * inits BASE image|systemd|PATH: the init of the base. Reports the event "init" with "path", empty where there is none, "name", that of the
 * file itself, and "machine": 0 where the base has no machine id.
 */
bool step_inits(struct place *place, char **a) {
	static const char *const systemd[] = {"/lib/systemd/systemd", "/usr/lib/systemd/systemd", NULL};
	static const char *const image[] = {"/sbin/init", "/lib/systemd/systemd", "/usr/lib/systemd/systemd", "/sbin/openrc-init", NULL};
	const char *const given[] = {a[1], NULL};
	const char *const *paths = strcmp(a[1], "image") == 0 ? image : strcmp(a[1], "systemd") == 0 ? systemd : given;
	char name[256] = "";
	int base = open(a[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (base < 0) return errno == EACCES ? closed(place, "") : false;
	while (*paths != NULL && !find_program(base, *paths, name, sizeof name)) paths++;
	struct event event;
	event_begin(&event, "init");
	event_number(&event, "id", place->id);
	event_text(&event, "path", *paths == NULL ? "" : *paths);
	event_text(&event, "name", name);
	event_number(&event, "machine", has_machine_id(base));
	event_send(&event, place->report);
	close(base);
	return true;
}

/* home BASE USER ID: the directory below /home, with what the base has in /etc/skel. */
bool step_home(struct place *place, char **a) {
	uid_t id = (uid_t)strtoul(a[2], NULL, 10);
	int base = open(a[0], O_PATH | O_DIRECTORY | O_CLOEXEC), skel = open_plain(base, "etc/skel", O_RDONLY | O_DIRECTORY);
	int homes = open_plain(place->root, "home", O_PATH | O_DIRECTORY);
	if (mkdirat(homes, a[1], 0755) != 0) return false;
	int home = openat(homes, a[1], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool good = home >= 0 && (skel < 0 || copy_tree(skel, home, id)) && fchown(home, id, id) == 0;
	close(base), close(homes), close(home);
	return good;
}
