/*
 * Copies between a file of the host and one that a process of a testbed has open as descriptor 4, as move-file.sh does, in one
 * process and with less to start. As root of the testbed's user namespace but outside of its other namespaces: it may open
 * what that process could open and nothing more, and nobody in the testbed sees it.
 *
 * argv: [-u] [-k] in         from standard input to the testbed's file
 *       [-u] [-k] out BYTES  from the testbed's file to standard output, no more than that
 *   -u  enter the user namespace of the process whose folder in /proc is the working directory
 *   -k  keep the user and group ids there: a user namespace of one id, written without help, forbids to set them
 * descriptor 3: gives a line, the pids of the process and of the testbed's pid 1; is told where the second half begins (bytes),
 *   if the two halves are copied at once
 * descriptor 4: the file of the host opened once more, if its halves may be copied at once
 * status: 0, and "N bytes copied" on stderr; else 1 and what failed
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "namespaces.h"

enum { BLOCK = 512 * 1024, ORDER = 3, AGAIN = 4 };
/* To halve a short file costs more than it gains. */
static const int64_t FIRST = 2 * 1024 * 1024;

static _Noreturn void fail(const char *what) {
	dprintf(2, "error %s: %s\n", what, strerror(errno));
	_exit(1);
}

struct part {
	int from, to;
	int64_t limit, copied;
	char *block;
};

/* Copies until the limit or the end. A failure of one part ends the whole process, so the other does not go on in vain. */
static void *copy(void *argument) {
	struct part *part = argument;
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

/* Where the second half begins, or 0: what keeps no count of what was read, or is no file, has no halves. */
static int64_t half_of(int from, int to, int64_t limit) {
	struct stat source, target, again;
	if (lseek(from, 0, SEEK_CUR) != FIRST || fstat(from, &source) != 0 || fstat(to, &target) != 0) return 0;
	if (!S_ISREG(source.st_mode) || !S_ISREG(target.st_mode)) return 0;
	if (fstat(AGAIN, &again) != 0 || !(same_file(&again, &source) || same_file(&again, &target))) return 0;
	int64_t all = source.st_size < limit ? source.st_size : limit;
	return all > FIRST ? FIRST + (all - FIRST) / 2 : 0;
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
	dprintf(2, "the testbed closed the file before it was copied\n");
	_exit(1);
}

static int open_in_testbed(bool in) {
	int file = open("fd/4", (in ? O_WRONLY : O_RDONLY) | O_NOCTTY | O_CLOEXEC);
	if (file < 0) fail(in ? "writing" : "reading");
	return file;
}

int main(int argc, char **argv) {
	bool twice = fcntl(AGAIN, F_GETFD) != -1;
	bool enters = false, keeps_ids = false;
	for (int option; (option = getopt(argc, argv, "+uk")) != -1;) {
		switch (option) {
		case 'u': enters = true; break;
		case 'k': keeps_ids = true; break;
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
	if (order == NULL || fscanf(order, "%ld %ld", &pid, &init) != 2) return 1;
	stand_in(pid, init);

	static char blocks[2][BLOCK];
	int inside = open_in_testbed(in);
	struct part first = {in ? 0 : inside, in ? inside : 1, limit < FIRST ? limit : FIRST, 0, blocks[0]};
	struct part second = {0};
	copy(&first);
	int64_t half = twice && first.copied == FIRST ? half_of(first.from, first.to, limit) : 0;
	if (half > 0) {
		int other = open_in_testbed(in);
		second = (struct part){in ? AGAIN : other, in ? other : AGAIN, limit - half, 0, blocks[1]};
		if (lseek(second.from, half, SEEK_SET) < 0) fail("reading");
		if (lseek(second.to, half, SEEK_SET) < 0) fail("writing");
		dprintf(ORDER, "%" PRId64 "\n", half);
		first.limit = half;
		pthread_t thread;
		errno = pthread_create(&thread, NULL, copy, &second);
		if (errno != 0) fail("with a second thread");
		copy(&first);
		pthread_join(thread, NULL);
	} else if (first.copied == FIRST) {
		first.limit = limit;
		copy(&first);
	}
	if (close(first.to) != 0 || (half > 0 && close(second.to) != 0)) fail("writing");
	dprintf(2, "%" PRId64 " bytes copied\n", first.copied + second.copied);
	return 0;
}
