/*
 * Finds the processes that hold the output of a command that has ended. A holder that reads from a pipe is a helper (tee,
 * cat, ts), and so are its descendants. A process that writes to the pipe of a helper is examined too: one that reads from
 * no pipe keeps the helpers from their end of file and is a leak, as is a holder that reads nothing. All facts come from the
 * host's /proc, where processes of the testbed can neither see nor influence this process.
 */
#include "holders.h"

#include <ctype.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <linux/kcmp.h>
#include <linux/nsfs.h>
#include <sys/syscall.h>

struct file {
	uint64_t device, inode;
	bool reads, writes;
};

static const struct drain *job;
static struct file input, outputs[2];
static char own_namespace[64], namespace[64];
static struct stat namespace_file;
static pid_t pid1;

void *grown(void *list, size_t count, size_t size) {
	if ((count & (count - 1)) != 0) return list;
	void *larger = realloc(list, (count == 0 ? 1 : 2 * count) * size);
	if (larger == NULL) abort();
	return larger;
}

DIR *open_list(int directory, const char *name) {
	int file = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return file < 0 ? NULL : fdopendir(file);
}

const char *next_number(DIR *list) {
	for (struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;)
		if (isdigit((unsigned char)entry->d_name[0])) return entry->d_name;
	if (list != NULL) closedir(list);
	return NULL;
}

/*
 * Identifies an open file without a request to its file system, which may never answer. Files that every process has are
 * ignored.
 */
static mode_t identify(int directory, const char *name, int flags, struct file *file) {
	struct statx status;
	if (statx(directory, name, flags | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &status) != 0) return 0;
	if (S_ISCHR(status.stx_mode) && status.stx_rdev_major == 1) return 0;
	file->device = (uint64_t)status.stx_dev_major << 32 | status.stx_dev_minor;
	file->inode = status.stx_ino;
	return status.stx_mode;
}

static int compare(const void *a, const void *b) {
	const struct file *first = a, *second = b;
	if (first->device != second->device) return first->device < second->device ? -1 : 1;
	return first->inode == second->inode ? 0 : first->inode < second->inode ? -1 : 1;
}

static bool is_output(const struct file *file) {
	return file->inode != 0 && (compare(file, &outputs[0]) == 0 || compare(file, &outputs[1]) == 0);
}

int is_inside(int directory, const char *path) {
	char link[64];
	ssize_t length = readlinkat(directory, path, link, sizeof link - 1);
	if (length < 0) return errno == EACCES || errno == EPERM ? 0 : -1;
	link[length] = '\0';
	if (strcmp(link, namespace) == 0) return 1;
	if (strcmp(link, own_namespace) == 0) return 0;
	int found = 0;
	for (int file = openat(directory, path, O_RDONLY | O_CLOEXEC), parent; file >= 0; file = parent) {
		struct stat status;
		if (fstat(file, &status) == 0 && status.st_ino == namespace_file.st_ino) found = 1;
		parent = found ? -1 : ioctl(file, NS_GET_PARENT);
		close(file);
	}
	return found;
}

int open_inside(const char *name, bool *missed) {
	char path[300];
	snprintf(path, sizeof path, "%s/ns/pid", name);
	int inside = is_inside(job->proc, path);
	int directory = inside <= 0 ? -1 : openat(job->proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (inside < 0 || (inside > 0 && directory < 0)) *missed = true;
	return directory;
}

bool read_stat(int directory, struct process *process) {
	char text[1024];
	if (read_at(directory, "stat", text, sizeof text) < 0) return false;
	const char *end = strrchr(text, ')');
	unsigned long minor, major, user, system;
	if (end == NULL || sscanf(end, ") %c %d %d %*d %*d %*d %*u %lu %*u %lu %*u %lu %lu %*d %*d %*d %*d %d %*d %llu", &process->state,
	                          &process->parent, &process->group, &minor, &major, &user, &system, &process->threads, &process->start) != 9)
		return false;
	process->pid = (pid_t)strtol(text, NULL, 10);
	process->ticks = user + system;
	process->work = minor + major + user + system;
	return true;
}

static void read_list(DIR *list, struct process *process) {
	for (const char *name; (name = next_number(list)) != NULL;) {
		/* The mode of the link shows how a descriptor is open. */
		struct stat link;
		if (fstatat(dirfd(list), name, &link, AT_SYMLINK_NOFOLLOW) != 0 || (link.st_mode & 0600) == 0) continue;
		struct file file = {.reads = (link.st_mode & 0400) != 0, .writes = (link.st_mode & 0200) != 0};
		mode_t mode = identify(dirfd(list), name, 0, &file);
		/* The other end of a socket cannot be found; standard input is the output of another process. */
		if (S_ISSOCK(mode) && strcmp(name, "0") == 0 && compare(&file, &input) != 0 && !is_output(&file)) process->has_socket_input = true;
		if (mode == 0 || (!S_ISFIFO(mode) && !is_output(&file))) continue;
		process->files = grown(process->files, process->count, sizeof file);
		process->files[process->count++] = file;
	}
}

static void read_files(int directory, struct process *process) {
	read_list(open_list(directory, "fd"), process);
	/* A thread may have files of its own, and the first one has none when it ends before the others. */
	DIR *threads = process->threads > 1 ? open_list(directory, "task") : NULL;
	for (const char *name; threads != NULL && (name = next_number(threads)) != NULL;) {
		char path[300];
		if (syscall(SYS_kcmp, process->pid, strtol(name, NULL, 10), KCMP_FILES, 0, 0) == 0) continue;
		snprintf(path, sizeof path, "%s/fd", name);
		read_list(open_list(dirfd(threads), path), process);
	}
	if (process->count == 0) return;
	qsort(process->files, process->count, sizeof *process->files, compare);
	size_t last = 0;
	for (size_t i = 1; i < process->count; i++) {
		struct file *file = &process->files[i];
		if (compare(file, &process->files[last]) != 0) process->files[++last] = *file;
		process->files[last].reads |= file->reads;
		process->files[last].writes |= file->writes;
	}
	process->count = last + 1;
}

static bool writes_to(const struct process *process, const struct file *file) {
	if (process->count == 0 || file->inode == 0) return false;
	const struct file *found = bsearch(file, process->files, process->count, sizeof *file, compare);
	return found != NULL && found->writes;
}

struct process *find_process(const struct look *look, pid_t pid, unsigned long long start) {
	size_t low = 0, high = look->count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (look->list[middle].pid < pid) low = middle + 1;
		else high = middle;
	}
	struct process *found = low < look->count && look->list[low].pid == pid ? &look->list[low] : NULL;
	return found != NULL && (start == 0 || found->start == start) ? found : NULL;
}

/* Of all its threads: the sum for the process includes ended children. */
static unsigned long long bytes_of(pid_t pid) {
	char path[64], text[512];
	unsigned long long sum = 0, read, written;
	snprintf(path, sizeof path, "%d/task", pid);
	DIR *list = open_list(job->proc, path);
	for (const char *name; (name = next_number(list)) != NULL;) {
		snprintf(path, sizeof path, "%.20s/io", name);
		if (read_at(dirfd(list), path, text, sizeof text) > 0 && sscanf(text, "rchar: %llu wchar: %llu", &read, &written) == 2)
			sum += read + written;
	}
	return sum;
}

static void classify(struct look *look) {
	struct process **members = malloc((look->count + 1) * sizeof *members);
	size_t count = 0;
	if (members == NULL) abort();
	for (size_t i = 0; i < look->count; i++) {
		struct process *process = &look->list[i];
		if (!writes_to(process, &outputs[0]) && !writes_to(process, &outputs[1])) continue;
		process->is_member = true;
		members[count++] = process;
	}
	for (size_t asked = 0; asked < count; asked++) {
		struct process *process = members[asked];
		process->reads = process->has_socket_input;
		for (size_t i = 0; i < process->count; i++) {
			const struct file *file = &process->files[i];
			if (!file->reads || file->writes || compare(file, &input) == 0 || is_output(file)) continue;
			process->reads = true;
			for (size_t other = 0; other < look->count; other++) {
				if (look->list[other].is_member || !writes_to(&look->list[other], file)) continue;
				look->list[other].is_member = true;
				members[count++] = &look->list[other];
			}
		}
	}
	for (size_t i = 0; i < count; i++) {
		const struct process *helper = members[i];
		for (size_t depth = 0; helper != NULL && !helper->reads && depth < look->count; depth++) helper = find_process(look, helper->parent, 0);
		members[i]->is_leak = helper == NULL || !helper->reads;
		if (members[i]->is_leak) look->leaks++;
		else look->helpers++;
		if (!members[i]->is_leak) members[i]->bytes = bytes_of(members[i]->pid);
	}
	free(members);
}

void look_around(struct look *look) {
	for (size_t i = 0; i < look->count; i++) free(look->list[i].files);
	*look = (struct look){.list = look->list};
	DIR *all = open_list(job->proc, ".");
	for (const char *name; (name = next_number(all)) != NULL;) {
		struct process process = {0};
		int directory = open_inside(name, &look->missed);
		if (directory < 0) continue;
		long slack = read_number_at(directory, "timerslack_ns");
		if (slack < 0 || !read_stat(directory, &process)) {
			look->missed = true;
		} else if (process.pid != pid1 && (slack == job->tag || !is_tag(slack))) {
			/* Of the first thread; the ticks are of all. A kernel without it gives -1. */
			process.work += (unsigned long)read_number_at(directory, "schedstat");
			read_files(directory, &process);
			look->list = grown(look->list, look->count, sizeof process);
			look->list[look->count++] = process;
		}
		close(directory);
	}
	classify(look);
}

bool begin_to_look(const struct drain *drain) {
	struct process init;
	job = drain;
	identify(drain->in, "", AT_EMPTY_PATH, &input);
	for (int i = 0; i < 2; i++)
		if (identify(i == 0 ? drain->out : drain->err, "", AT_EMPTY_PATH, &outputs[i]) == 0) outputs[i] = (struct file){0};
	if (outputs[0].inode == 0 && outputs[1].inode == 0) return false;
	if (readlinkat(drain->init, "ns/pid", namespace, sizeof namespace - 1) < 0 || !read_stat(drain->init, &init)) return false;
	pid1 = init.pid;
	return fstatat(drain->init, "ns/pid", &namespace_file, 0) == 0 &&
	       readlinkat(drain->proc, "self/ns/pid", own_namespace, sizeof own_namespace - 1) > 0;
}
