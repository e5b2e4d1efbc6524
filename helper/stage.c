/* The stage: binds what the testbeds need of the host, and at the end kills all that the holder leaves. */
#include "hold.h"

#include <dirent.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

void own_mounts(void) {
	if (unshare(CLONE_NEWNS) != 0) fail_to_hold("making a mount namespace", NULL);
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail_to_hold("making the mounts private", NULL);
}

/*
 * A small tmpfs with a mount point for each source. Sources are opened first, because one may lie below /mnt. A mount that
 * is read-only here stays so in the holder, whose user namespace is a lower one (mount_namespaces(7), "locked").
 */
void bind_sources(char **sources, size_t count) {
	int trees[count + 1], mnt;
	char words[256];
	struct stat status[count + 1];
	for (size_t i = 0; i < count; i++) {
		bool read_only = strncmp(sources[i], "ro:", 3) == 0;
		if (read_only) sources[i] += 3;
		if (stat(sources[i], &status[i]) != 0 || (trees[i] = clone_mount(AT_FDCWD, sources[i], read_only)) < 0) fail_to_hold("binding", sources[i]);
	}
	int made = make_mount("tmpfs", "mode=755,size=16m", words, sizeof words);
	if (made < 0 || !put_mount(made, AT_FDCWD, "/mnt") || (mnt = open("/mnt", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0) fail_to_hold("mounting a tmpfs on", "/mnt");
	umask(0);
	/* Root of the holder fills these; in the stage it is an unprivileged user. */
	for (const char *const *name = (const char *const[]){"binfmt", "layers", "root", "scratch", "skeleton", NULL}; *name != NULL; name++)
		if (mkdirat(mnt, *name, 0777) != 0) fail_to_hold("making a directory", *name);
	for (size_t i = 0; i < count; i++) {
		char name[32];
		snprintf(name, sizeof name, "%zu", i);
		int file = S_ISDIR(status[i].st_mode) ? mkdirat(mnt, name, 0755) : openat(mnt, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (file < 0 || !put_mount(trees[i], mnt, name)) fail_to_hold("binding", sources[i]);
		if (file > 0) close(file);
		close(trees[i]);
	}
	close(mnt);
}

/* Sends SIGCONT and SIGKILL through an open directory of /proc, which refers to one process as pidfd_open(2) does. */
static void kill_process(int process) {
	syscall(SYS_pidfd_send_signal, process, SIGCONT, NULL, 0);
	syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0);
}

/* In the state of a zombie is also a process whose first thread has ended before others. */
static bool has_ended(int process) {
	char text[1024], state;
	int threads;
	if (read_at(process, "stat", text, sizeof text) <= 0) return true;
	const char *end = strrchr(text, ')');
	if (end == NULL || sscanf(end, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d", &state, &threads) != 2) return true;
	return (state == 'Z' || state == 'X') && threads <= 1;
}

/* After the end of the holder, pid 1 of each testbed is a child of this process. False when it has no child. */
static bool end_children(int proc) {
	char path[64], text[65536];
	while (waitpid(-1, NULL, WNOHANG) > 0) continue;
	snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
	if (read_at(AT_FDCWD, path, text, sizeof text) <= 0) return false;
	for (char *rest = text, *word; (word = strsep(&rest, " ")) != NULL && *word != '\0';) {
		int process = open_process(proc, (pid_t)atol(word));
		if (process < 0) continue;
		kill_process(process);
		close(process);
	}
	return true;
}

/* Whether a process is in a user namespace or below it, as testbeds and programs of the host (shield.c) are. */
static bool is_member(int process, const struct stat *users) {
	struct stat status;
	int space = openat(process, "ns/user", O_RDONLY | O_CLOEXEC);
	bool found = false;
	while (space >= 0 && !found) {
		found = fstat(space, &status) == 0 && status.st_ino == users->st_ino && status.st_dev == users->st_dev;
		/* Fails at the user namespace of this process. */
		int parent = found ? -1 : ioctl(space, NS_GET_PARENT);
		close(space);
		space = parent;
	}
	return found;
}

/* Rounds in which a process outside of the testbeds may reap its children; all rounds, some 2 s; processes that are reported after them. */
enum { GRACE = 8, ROUNDS = 200, MOST_REPORTED = 8 };

/*
 * Kills the processes of a user namespace and of those below, including a tar whose server was killed. False when there is none. A process
 * outside of the testbeds is killed last: it may be the parent of one inside, which only the init of the host could reap after it. What
 * SIGKILL has not ended in all rounds, such as a process in a frozen cgroup, is reported.
 */
static bool end_members(int proc, const struct stat *users, int round) {
	bool found = false, stuck = round >= 20 && round % 20 == 0;
	int reported = 0;
	struct stat own, its;
	if (stat("/proc/self/ns/pid", &own) != 0) own.st_ino = 0;
	DIR *list = fdopendir(openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	for (struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
		pid_t pid = (pid_t)atol(entry->d_name);
		int process = pid <= 0 || pid == getpid() ? -1 : open_process(proc, pid);
		if (process < 0) continue;
		if (is_member(process, users) && !has_ended(process)) {
			found = true;
			bool outside = fstatat(process, "ns/pid", &its, 0) == 0 && its.st_ino == own.st_ino;
			if (!outside || round >= GRACE) kill_process(process);
			/* A process that SIGKILL does not end may wait for a FUSE file system. */
			if (stuck) abort_fuse(process);
			if (round == ROUNDS && reported++ < MOST_REPORTED) report_run("left", 0, "pid", pid);
		}
		close(process);
	}
	if (list != NULL) closedir(list);
	return found;
}

bool wait_for_end(pid_t holder, const struct stat *users, int proc) {
	int handle = (int)syscall(SYS_pidfd_open, holder, 0);
	struct pollfd ends[] = {{.fd = handle, .events = POLLIN}, {.fd = REQUESTS}};
	while (poll(ends, 2, -1) < 0 && errno == EINTR) continue;
	if (ends[0].revents == 0 && poll(ends, 1, 2000) == 0) kill_process(handle);
	waitpid(holder, NULL, 0);
	for (int round = 0; round <= ROUNDS; round++) {
		bool children = end_children(proc), members = end_members(proc, users, round);
		if (!children && !members) return true;
		usleep(round < 5 ? 1000 : 10000);
	}
	return false;
}
