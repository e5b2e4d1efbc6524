/*
 * Copies between a file of the host and one that a process of a testbed has open as descriptor 4, as move-file.sh does, in one
 * process and with less to start. As root of the testbed's user namespace but outside of its other namespaces: it may open
 * what that process could open and nothing more, and nobody in the testbed sees it.
 *
 * argv: [-u] [-k] [-m] in         from standard input to the testbed's file
 *       [-u] [-k] [-m] out BYTES  from the testbed's file to standard output, no more than that
 *   -u  enter the user namespace of the process whose folder in /proc is the working directory
 *   -k  keep the user and group ids there: a user namespace of one id, written without help, forbids to set them
 *   -m  the testbed's root file system keeps in memory what is written, in large pages if they are asked for
 * descriptor 3: gives a line, the pids of the process and of the testbed's pid 1; on the way out, is told "opened" then, and
 *   gives another line when the file of the host is ready to be written; is told where the second half begins (bytes), if the
 *   two halves are copied at once
 * descriptor 4: the file of the host opened once more, if its halves may be copied at once; to be written, for reading too
 * status: 0, and "N bytes copied" on stderr; else 1 and what failed
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "namespaces.h"

enum { BLOCK = 512 * 1024, ORDER = 3, AGAIN = 4 };
/* A large page. */
#define LARGE ((int64_t)2 * 1024 * 1024)
/* To halve a short file, or to give it large pages, costs more than it gains. */
static const int64_t FIRST = LARGE;

static _Noreturn void refuse(const char *why) {
	dprintf(2, "%s\n", why);
	_exit(1);
}

struct part {
	int from, to;
	/* Bytes: where it begins, how many there may be, and how many have come. */
	int64_t begin, limit, copied;
	/* How many are to be copied into a mapping of this file, in windows of the size of a large page. */
	int64_t windows;
	int mapped;
	char *block;
};

/* What is mapped was made as long as it shall be; a part of it is not to look like all. */
static struct part *sized;

static _Noreturn void fail(const char *what) {
	dprintf(2, "error %s: %s\n", what, strerror(errno));
	if (sized != NULL && ftruncate(sized->to, sized->copied) != 0) dprintf(2, "a part of it is left\n");
	_exit(1);
}

/*
 * A tmpfs takes three times as long for small pages as for large ones, and gives large ones (with huge=advise) only to who maps
 * the file. Where it has small ones alone, who writes holds a lock that who fills a mapping does not take. Whatever cannot be had
 * in this way (a full file system, one that somebody cuts) is left to be written, which tells why.
 */
static void copy_mapped(struct part *part) {
	/* Somewhere in twice as much is a multiple of a large page. */
	char *space = mmap(NULL, 2 * LARGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (space == MAP_FAILED) return;
	space += LARGE - (int64_t)((uintptr_t)space % LARGE);
	bool whole = true;
	while (whole && part->copied < part->windows) {
		off_t begin = part->begin + part->copied;
		if (mmap(space, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, part->mapped, begin) == MAP_FAILED) break;
		madvise(space, LARGE, MADV_HUGEPAGE);
#ifdef MADV_POPULATE_WRITE
		/* Less than a fault for each page, where they are small. */
		madvise(space, LARGE, MADV_POPULATE_WRITE);
#endif
		int64_t done = 0;
		ssize_t there = 1;
		while (done < LARGE && (there = read(part->from, space + done, (size_t)(LARGE - done))) > 0) done += there;
		if (there < 0 && errno != EFAULT) fail("reading");
		part->copied += done;
		whole = done == LARGE;
		/* As if it had been written. */
		if (lseek(part->to, begin + done, SEEK_SET) < 0) fail("writing");
	}
	munmap(space, LARGE);
}

/* Copies until the limit or the end. A failure of one part ends the whole process, so the other does not go on in vain. */
static void *copy(void *argument) {
	struct part *part = argument;
	if (part->copied < part->windows) copy_mapped(part);
	while (part->copied < part->limit) {
		int64_t wanted = part->limit - part->copied;
		ssize_t there = read(part->from, part->block, wanted < BLOCK ? (size_t)wanted : BLOCK);
		if (there < 0) fail("reading");
		if (there == 0) break;
		for (ssize_t done = 0; done < there;) {
			ssize_t written = write(part->to, part->block + done, (size_t)(there - done));
			if (written < 0) fail("writing");
			done += written;
		}
		part->copied += there;
	}
	return NULL;
}

static bool same_file(const struct stat *one, const struct stat *other) {
	return one->st_ino == other->st_ino && one->st_dev == other->st_dev;
}

/*
 * How much will come in all, as far as can be known, when the first has come: 0 for what is no file, or keeps no count of what
 * was read, as some of FUSE.
 */
static int64_t all_of(int from, int to, int64_t limit) {
	struct stat source, target;
	if (lseek(from, 0, SEEK_CUR) != FIRST || fstat(from, &source) != 0 || fstat(to, &target) != 0) return 0;
	if (!S_ISREG(source.st_mode) || !S_ISREG(target.st_mode)) return 0;
	return source.st_size < limit ? source.st_size : limit;
}

static int64_t size_of(int file) {
	struct stat status;
	return fstat(file, &status) == 0 && S_ISREG(status.st_mode) ? status.st_size : 0;
}

static bool is_again(int file) {
	struct stat again, its;
	return fstat(AGAIN, &again) == 0 && fstat(file, &its) == 0 && same_file(&again, &its);
}

static int64_t file_system_of(int file) {
	struct statfs system;
	return fstatfs(file, &system) == 0 ? system.f_type : 0;
}

/* Whether it may lie on the testbed's own root file system; what is on a disk of the host's and bound there does not. */
static bool on_root(int file) {
	int64_t type = file_system_of(file);
	return type == TMPFS_MAGIC || type == OVERLAYFS_SUPER_MAGIC;
}

/* A pid can be another's by now, but a folder in /proc is and stays that of one process. */
static void stand_in(long pid, long init) {
	char path[64];
	struct stat its, ours;
	snprintf(path, sizeof path, "/proc/%ld", pid);
	if (chdir(path) == 0) {
		snprintf(path, sizeof path, "/proc/%ld/ns/pid", init);
		if (stat("ns/pid", &its) == 0 && stat(path, &ours) == 0 && same_file(&its, &ours)) return;
	}
	refuse("the testbed closed the file before it was copied");
}

/* A file below an overlay has another device there, but else it is the same. */
static bool looks_same(const struct stat *one, const struct stat *other) {
	return same_file(one, other) ||
	       (one->st_ino == other->st_ino && one->st_size == other->st_size && one->st_ctim.tv_sec == other->st_ctim.tv_sec &&
		one->st_ctim.tv_nsec == other->st_ctim.tv_nsec);
}

/*
 * What is bound into a testbed, or its root file system, can be copied onto itself, and would be cut before it was read: that is
 * done only when it is known that it is not so.
 */
static void make_ready(bool in, int inside, FILE *order) {
	struct stat its, ours;
	if (fstat(inside, &its) != 0 || fstat(in ? 0 : 1, &ours) != 0) fail(in ? "writing" : "reading");
	bool regular = S_ISREG(its.st_mode);
	if (regular && looks_same(&its, &ours)) refuse("they are the same file");
	if (!in) {
		if (!regular) refuse("it is not a regular file");
		dprintf(ORDER, "opened\n");
		while (getc(order) != '\n')
			if (ferror(order) || feof(order)) _exit(1);
	} else if (regular && its.st_size > 0 && ftruncate(inside, 0) != 0) {
		fail("writing");
	}
}

static int open_in_testbed(int flags) {
	int file = open("fd/4", flags | O_NOCTTY | O_CLOEXEC);
	if (file < 0) fail(flags == O_RDONLY ? "reading" : "writing");
	return file;
}

int main(int argc, char **argv) {
	/* Beyond the caller's limit for a file, write(2) shall say so. */
	signal(SIGXFSZ, SIG_IGN);
	bool twice = fcntl(AGAIN, F_GETFD) != -1;
	bool enters = false, keeps_ids = false, memory = false;
	for (int option; (option = getopt(argc, argv, "+ukm")) != -1;) {
		switch (option) {
		case 'u': enters = true; break;
		case 'k': keeps_ids = true; break;
		case 'm': memory = true; break;
		default: return 1;
		}
	}
	const char *way = argv[optind];
	if (way == NULL) return 1;
	bool in = strcmp(way, "in") == 0;
	int64_t limit = INT64_MAX;
	if (!in) limit = argv[optind + 1] == NULL ? 0 : strtoll(argv[optind + 1], NULL, 10);

	if (enters) {
		const char *names[] = {"ns/user"};
		enter_namespaces(names, 1);
		if (!keeps_ids) become_root();
		/* Who ends a testbed must see what we have open; in there, nobody sees us. */
		prctl(PR_SET_DUMPABLE, 1);
	}
	FILE *order = fdopen(ORDER, "r");
	long pid, init;
	if (order == NULL || fscanf(order, "%ld %ld%*1[\n]", &pid, &init) != 2) return 1;
	stand_in(pid, init);

	static char blocks[2][BLOCK];
	int inside = open_in_testbed(in ? O_WRONLY : O_RDONLY);
	int64_t before = size_of(in ? 0 : inside);
	make_ready(in, inside, order);
	struct part first = {.from = in ? 0 : inside, .to = in ? inside : 1, .limit = limit < FIRST ? limit : FIRST, .block = blocks[0]};
	struct part second = {.to = -1, .block = blocks[1]};
	copy(&first);
	int64_t all = first.copied == FIRST ? all_of(first.from, first.to, limit) : 0;
	bool mapped = false;
	if (in && memory && all >= FIRST + LARGE && on_root(first.to)) {
		/* As a mapping wants it, and only of a regular file: a pipe would never end. Not everybody who may write may read. */
		first.mapped = second.mapped = open("fd/4", O_RDWR | O_CLOEXEC);
		mapped = first.mapped >= 0 && ftruncate(first.to, all) == 0;
	}
	if (all > FIRST && twice && is_again(in ? first.from : first.to)) {
		bool fills = !in && file_system_of(AGAIN) == TMPFS_MAGIC && ftruncate(AGAIN, all) == 0;
		/* Who fills a mapping does three parts in the time that who writes does five. Large pages are not halved. */
		int64_t half = FIRST + (all - FIRST) / 8 * (fills ? 5 : 4) / LARGE * LARGE;
		int other = open_in_testbed(in ? O_WRONLY : O_RDONLY);
		second.from = in ? AGAIN : other;
		second.to = in ? other : AGAIN;
		second.begin = half;
		second.limit = limit - half;
		if (lseek(second.from, half, SEEK_SET) < 0) fail("reading");
		if (lseek(second.to, half, SEEK_SET) < 0) fail("writing");
		dprintf(ORDER, "%" PRId64 "\n", half);
		first.limit = half;
		if (mapped) first.windows = half;
		if (fills) second.mapped = AGAIN;
		if (mapped || fills) second.windows = (all - half) / LARGE * LARGE;
		mapped |= fills;
		if (mapped) sized = &first;
		pthread_t thread;
		errno = pthread_create(&thread, NULL, copy, &second);
		if (errno != 0) fail("with a second thread");
		copy(&first);
		pthread_join(thread, NULL);
	} else if (first.copied == FIRST) {
		first.limit = limit;
		if (mapped) first.windows = all / LARGE * LARGE, sized = &first;
		copy(&first);
	}
	int64_t copied = first.copied + second.copied;
	if (size_of(first.from) < before) refuse("it became shorter while it was copied");
	/* Not every file system tells the truth of how long a file is. */
	if (mapped && copied < all && ftruncate(first.to, copied) != 0) fail("writing");
	if (close(first.to) != 0 || (second.to >= 0 && close(second.to) != 0)) fail("writing");
	dprintf(2, "%" PRId64 " bytes copied\n", copied);
	return 0;
}
