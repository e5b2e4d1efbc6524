/*
 * Lists what is in the directories for temporary files and in the IPC namespace of a testbed, or of a command of `run --host`. All
 * names were chosen inside and are hostile: no link is followed, and no other mount is entered below a directory that is listed.
 *
 * argv: look [-h HOLDER] [-d DESCRIPTOR:PATH]... PID [LAYER]...
 *   PID    pid 1 inside, as the host sees it
 *   -h     a process with the user and mount namespaces to look from; default PID
 *   LAYER  in these namespaces, the directories that the root filesystem was made of
 *   -d     lists the entries of an open directory, which is PATH inside, in place of all below the directories of PID's root
 * stdout: events:
 *   "file"    in (0: the testbed; n: the nth LAYER), type, uid, gid, size, modified (seconds.nanoseconds), path
 *   "ipc"     type, id, uid, size
 *   "failed"
 * It ends after 16 MiB of output about the testbed's files, and SIGALRM kills it after 30 s: a testbed can have any number.
 */
#include "steps.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { SECONDS = 30, MAX_OUTPUT = 16 << 20, MAX_DEPTH = 900 };

static struct event event;
static struct {
	long number;
	size_t room;
	char path[65536];
} list = {.room = MAX_OUTPUT};

static const char *const TYPES[16] = {
    [S_IFREG >> 12] = "file",   [S_IFDIR >> 12] = "directory", [S_IFLNK >> 12] = "link",
    [S_IFSOCK >> 12] = "socket", [S_IFIFO >> 12] = "fifo",
};

static void send_file(const struct statx *status, size_t length) {
	const char *type = TYPES[(status->stx_mode & S_IFMT) >> 12];
	char modified[64];
	snprintf(modified, sizeof modified, "%lld.%09u", (long long)status->stx_mtime.tv_sec, status->stx_mtime.tv_nsec);
	event_begin(&event, "file");
	event_number(&event, "in", list.number);
	event_text(&event, "type", type == NULL ? "device" : type);
	event_number(&event, "uid", status->stx_uid);
	event_number(&event, "gid", status->stx_gid);
	event_number(&event, "size", (long long)status->stx_size);
	event_text(&event, "modified", modified);
	event_bytes(&event, "path", list.path, length);
	event_send(&event, 1);
	if (list.number == 0) list.room -= event.length < list.room ? event.length : list.room;
}

static int open_directory(int below, const char *path, unsigned long long resolve) {
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, .resolve = resolve | RESOLVE_NO_SYMLINKS};
	return (int)syscall(SYS_openat2, below, path, &how, sizeof how);
}

static void walk(int directory, size_t length, int depth);

/* Lists an entry of a directory, whose path has this length, and `depth` levels below the entry. */
static void look_at(int directory, size_t length, const char *name, int depth, unsigned long long resolve) {
	struct statx status;
	int end = snprintf(list.path + length, sizeof list.path - length, "/%s", name);
	/* AT_STATX_DONT_SYNC: no request to a FUSE daemon. */
	const int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
	if ((size_t)end >= sizeof list.path - length || statx(directory, name, flags, STATX_BASIC_STATS, &status) != 0) return;
	send_file(&status, length + (size_t)end);
	if (depth == 0 || !S_ISDIR(status.stx_mode)) return;
	int below = open_directory(directory, name, resolve);
	if (below >= 0) walk(below, length + (size_t)end, depth - 1);
}

static void walk(int directory, size_t length, int depth) {
	DIR *entries = fdopendir(directory);
	if (entries == NULL) return;
	for (struct dirent *entry; list.room > 0 && (entry = readdir(entries)) != NULL;)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			look_at(directory, length, entry->d_name, depth, RESOLVE_BENEATH | RESOLVE_NO_XDEV);
	closedir(entries);
}

static void look_below(int root, const char *parent, const char *name) {
	int directory = open_directory(root, parent, RESOLVE_IN_ROOT);
	if (directory < 0) return;
	list.path[0] = '\0';
	int length = strcmp(parent, ".") == 0 ? 0 : snprintf(list.path, sizeof list.path, "/%s", parent);
	look_at(directory, (size_t)length, name, MAX_DEPTH, RESOLVE_BENEATH);
	close(directory);
}

static void send_ipc(const char *type, const char *id, long long uid, long long size) {
	event_begin(&event, "ipc");
	event_text(&event, "type", type);
	event_text(&event, "id", id);
	event_number(&event, "uid", uid);
	event_number(&event, "size", size);
	event_send(&event, 1);
}

/* proc_sysvipc(5): the second column is the id; the fourth is bytes, or semaphores. */
static void look_at_table(int proc, const char *type, const char *path, int uid) {
	int file = openat(proc, path, O_RDONLY | O_CLOEXEC);
	FILE *table = file < 0 ? NULL : fdopen(file, "r");
	char line[1024], id[32];
	while (table != NULL && fgets(line, sizeof line, table) != NULL) {
		long long cell[8];
		if (sscanf(line, "%lld %lld %lld %lld %lld %lld %lld %lld", &cell[0], &cell[1], &cell[2], &cell[3], &cell[4], &cell[5], &cell[6], &cell[7]) != 8) continue;
		snprintf(id, sizeof id, "%lld", cell[1]);
		send_ipc(type, id, cell[uid], cell[3]);
	}
	if (table != NULL) fclose(table);
}

/* A new mount shows the POSIX message queues, whatever is mounted over /dev/mqueue. */
static void look_at_queues(void) {
	char words[256];
	int mount = make_mount("mqueue", "", words, sizeof words);
	DIR *queues = mount < 0 ? NULL : fdopendir(openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	for (struct dirent *entry; queues != NULL && (entry = readdir(queues)) != NULL;) {
		char id[300], text[128];
		struct stat status;
		long long size = 0;
		if (fstatat(dirfd(queues), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode)) continue;
		if (read_at(dirfd(queues), entry->d_name, text, sizeof text) > 0) sscanf(text, "QSIZE:%lld", &size);
		snprintf(id, sizeof id, "/%s", entry->d_name);
		send_ipc("mqueue", id, status.st_uid, size);
	}
	if (queues != NULL) closedir(queues);
}

static int failed(const char *what, const char *on) {
	report_failure(1, "CANNOT_LOOK", what, on, errno);
	return 1;
}

int look_main(int argc, char **argv) {
	const char *from = NULL, *held[8];
	size_t held_count = 0;
	for (int option; (option = getopt(argc, argv, "+h:d:")) != -1;) {
		if (option == 'h') from = optarg;
		else if (option == 'd' && held_count < 8) held[held_count++] = optarg;
		else return NOT_RUN;
	}
	const char *pid = argv[optind];
	if (pid == NULL) return NOT_RUN;
	alarm(SECONDS);
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int process = open_process(proc, (pid_t)strtol(pid, NULL, 10));
	int holder = open_process(proc, (pid_t)strtol(from == NULL ? pid : from, NULL, 10));
	if (process < 0 || holder < 0) return failed("looking for the process", pid);
	const char *missing = enter_namespaces(holder, USER_NS | MNT_NS);
	if (missing == NULL) missing = enter_namespaces(process, IPC_NS);
	if (missing != NULL) return failed("entering its namespace", missing);

	look_at_table(proc, "shm", "sysvipc/shm", 7);
	look_at_table(proc, "sem", "sysvipc/sem", 4);
	look_at_table(proc, "msg", "sysvipc/msg", 7);
	look_at_queues();
	for (size_t i = 0; i < held_count; i++) {
		char *path;
		int directory = (int)strtol(held[i], &path, 10);
		int length = snprintf(list.path, sizeof list.path, "%s", path + 1);
		walk(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), (size_t)length, 0);
	}
	if (held_count > 0) return 0;
	for (char **layer = argv + optind + 1; *layer != NULL; layer++) {
		list.number++;
		int root = open(*layer, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (root < 0) return failed("opening a layer of the root filesystem,", *layer);
		look_below(root, ".", "tmp");
		look_below(root, "var", "tmp");
		close(root);
	}
	list.number = 0;
	int root = openat(process, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0) return failed("opening its root directory", NULL);
	const char *const directories[][2] = {{".", "tmp"}, {"var", "tmp"}, {".", "run"}, {"run", "lock"}, {"dev", "shm"}};
	for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) look_below(root, directories[i][0], directories[i][1]);
	return 0;
}
