/* Which sub-command is meant, and a copy of this program in memory where its file could be opened for writing. */
#include "helper.h"

#include <sys/prctl.h>

static const struct {
	const char *name;
	int (*main)(int argc, char **argv);
} COMMANDS[] = {
    {"abort-fuse", abort_fuse_main},
    {"copy", copy_main},
    {"enter", enter_main},
    {"hold", hold_main},
    {"look", look_main},
    {"unstage", unstage_main},
};

static char *title;
static size_t title_size;

void set_title(const char *text) {
	/* The texts of argv lie one behind the other. */
	memset(title, 0, title_size);
	memcpy(title, text, strlen(text) < title_size ? strlen(text) : title_size - 1);
	prctl(PR_SET_NAME, strrchr(text, ' ') == NULL ? text : strrchr(text, ' ') + 1);
}

int main(int argc, char **argv) {
	title = argv[0];
	title_size = (size_t)(argv[argc - 1] + strlen(argv[argc - 1]) - argv[0]);
	for (size_t i = 0; argc > 1 && i < sizeof COMMANDS / sizeof *COMMANDS; i++)
		if (strcmp(argv[1], COMMANDS[i].name) == 0) return COMMANDS[i].main(argc - 1, argv + 1);
	dprintf(2, "virt-ts-unshare: internal: the helper has no command %s\n", argc > 1 ? argv[1] : "given");
	return NOT_RUN;
}
