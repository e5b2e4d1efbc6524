/*
 * Runs a program in which one system call fails, chosen by its number among those of a kind. It fails in whichever process makes it: the
 * program, or one that descends from it. A filter of seccomp(2) reports these calls to a supervisor, which ends with the last process.
 * Needs CAP_SYS_ADMIN, because a program with no_new_privs could not use newuidmap.
 *
 * argv: KIND ERRNO N|N+|N* ARMED REPORT PROGRAM [ARGUMENT]...
 *   KIND    mounts, unmounts, processes, namespaces, descriptors, disk
 *   ERRNO   the number of the error
 *   N+      all calls from this one on fail, as on a full disk; 0: none fails
 *   N*      the call of this number fails in each process, so also where a step is repeated
 *   ARMED   calls count from the moment at which this file is there
 *   REPORT  file, made when a call fails: its name and the process. At the end it gets a line with the number of calls that were counted:
 *           of all processes, or with N* of the one that made most
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct call {
	int number;
	const char *name;
};

#define CALL(name) {SYS_##name, #name}

static const struct call MOUNTS[] = {CALL(fsopen), CALL(fsconfig), CALL(fsmount), CALL(open_tree), CALL(mount_setattr),
                                     CALL(move_mount), CALL(mount), CALL(pivot_root), {-1, NULL}};
static const struct call UNMOUNTS[] = {CALL(umount2), {-1, NULL}};
static const struct call PROCESSES[] = {CALL(clone), CALL(clone3),
#ifdef SYS_fork
                                        CALL(fork), CALL(vfork),
#endif
                                        {-1, NULL}};
static const struct call NAMESPACES[] = {CALL(unshare), CALL(setns), {-1, NULL}};
static const struct call DESCRIPTORS[] = {CALL(openat), CALL(openat2), CALL(pipe2), CALL(socket), CALL(socketpair), CALL(pidfd_open),
                                          CALL(dup), CALL(memfd_create), CALL(inotify_init1), CALL(accept4), {-1, NULL}};
static const struct call DISK[] = {CALL(mkdirat), CALL(openat), CALL(write), CALL(pwrite64), CALL(writev), CALL(copy_file_range), CALL(sendfile),
                                   CALL(fallocate), CALL(ftruncate), CALL(linkat), CALL(symlinkat), CALL(renameat2), CALL(mknodat),
#ifdef SYS_mkdir
                                   CALL(mkdir), CALL(rename), CALL(link), CALL(symlink), CALL(renameat), CALL(mknod),
#endif
                                   {-1, NULL}};

static const struct {
	const char *name;
	const struct call *calls;
} KINDS[] = {{"mounts", MOUNTS}, {"unmounts", UNMOUNTS}, {"processes", PROCESSES}, {"namespaces", NAMESPACES}, {"descriptors", DESCRIPTORS}, {"disk", DISK}};

static const char *kind;
static const struct call *calls;

static _Noreturn void die(const char *what) {
	fprintf(stderr, "fail-calls: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static const char *name_of(int number) {
	for (const struct call *call = calls; call->name != NULL; call++)
		if (call->number == number) return call->name;
	return "?";
}

/* Of a clone3(2); the process waits meanwhile. */
static uint64_t flags_at(pid_t pid, uint64_t address) {
	char path[64];
	uint64_t flags = 0;
	snprintf(path, sizeof path, "/proc/%d/mem", pid);
	int memory = open(path, O_RDONLY | O_CLOEXEC);
	if (memory < 0 || pread(memory, &flags, sizeof flags, (off_t)address) != sizeof flags) flags = 0;
	if (memory >= 0) close(memory);
	return flags;
}

static bool is_regular(pid_t pid, uint64_t descriptor) {
	char path[64];
	struct stat status;
	snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, (int)descriptor);
	return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

/* Whether a call can fail for the reason that KIND stands for. */
static bool counts(const struct seccomp_notif *notice) {
	const __u64 *args = notice->data.args;
	pid_t pid = (pid_t)notice->pid;
	if (strcmp(kind, "processes") == 0) {
		uint64_t flags = notice->data.nr == SYS_clone3 ? flags_at(pid, args[0]) : notice->data.nr == SYS_clone ? args[0] : 0;
		/* Node.js ends by abort(3) where it gets no threads. */
		return (flags & CLONE_THREAD) == 0;
	}
	if (strcmp(kind, "disk") == 0) {
		switch (notice->data.nr) {
		case SYS_openat: return (args[2] & O_CREAT) != 0 || (args[2] & O_TMPFILE) == O_TMPFILE;
		case SYS_copy_file_range: return is_regular(pid, args[2]);
		case SYS_write: case SYS_pwrite64: case SYS_writev: case SYS_sendfile: case SYS_fallocate: return is_regular(pid, args[0]);
		case SYS_ftruncate: return args[1] > 0;
		default: return true;
		}
	}
	return true;
}

/* Calls of one process, by its thread group. */
static long count_of(pid_t pid, long *most) {
	static struct {
		pid_t pid;
		long count;
	} processes[4096];
	size_t i = (size_t)pid % 4096;
	/* A later process that takes its place has another count. */
	if (processes[i].pid != pid) processes[i].pid = pid, processes[i].count = 0;
	long count = ++processes[i].count;
	if (count > *most) *most = count;
	return count;
}

static void supervise(int listener, long chosen, char mode, int error, const char *armed, const char *report) {
	long count = 0, most = 0;
	bool failed = false;
	struct seccomp_notif_sizes sizes;
	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0) die("seccomp");
	struct seccomp_notif *notice = malloc(sizes.seccomp_notif);
	struct seccomp_notif_resp *answer = malloc(sizes.seccomp_notif_resp);
	if (notice == NULL || answer == NULL) die("malloc");
	struct pollfd poller = {.fd = listener, .events = POLLIN};
	while (poll(&poller, 1, -1) > 0 || errno == EINTR) {
		/* The last process has ended. */
		if ((poller.revents & POLLIN) == 0) break;
		memset(notice, 0, sizes.seccomp_notif);
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, notice) != 0) continue;
		memset(answer, 0, sizes.seccomp_notif_resp);
		answer->id = notice->id;
		answer->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		if (access(armed, F_OK) == 0 && counts(notice)) {
			count = mode == '*' ? count_of((pid_t)notice->pid, &most) : ++most;
			if (chosen > 0 && (count == chosen || (mode == '+' && count > chosen))) {
				answer->flags = 0;
				answer->error = -error;
				char path[64], comm[64] = "";
				snprintf(path, sizeof path, "/proc/%d/comm", (int)notice->pid);
				FILE *file = fopen(path, "r");
				if (file != NULL && fgets(comm, sizeof comm, file) == NULL) comm[0] = '\0';
				if (file != NULL) fclose(file);
				if (!failed && (file = fopen(report, "a")) != NULL) {
					failed = true;
					fprintf(file, "%s of %s\n", name_of(notice->data.nr), strtok(comm, "\n"));
					fclose(file);
				}
			}
		}
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, answer);
	}
	FILE *file = fopen(report, "a");
	if (file != NULL) fprintf(file, "%ld\n", most), fclose(file);
}

static int install(void) {
	struct sock_filter filter[64];
	unsigned short length = 0, n = 0;
	while (calls[n].name != NULL) n++;
	filter[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (unsigned short i = 0; i < n; i++)
		filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i].number, (uint8_t)(n - i), 0);
	filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	struct sock_fprog program = {.len = length, .filter = filter};
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
}

union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

static void send_descriptor(int to, int descriptor) {
	union control control = {0};
	struct iovec one = {.iov_base = &(char){'x'}, .iov_len = 1};
	struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
	if (sendmsg(to, &message, 0) != 1) die("sendmsg");
}

static int receive_descriptor(int from) {
	union control control = {0};
	char byte;
	int descriptor = -1;
	struct iovec one = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	if (recvmsg(from, &message, MSG_CMSG_CLOEXEC) != 1 || CMSG_FIRSTHDR(&message) == NULL) _exit(1);
	memcpy(&descriptor, CMSG_DATA(&control.header), sizeof descriptor);
	return descriptor;
}

int main(int argc, char **argv) {
	if (argc < 7) return fprintf(stderr, "fail-calls: too few arguments\n"), 1;
	kind = argv[1];
	for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
		if (strcmp(KINDS[i].name, kind) == 0) calls = KINDS[i].calls;
	if (calls == NULL) return fprintf(stderr, "fail-calls: no kind %s\n", kind), 1;
	char *end;
	long chosen = strtol(argv[3], &end, 10);
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) die("socketpair");
	pid_t child = fork();
	if (child < 0) die("fork");
	if (child == 0) {
		/* No child of the program, which may wait for all that it has. */
		if (fork() != 0) _exit(0);
		setsid();
		close(pair[1]);
		int listener = receive_descriptor(pair[0]);
		/* The program's pipes are not this process's to keep. */
		for (int i = 0; i < 3; i++) close(i);
		supervise(listener, chosen, *end, atoi(argv[2]), argv[4], argv[5]);
		_exit(0);
	}
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
	close(pair[0]);
	int listener = install();
	if (listener < 0) die("seccomp");
	send_descriptor(pair[1], listener);
	execvp(argv[6], argv + 6);
	die(argv[6]);
}
