/* Mounts by the mount API of Linux 5.2, which looks up each path once. */
#include "helper.h"

#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/syscall.h>

int open_below(int root, const char *path, int flags) {
	struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT};
	return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

int open_on_root(int root, const char *path, int flags) {
	struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
	return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

/* The last message of the kernel for a file system context, such as "overlay: Unknown parameter". */
static void read_complaint(int context, char *words, size_t size) {
	char line[256];
	for (ssize_t length; (length = read(context, line, sizeof line - 1)) > 0;) {
		line[length] = '\0';
		if (line[length - 1] == '\n') line[length - 1] = '\0';
		if (line[0] == 'e') snprintf(words, size, "%s", line + 2);
	}
}

int make_mount(const char *type, const char *options, char *words, size_t size) {
	static const struct {
		const char *name;
		unsigned attribute;
	} attributes[] = {{"nosuid", MOUNT_ATTR_NOSUID}, {"nodev", MOUNT_ATTR_NODEV}, {"noexec", MOUNT_ATTR_NOEXEC}, {"ro", MOUNT_ATTR_RDONLY}};
	words[0] = '\0';
	int context = fsopen(type, FSOPEN_CLOEXEC);
	if (context < 0) return -1;
	char *copy = strdup(options), *rest = copy;
	unsigned attribute = 0;
	bool good = copy != NULL && fsconfig(context, FSCONFIG_SET_STRING, "source", type, 0) == 0;
	for (char *word; good && (word = strsep(&rest, ",")) != NULL;) {
		size_t i = 0;
		while (i < sizeof attributes / sizeof *attributes && strcmp(word, attributes[i].name) != 0) i++;
		if (i < sizeof attributes / sizeof *attributes) {
			attribute |= attributes[i].attribute;
		} else if (*word != '\0') {
			char *value = strchr(word, '=');
			if (value != NULL) *value++ = '\0';
			good = fsconfig(context, value == NULL ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, word, value, 0) == 0;
		}
	}
	free(copy);
	int made = -1;
	if (good && fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0) made = fsmount(context, FSMOUNT_CLOEXEC, attribute);
	int error = errno;
	if (made < 0) read_complaint(context, words, size);
	close(context);
	errno = error;
	return made;
}

int clone_mount(int directory, const char *path, bool read_only) {
	/* Recursive: a user namespace may not uncover what lies below a mount. */
	int tree = open_tree(directory, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	struct mount_attr attribute = {.attr_set = MOUNT_ATTR_RDONLY};
	if (tree < 0 || !read_only || mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attribute, sizeof attribute) == 0) return tree;
	int error = errno;
	close(tree);
	errno = error;
	return -1;
}

bool put_mount(int mount, int root, const char *path) {
	int target = open_below(root, path, O_PATH);
	if (target < 0) return false;
	bool good = move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0;
	int error = errno;
	close(target);
	errno = error;
	return good;
}
