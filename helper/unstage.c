/*
 * Removes an unfinished file or directory of a copy when the server is gone. A running server removes it itself and kills
 * this process.
 *
 * argv: unstage NAME
 * descriptor 0: the lifeline, a pipe that is at end of file when the server is gone; 3: the directory that has NAME
 * status: 0
 */
#include "helper.h"

#include <fts.h>
#include <sys/stat.h>

static void remove_tree(char *name) {
	char *const names[] = {name, NULL};
	/* Changes the working directory while it descends, so that no path and no number of open files is too long. */
	FTS *tree = fts_open(names, FTS_PHYSICAL, NULL);
	if (tree == NULL) return;
	for (FTSENT *entry; (entry = fts_read(tree)) != NULL;) {
		/* A directory from a testbed can be closed to its owner. */
		if (entry->fts_info == FTS_D) chmod(entry->fts_accpath, 0700);
		else if (entry->fts_info == FTS_DP) rmdir(entry->fts_accpath);
		else unlink(entry->fts_accpath);
	}
	fts_close(tree);
}

int unstage_main(int argc, char **argv) {
	char byte;
	struct stat status;
	if (argc != 2) return NOT_RUN;
	while (read(0, &byte, 1) != 0)
		if (errno != EINTR) break;
	/* A tar that unpacks there ends by the same event, perhaps later. */
	for (int round = 0; round < 10; round++) {
		if (fchdir(3) != 0) return 0;
		remove_tree(argv[1]);
		if (fchdir(3) != 0 || lstat(argv[1], &status) != 0) return 0;
		usleep(100000);
	}
	return 0;
}
