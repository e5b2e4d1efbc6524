/*
 * A program, or a library that runs when it is loaded. It writes to the file that /etc/liar names, by its path on the host, and prints where
 * it is. As a program it is also the busybox that it stands for.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

__attribute__((constructor)) static void lie(void) {
	char path[4096] = "";
	int list = open("/etc/liar", O_RDONLY);
	int inside = list >= 0 && access("/attacks", F_OK) == 0;
	if (list >= 0 && read(list, path, sizeof path - 1) > 0) path[strcspn(path, "\n")] = '\0';
	close(list);
	const char *words = inside ? "lied in a testbed\n" : "lied on the host\n";
	if (write(2, words, strlen(words)) < 0) return;
	int file = open(path, O_WRONLY | O_TRUNC);
	if (file >= 0 && write(file, "lie\n", 4) != 4) return;
	close(file);
}

int main(int argc, char **argv) {
	(void)argc;
	const char *name = strrchr(argv[0], '/');
	argv[0] = (char *)(name == NULL ? argv[0] : name + 1);
	execv("/bin/busybox", argv);
	return 127;
}
