/*
 * cgroups (cgroups(7), version 2) of testbeds with an init of their own: a directory for the server, which belongs to root of the
 * testbeds, and in it one for each testbed and "holder", from which the kernel lets root of the testbeds move processes.
 */
#include "helper.h"

#include <dirent.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static bool write_at(int directory, const char *path, const char *text) {
	int file = openat(directory, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (file < 0) return false;
	bool good = write(file, text, strlen(text)) == (ssize_t)strlen(text);
	int error = errno;
	close(file);
	errno = error;
	return good;
}

/* The name of the first cgroup below. Of the entries of a cgroup's directory, only these are directories. */
static bool first_child(int group, char *name, size_t size) {
	int again = openat(group, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = again < 0 ? NULL : fdopendir(again);
	bool found = false;
	for (struct dirent *entry; !found && list != NULL && (entry = readdir(list)) != NULL;) {
		if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
		found = strlen(entry->d_name) < size;
		if (found) strcpy(name, entry->d_name);
	}
	if (list != NULL) closedir(list);
	return found;
}

/* Two descriptors at a time, because a testbed may have made a tree of any depth. */
static bool remove_tree(int parent, const char *name) {
	char own[NAME_MAX + 1], below[NAME_MAX + 1];
	for (;;) {
		int group = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (group < 0) return errno == ENOENT;
		if (!first_child(group, below, sizeof below)) {
			close(group);
			return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
		}
		/* Down to a leaf, which is removed. */
		int above = -1;
		do {
			strcpy(own, below);
			int next = openat(group, own, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			close(above);
			above = group, group = next;
		} while (group >= 0 && first_child(group, below, sizeof below));
		bool good = unlinkat(above, own, AT_REMOVEDIR) == 0 || errno == ENOENT;
		int error = errno;
		close(above), close(group);
		errno = error;
		if (!good) return false;
	}
}

bool remove_group(int parent, const char *name, bool kill) {
	enum { TRIES = 500 };
	for (int try = 0; try < TRIES; try++) {
		int group = kill ? openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
		if (group >= 0) {
			write_at(group, "cgroup.kill", "1");
			close(group);
		}
		if (remove_tree(parent, name)) return true;
		/* A killed process may not have left the cgroup yet. */
		if (errno != EBUSY || (!kill && try >= 20)) return false;
		usleep(try < 5 ? 200 : 5000);
	}
	return false;
}

int make_groups(const char *path, uid_t uid, gid_t gid) {
	static const char *const files[] = {".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"};
	int groups = mkdir(path, 0755) == 0 ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (groups < 0) return -1;
	bool good = mkdirat(groups, "holder", 0755) == 0;
	for (size_t i = 0; good && i < sizeof files / sizeof *files; i++) good = fchownat(groups, files[i], uid, gid, AT_SYMLINK_NOFOLLOW) == 0;
	if (good) return groups;
	int error = errno;
	close(groups);
	remove_group(AT_FDCWD, path, false);
	errno = error;
	return -1;
}

int open_group(int groups, const char *name) {
	return openat(groups, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

pid_t fork_into(int group) {
	struct clone_args args = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (unsigned long long)group};
	return group < 0 ? fork() : (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

int make_group(int groups, const char *name) {
	int group = mkdirat(groups, name, 0755) == 0 ? open_group(groups, name) : -1;
	/*
	 * Commands from outside run in "commands". The kernel lets a process of the caller enter it when the caller may write to
	 * cgroup.procs there and in the cgroup above both; the latter keeps other users out.
	 */
	bool good = group >= 0 && mkdirat(group, "commands", 0755) == 0 && fchmodat(group, "commands/cgroup.procs", 0666, 0) == 0;
	if (good || group < 0) return group;
	int error = errno;
	close(group);
	errno = error;
	return -1;
}
