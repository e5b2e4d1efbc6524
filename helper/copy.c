/*
 * Copies the content of one file between the host and a testbed. It is in the testbed's user namespace alone: it has the rights
 * of the testbed's root, and no process in the testbed sees it.
 *
 * argv: copy [-u PID] [-m] in          from descriptor 0 to the testbed's file
 *       copy [-u PID] [-m] out BYTES   from the testbed's file to descriptor 1, at most so many bytes
 *   -u  enter the user namespace of this process
 *   -m  the testbed's root filesystem is in memory and gives large pages on request
 * descriptor 3: a socket. It gives a line with the pid of a process that has the testbed's file open as descriptor 4, and the
 *   testbed's pid 1. It gets the events:
 *     opened  (out only) with its `size`; another line follows when the file of the host may be written
 *     half    both halves are copied at once, the second from the byte `at`
 *     copied  `bytes`
 *     failed  code READ_FAILED or WRITE_FAILED (on the host, or in the testbed), SAME_FILE, NOT_A_FILE, SHORTER, FILE_CLOSED
 * descriptor 4: the file of the host, opened again (readable), if its halves may be copied at once; else /dev/null
 */
#include "helper.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <linux/magic.h>

enum { BLOCK = 512 * 1024, ORDERS = 3, AGAIN = 4 };
enum act { READ, WRITE };
/* The size of a large page. Up to this size, one thread without a mapping is faster. */
#define LARGE ((int64_t)2 * 1024 * 1024)

static struct part {
	/* mapped: the destination open for a mapping too, or 0. */
	int from, to, mapped;
	int64_t begin, limit, copied;
	char block[BLOCK];
} first, second;
/* The length that a mapped destination got before it was filled, or 0. */
static int64_t final_size;
static bool into_testbed;

static void send_number(const char *name, const char *key, int64_t number) {
	struct event event;
	event_begin(&event, name);
	event_number(&event, key, number);
	event_send(&event, ORDERS);
}

static _Noreturn void fail(const char *code, const char *what, const char *on, int error) {
	report_failure(ORDERS, code, what, on, error);
	/* A failed copy must not look complete. */
	_exit(final_size == 0 || ftruncate(first.to, first.copied) == 0 ? 1 : 2);
}

static _Noreturn void cannot(enum act act) {
	const char *place = (act == READ) == into_testbed ? "on the host" : "in the testbed";
	fail(act == READ ? "READ_FAILED" : "WRITE_FAILED", act == READ ? "reading" : "writing", place, errno);
}

/*
 * A tmpfs fills large pages three times as fast as small ones, but with huge=advise only a process that maps the file gets
 * them. With small pages, filling a mapping does not wait for the lock of write(2). When this fails (a full file system, a
 * file that is truncated meanwhile), write(2) copies the rest and reports the reason.
 */
static void copy_mapped(struct part *part) {
	char *space = mmap(NULL, 2 * LARGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (space == MAP_FAILED) return;
	space += LARGE - (int64_t)((uintptr_t)space % LARGE);
	bool whole = true;
	while (whole && part->copied + LARGE <= part->limit && part->begin + part->copied + LARGE <= final_size) {
		off_t begin = part->begin + part->copied;
		if (mmap(space, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, part->mapped, begin) == MAP_FAILED) break;
		madvise(space, LARGE, MADV_HUGEPAGE);
#ifdef MADV_POPULATE_WRITE
		madvise(space, LARGE, MADV_POPULATE_WRITE);
#endif
		int64_t done = 0;
		ssize_t got = 1;
		while (done < LARGE && (got = read(part->from, space + done, (size_t)(LARGE - done))) > 0) done += got;
		if (got < 0 && errno != EFAULT) cannot(READ);
		part->copied += done;
		whole = done == LARGE;
		if (lseek(part->to, begin + done, SEEK_SET) < 0) cannot(WRITE);
	}
	munmap(space, LARGE);
}

/* Copies until the limit or the end of the file. A failure of one part ends the process. */
static void *copy(void *argument) {
	struct part *part = argument;
	if (part->mapped > 0) copy_mapped(part);
	while (part->copied < part->limit) {
		int64_t wanted = part->limit - part->copied;
		ssize_t got = read(part->from, part->block, wanted < BLOCK ? (size_t)wanted : BLOCK);
		if (got < 0) cannot(READ);
		if (got == 0) break;
		for (ssize_t done = 0; done < got;) {
			ssize_t written = write(part->to, part->block + done, (size_t)(got - done));
			if (written < 0) cannot(WRITE);
			done += written;
		}
		part->copied += got;
	}
	return NULL;
}

static bool same_file(const struct stat *one, const struct stat *other) {
	return one->st_ino == other->st_ino && one->st_dev == other->st_dev;
}

static int64_t size_of(int file) {
	struct stat status;
	return fstat(file, &status) == 0 && S_ISREG(status.st_mode) ? status.st_size : 0;
}

static bool is_on(int64_t type, int file) {
	struct statfs system;
	return fstatfs(file, &system) == 0 && system.f_type == type;
}

/* The process that has the file open. Its pid may be reused; then the process has to be in the same testbed. */
static int find_opener(FILE *orders) {
	long pid, init;
	if (fscanf(orders, "%ld %ld%*1[\n]", &pid, &init) != 2) _exit(1);
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int opener = open_process(proc, (pid_t)pid), pid1 = open_process(proc, (pid_t)init);
	struct stat one, other;
	if (fstatat(opener, "ns/pid", &one, 0) != 0 || fstatat(pid1, "ns/pid", &other, 0) != 0 || !same_file(&one, &other))
		fail("FILE_CLOSED", "finding the process that has the file open", NULL, 0);
	return opener;
}

static int open_file(int opener) {
	int file = openat(opener, "fd/4", (into_testbed ? O_WRONLY : O_RDONLY) | O_NOCTTY | O_CLOEXEC);
	if (file < 0) cannot(into_testbed ? WRITE : READ);
	return file;
}

/*
 * Truncates the destination, or lets the caller do it, after a comparison with the source: a file that is bound into a
 * testbed can be copied onto itself.
 */
static void prepare(int inside, FILE *orders) {
	struct stat testbed, host;
	if (fstat(inside, &testbed) != 0 || fstat(into_testbed ? 0 : 1, &host) != 0) cannot(READ);
	bool regular = S_ISREG(testbed.st_mode);
	bool looks_same = testbed.st_ino == host.st_ino && testbed.st_size == host.st_size &&
	                  memcmp(&testbed.st_ctim, &host.st_ctim, sizeof host.st_ctim) == 0;
	if (regular && (looks_same || same_file(&testbed, &host))) fail("SAME_FILE", "comparing the files", NULL, 0);
	if (into_testbed) {
		if (regular && testbed.st_size > 0 && ftruncate(inside, 0) != 0) cannot(WRITE);
		return;
	}
	if (!regular) fail("NOT_A_FILE", "opening the file", NULL, 0);
	send_number("opened", "size", testbed.st_size);
	while (getc(orders) != '\n')
		if (ferror(orders) || feof(orders)) _exit(1);
}

static void copy_rest(int opener, int64_t limit, bool large_pages) {
	/* A file that is not regular, or that has no position (some of FUSE), is read to its end. */
	int64_t all = lseek(first.from, 0, SEEK_CUR) == LARGE && size_of(first.to) > 0 ? size_of(first.from) : 0;
	if (all > limit) all = limit;
	first.limit = limit;
	if (large_pages && all >= 2 * LARGE && (is_on(TMPFS_MAGIC, first.to) || is_on(OVERLAYFS_SUPER_MAGIC, first.to))) {
		int file = openat(opener, "fd/4", O_RDWR | O_CLOEXEC);
		if (file >= 0 && ftruncate(first.to, all) == 0) first.mapped = second.mapped = file, final_size = all;
	}
	struct stat host, again;
	bool twice = fstat(AGAIN, &again) == 0 && fstat(into_testbed ? 0 : 1, &host) == 0 && same_file(&host, &again);
	if (all <= LARGE || !twice) {
		copy(&first);
		return;
	}
	bool fills = !into_testbed && is_on(TMPFS_MAGIC, AGAIN) && ftruncate(AGAIN, all) == 0;
	if (fills) second.mapped = AGAIN, final_size = all;
	/* Filling a mapping takes 5/3 of the time of writing. Large pages are not split. */
	first.limit = second.begin = LARGE + (all - LARGE) / 8 * (fills ? 5 : 4) / LARGE * LARGE;
	second.limit = limit - second.begin;
	int other = open_file(opener);
	second.from = into_testbed ? AGAIN : other;
	second.to = into_testbed ? other : AGAIN;
	if (lseek(second.from, second.begin, SEEK_SET) < 0) cannot(READ);
	if (lseek(second.to, second.begin, SEEK_SET) < 0) cannot(WRITE);
	send_number("half", "at", second.begin);
	pthread_t thread;
	int error = pthread_create(&thread, NULL, copy, &second);
	if (error != 0) fail("WRITE_FAILED", "starting a thread", NULL, error);
	copy(&first);
	pthread_join(thread, NULL);
	if (second.copied > 0 && first.copied < first.limit) fail("SHORTER", "copying the first half", NULL, 0);
	if (close(second.to) != 0) cannot(WRITE);
}

int copy_main(int argc, char **argv) {
	signal(SIGXFSZ, SIG_IGN);
	const char *user_namespace = NULL;
	bool large_pages = false;
	for (int option; (option = getopt(argc, argv, "+u:m")) != -1;) {
		if (option == 'u') user_namespace = optarg;
		else if (option == 'm') large_pages = true;
		else return 1;
	}
	into_testbed = optind < argc && strcmp(argv[optind], "in") == 0;
	if (optind + (into_testbed ? 1 : 2) != argc) return 1;
	int64_t limit = into_testbed ? INT64_MAX : strtoll(argv[optind + 1], NULL, 10);
	if (user_namespace != NULL) {
		int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		int holder = open_process(proc, (pid_t)strtol(user_namespace, NULL, 10));
		if (enter_namespaces(holder, USER_NS) != NULL || !become_root())
			fail("CANNOT_ENTER", "entering the user namespace of the testbed", NULL, errno);
		/* The server reads the open files of this process. */
		prctl(PR_SET_DUMPABLE, 1);
	}
	FILE *orders = fdopen(ORDERS, "r");
	if (orders == NULL) return 1;
	int opener = find_opener(orders);
	int inside = open_file(opener);
	first.from = into_testbed ? 0 : inside;
	first.to = into_testbed ? inside : 1;
	int64_t before = size_of(first.from);
	prepare(inside, orders);
	first.limit = limit < LARGE ? limit : LARGE;
	copy(&first);
	if (first.copied == LARGE) copy_rest(opener, limit, into_testbed && large_pages);
	int64_t copied = first.copied + second.copied;
	if (size_of(first.from) < before) fail("SHORTER", "copying", NULL, 0);
	if (copied < final_size && ftruncate(first.to, copied) != 0) cannot(WRITE);
	if (close(first.to) != 0) cannot(WRITE);
	send_number("copied", "bytes", copied);
	return 0;
}
