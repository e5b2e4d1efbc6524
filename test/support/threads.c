/*
 * Processes whose files are not those of the first thread. It writes "here" and ends; what it leaves behind sleeps.
 *   threads ended      its first thread has ended
 *   threads own-files  its first thread has closed its files; another one has files of its own
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

static int ready[2];

static void *stay(void *own_files) {
	if (own_files != NULL && unshare(CLONE_FILES) != 0) _exit(1);
	if (write(ready[1], "", 1) != 1) _exit(1);
	sleep(1000);
	return NULL;
}

int main(int argc, char **argv) {
	int own_files = argc > 1 && strcmp(argv[1], "own-files") == 0;
	char byte;
	if (pipe(ready) != 0) return 1;
	if (fork() != 0) return read(ready[0], &byte, 1) == 1 && write(1, "here\n", 5) == 5 ? 0 : 1;
	int other[2] = {ready[0], ready[1]};
	pthread_t thread;
	if (pthread_create(&thread, NULL, stay, own_files ? other : NULL) != 0) return 1;
	if (!own_files) pthread_exit(NULL);
	if (read(ready[0], &byte, 1) != 1 || write(ready[1], "", 1) != 1) return 1;
	for (int file = 0; file < 3; file++) close(file);
	pause();
}
