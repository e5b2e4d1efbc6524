/* Which sub-command is meant, and a copy of this program in memory where its file could be opened for writing. */
#include "helper.h"

static const struct {
	const char *name;
	int (*main)(int argc, char **argv);
} COMMANDS[] = {
    {"copy", copy_main},
    {"enter", enter_main},
    {"look", look_main},
};

int main(int argc, char **argv) {
	for (size_t i = 0; argc > 1 && i < sizeof COMMANDS / sizeof *COMMANDS; i++)
		if (strcmp(argv[1], COMMANDS[i].name) == 0) return COMMANDS[i].main(argc - 1, argv + 1);
	dprintf(2, "virt-ts-unshare: internal: the helper has no command %s\n", argc > 1 ? argv[1] : "given");
	return NOT_RUN;
}
