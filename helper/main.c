/* Chooses the sub-command, and executes a copy of this program in memory where the file could be opened for writing. */
#include "helper.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

static const struct {
	const char *name;
	int (*main)(int argc, char **argv);
} COMMANDS[] = {
    {"abort-fuse", abort_fuse_main},
    {"connect", connect_main},
    {"copy", copy_main},
    {"freeze", freeze_main},
    {"enter", enter_main},
    {"exec", exec_main},
    {"hold", hold_main},
    {"isolate", isolate_main},
    {"look", look_main},
    {"read", read_main},
    {"unstage", unstage_main},
};

static char *title;
static size_t title_size;

void set_title(const char *text) {
	memset(title, 0, title_size);
	memcpy(title, text, strlen(text) < title_size ? strlen(text) : title_size - 1);
	prctl(PR_SET_NAME, strrchr(text, ' ') == NULL ? text : strrchr(text, ' ') + 1);
}

static char **arguments;

/* Whether this process's user namespace has a user id of the other process's. */
static bool is_mapped(int process, uid_t uid) {
	char map[8192];
	if (read_at(process, "uid_map", map, sizeof map) < 0) return true;
	unsigned long inside, outside, count;
	int length;
	for (const char *line = map; sscanf(line, "%lu %lu %lu%n", &inside, &outside, &count, &length) == 3; line += length)
		if (uid >= outside && uid - outside < count) return true;
	return false;
}

bool protect_program(int process) {
	struct stat status;
	if (stat("/proc/self/exe", &status) == 0 && !is_mapped(process, status.st_uid)) return true;
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (file < 0 || fstat(file, &status) != 0) return false;
	int seals = fcntl(file, F_GET_SEALS);
	if (seals >= 0 && (seals & F_SEAL_WRITE) != 0) return close(file) == 0;
	int copy = memfd_create("virt-ts-unshare", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	/* Linux before 6.3 does not have MFD_EXEC. */
	if (copy < 0) copy = memfd_create("virt-ts-unshare", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	for (off_t left = status.st_size; copy >= 0 && left > 0;) {
		ssize_t copied = sendfile(copy, file, NULL, (size_t)left);
		if (copied <= 0) return false;
		left -= copied;
	}
	if (copy < 0 || fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) return false;
	fexecve(copy, arguments, environ);
	return false;
}

int main(int argc, char **argv) {
	arguments = argv;
	title = argv[0];
	title_size = (size_t)(argv[argc - 1] + strlen(argv[argc - 1]) - argv[0]);
	for (size_t i = 0; argc > 1 && i < sizeof COMMANDS / sizeof *COMMANDS; i++)
		if (strcmp(argv[1], COMMANDS[i].name) == 0) return COMMANDS[i].main(argc - 1, argv + 1);
	dprintf(2, "virt-ts-unshare: internal: the helper has no command %s\n", argc > 1 ? argv[1] : "given");
	return NOT_RUN;
}
