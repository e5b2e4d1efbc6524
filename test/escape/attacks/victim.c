/* A process of the host with a secret in its memory, its environment and a key. For each line of stdin it prints whether they are intact. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
	const char *secret = getenv("CANARY");
	if (secret == NULL) return 1;
	size_t length = strlen(secret);
	char *copy = strdup(secret), *mirror = malloc(length);
	for (size_t i = 0; i < length; i++) mirror[i] = (char)(copy[i] ^ 0x55);
	prctl(PR_SET_DUMPABLE, 1);
	char line[16];
	while (fgets(line, sizeof line, stdin) != NULL) {
		int intact = strcmp(getenv("CANARY"), copy) == 0;
		for (size_t i = 0; i < length; i++) intact = intact && (char)(copy[i] ^ 0x55) == mirror[i];
		puts(intact ? "intact" : "changed");
		fflush(stdout);
	}
	return 0;
}
