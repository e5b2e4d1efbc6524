/*
 * Two events of a command, for src/events/journal.ts:
 *   "started"   testbed, pid (of the execute program), time (microseconds since 1970), dpkg, argv (a zero byte behind each word)
 *   "finished"  testbed, pid, duration (microseconds), status (-1: not executed), cpu (microseconds), memory (KiB, of the largest
 *               process), read and written (bytes, as in proc_pid_io(5)), dpkg. Figures are of the command and of all processes that
 *               were waited for.
 * dpkg is the state of /var/lib/dpkg/status, as of file_state().
 */
#include "steps.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static struct {
	int descriptor;
	long testbed;
	long long begun;
	int io;
} journal = {.descriptor = -1, .io = -1};

static long long microseconds(clockid_t clock) {
	struct timespec time;
	clock_gettime(clock, &time);
	return (long long)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static void begin(struct event *event, const char *name, pid_t self) {
	event_begin(event, name);
	event_number(event, "testbed", journal.testbed);
	event_number(event, "pid", self);
}

bool file_state(int file, char *text, size_t size) {
	struct stat status;
	if (file < 0 || fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) return false;
	snprintf(text, size, "%llu.%lld.%09ld.%lld", (unsigned long long)status.st_ino, (long long)status.st_ctim.tv_sec,
	         status.st_ctim.tv_nsec, (long long)status.st_size);
	return true;
}

static void add_dpkg(struct event *event, int init) {
	char text[128];
	int root = openat(init, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int file = root < 0 ? -1 : open_on_root(root, "var/lib/dpkg/status", O_PATH | O_NOFOLLOW);
	if (file_state(file, text, sizeof text)) event_text(event, "dpkg", text);
	close(file), close(root);
}

void journal_open(int descriptor, long testbed) {
	journal.descriptor = descriptor;
	journal.testbed = testbed;
}

void journal_start(int init, pid_t self, char **command) {
	if (journal.descriptor < 0) return;
	static char words[sizeof(struct event)];
	size_t length = 0;
	for (; *command != NULL && length < sizeof words; command++) {
		size_t size = strlen(*command) + 1, room = sizeof words - length;
		memcpy(words + length, *command, size < room ? size : room);
		length += size < room ? size : room;
	}
	struct event event;
	begin(&event, "started", self);
	event_number(&event, "time", microseconds(CLOCK_REALTIME));
	journal.begun = microseconds(CLOCK_MONOTONIC);
	add_dpkg(&event, init);
	event_bytes(&event, "argv", words, length);
	event_send(&event, journal.descriptor);
}

void journal_watch(int proc, pid_t child, int channel) {
	if (journal.descriptor < 0) return;
	/* Before it has executed, and when it is a zombie, the file belongs to root of the host. The channel is closed by execve(2). */
	poll(&(struct pollfd){.fd = channel, .events = POLLIN}, 1, 1000);
	char path[64];
	snprintf(path, sizeof path, "%ld/io", (long)child);
	journal.io = openat(proc, path, O_RDONLY | O_CLOEXEC);
}

/* Until the command is reaped, the file has the bytes of all its threads and of the children that it has waited for. */
static void add_bytes(struct event *event) {
	char text[512];
	long long in, out;
	ssize_t length = journal.io < 0 ? -1 : read(journal.io, text, sizeof text - 1);
	if (length <= 0) return;
	text[length] = '\0';
	if (sscanf(text, "rchar: %lld wchar: %lld", &in, &out) != 2) return;
	event_number(event, "read", in);
	event_number(event, "written", out);
}

void journal_finish(const struct finished *finished) {
	if (journal.descriptor < 0) return;
	struct event event;
	struct rusage used;
	begin(&event, "finished", finished->self);
	event_number(&event, "duration", microseconds(CLOCK_MONOTONIC) - journal.begun);
	event_number(&event, "status", finished->status);
	add_bytes(&event);
	waitpid(finished->child, NULL, 0);
	if (getrusage(RUSAGE_CHILDREN, &used) == 0) {
		const struct timeval user = used.ru_utime, system = used.ru_stime;
		event_number(&event, "cpu", (user.tv_sec + system.tv_sec) * 1000000LL + user.tv_usec + system.tv_usec);
		event_number(&event, "memory", used.ru_maxrss);
	}
	add_dpkg(&event, finished->init);
	event_send(&event, journal.descriptor);
}
