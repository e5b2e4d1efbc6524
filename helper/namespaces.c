#include "helper.h"

#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <linux/keyctl.h>

static const struct {
	unsigned bit;
	const char *file;
	char letter;
	unsigned long flag;
} KINDS[] = {
    {USER_NS, "ns/user", 'u', CLONE_NEWUSER}, {CGROUP_NS, "ns/cgroup", 'c', CLONE_NEWCGROUP}, {IPC_NS, "ns/ipc", 'i', CLONE_NEWIPC},
    {UTS_NS, "ns/uts", 't', CLONE_NEWUTS},    {PID_NS, "ns/pid", 'p', CLONE_NEWPID},          {NET_NS, "ns/net", 'n', CLONE_NEWNET},
    {MNT_NS, "ns/mnt", 'm', CLONE_NEWNS},
};
enum { KIND_COUNT = sizeof KINDS / sizeof *KINDS };

/* setns(2) fails for the own user namespace. */
static bool is_own_user_namespace(int file) {
	struct stat own, other;
	return stat("/proc/self/ns/user", &own) == 0 && fstat(file, &other) == 0 && own.st_ino == other.st_ino && own.st_dev == other.st_dev;
}

const char *enter_namespaces(int process, unsigned namespaces) {
	int files[KIND_COUNT];
	for (size_t i = 0; i < KIND_COUNT; i++) {
		if ((namespaces & KINDS[i].bit) == 0) continue;
		files[i] = openat(process, KINDS[i].file, O_RDONLY | O_CLOEXEC);
		if (files[i] < 0) return KINDS[i].file;
	}
	for (size_t i = 0; i < KIND_COUNT; i++) {
		if ((namespaces & KINDS[i].bit) == 0) continue;
		bool is_there = KINDS[i].bit == USER_NS && is_own_user_namespace(files[i]);
		if (!is_there && setns(files[i], 0) != 0) return KINDS[i].file;
		close(files[i]);
	}
	return NULL;
}

unsigned namespaces_of(const char *letters) {
	unsigned bits = 0;
	for (size_t i = 0; i < KIND_COUNT; i++)
		if (strchr(letters, KINDS[i].letter) != NULL) bits |= KINDS[i].bit;
	return bits;
}

unsigned long namespace_flags(const char *letters) {
	unsigned long flags = 0;
	for (size_t i = 0; i < KIND_COUNT; i++)
		if (strchr(letters, KINDS[i].letter) != NULL) flags |= KINDS[i].flag;
	return flags;
}

bool become_root(void) {
	/* In a user namespace of one id that was written without privilege, setgroups(2) is denied. */
	if (setgroups(0, NULL) != 0 && errno != EPERM) return false;
	return setresgid(0, 0, 0) == 0 && setresuid(0, 0, 0) == 0;
}

bool join_session_keyring(const char *name) {
	/* Full rights for the possessor. Others may search for its name, which is one of the user namespace, but not link it. */
	const unsigned long permissions = 0x3f080008;
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name) < 0) return errno == ENOSYS || errno == EPERM;
	/* Fails when root of the testbed has removed this right, which affects only that testbed. */
	syscall(SYS_keyctl, KEYCTL_SETPERM, KEY_SPEC_SESSION_KEYRING, permissions);
	return true;
}

void set_slack(unsigned long slack) {
	const struct sched_param none = {0};
	int policy = sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
	if (policy != SCHED_OTHER && policy != SCHED_BATCH && policy != SCHED_IDLE) sched_setscheduler(0, SCHED_OTHER, &none);
	prctl(PR_SET_TIMERSLACK, slack);
}

bool close_all_but(unsigned from, const int *kept, size_t count) {
	for (;;) {
		unsigned next = UINT_MAX;
		for (size_t i = 0; i < count; i++)
			if (kept[i] >= (int)from && (unsigned)kept[i] < next) next = (unsigned)kept[i];
		if (next == UINT_MAX) return close_range(from, UINT_MAX, 0) == 0;
		if (next > from && close_range(from, next - 1, 0) != 0) return false;
		fcntl((int)next, F_SETFD, FD_CLOEXEC);
		from = next + 1;
	}
}

int open_process(int proc, pid_t pid) {
	char name[32];
	snprintf(name, sizeof name, "%ld", (long)pid);
	return openat(proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

ssize_t read_at(int directory, const char *path, char *buffer, size_t size) {
	int file = openat(directory, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file < 0) return -1;
	size_t length = 0;
	ssize_t got = 0;
	while (length < size - 1 && (got = read(file, buffer + length, size - 1 - length)) > 0) length += (size_t)got;
	int error = errno;
	close(file);
	errno = error;
	buffer[length] = '\0';
	return got < 0 ? -1 : (ssize_t)length;
}

long read_number_at(int directory, const char *path) {
	char text[32];
	if (read_at(directory, path, text, sizeof text) <= 0) return -1;
	char *end;
	long number = strtol(text, &end, 10);
	return end == text ? -1 : number;
}
