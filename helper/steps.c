/*
 * The steps of a request: files to make, mounts, and pid 1 to become. TypeScript chooses them (src/namespaces/steps.ts).
 * A path and the links in it are looked up below the root of the last step "root", so links of a hostile root filesystem
 * lead nowhere else.
 */
#include "steps.h"

#include <net/if.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int open_parent(int root, char *path, const char **last) {
	char *slash = strrchr(path, '/');
	*last = slash == NULL ? path : slash + 1;
	if (slash == NULL) return open_below(root, ".", O_PATH | O_DIRECTORY);
	*slash = '\0';
	int parent = open_below(root, *path == '\0' ? "." : path, O_PATH | O_DIRECTORY);
	*slash = '/';
	return parent;
}

static bool step_root(struct place *place, char **a) {
	int root = open(a[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0) return false;
	if (place->root >= 0) close(place->root);
	place->root = root;
	return true;
}

static mode_t mode_of(const char *text) {
	return (mode_t)strtoul(text, NULL, 8);
}

/* directory PATH MODE: one that exists gets the mode too. */
static bool step_directory(struct place *place, char **a) {
	const char *last;
	int parent = open_parent(place->root, a[0], &last);
	return parent >= 0 && (mkdirat(parent, last, 0755) == 0 || errno == EEXIST) && fchmodat(parent, last, mode_of(a[1]), 0) == 0 &&
	       close(parent) == 0;
}

/* file PATH MODE TEXT: fails when it exists. */
static bool step_file(struct place *place, char **a) {
	const char *last;
	int parent = open_parent(place->root, a[0], &last);
	int file = parent < 0 ? -1 : openat(parent, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode_of(a[1]));
	size_t length = strlen(a[2]);
	return file >= 0 && write(file, a[2], length) == (ssize_t)length && close(file) == 0 && close(parent) == 0;
}

/* append PATH TEXT: makes the file when there is none. */
static bool step_append(struct place *place, char **a) {
	const char *last;
	int parent = open_parent(place->root, a[0], &last);
	int file = parent < 0 ? -1 : openat(parent, last, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	size_t length = strlen(a[1]);
	return file >= 0 && write(file, a[1], length) == (ssize_t)length && close(file) == 0 && close(parent) == 0;
}

bool make_link(int root, char *path, const char *target) {
	const char *last;
	int parent = open_parent(root, path, &last);
	return parent >= 0 && symlinkat(target, parent, last) == 0 && close(parent) == 0;
}

/* link PATH TARGET */
static bool step_link(struct place *place, char **a) {
	return make_link(place->root, a[0], a[1]);
}

/* mount TYPE PATH OPTIONS */
static bool step_mount(struct place *place, char **a) {
	int made = make_mount(a[0], a[2], place->words, sizeof place->words);
	return made >= 0 && put_mount(made, place->root, a[1]) && close(made) == 0;
}

/* bind SOURCE PATH rw|ro: SOURCE is a path of the holder's. */
static bool step_bind(struct place *place, char **a) {
	int tree = clone_mount(AT_FDCWD, a[0], strcmp(a[2], "ro") == 0);
	return tree >= 0 && put_mount(tree, place->root, a[1]) && close(tree) == 0;
}

/* place PATH directory|file: makes what is missing of a path, so that it can be a mount point. */
static bool step_place(struct place *place, char **a) {
	char prefix[4096] = "";
	for (char *rest = a[0], *part; (part = strsep(&rest, "/")) != NULL;) {
		if (*part == '\0') continue;
		if (strlen(prefix) + strlen(part) + 2 > sizeof prefix) {
			errno = ENAMETOOLONG;
			return false;
		}
		strcat(strcat(prefix, "/"), part);
		int there = open_below(place->root, prefix, O_PATH);
		const char *last;
		if (there < 0) {
			if (errno != ENOENT || (there = open_parent(place->root, prefix, &last)) < 0) return false;
			bool file = rest == NULL && strcmp(a[1], "file") == 0;
			if ((file ? mknodat(there, last, S_IFREG | 0644, 0) : mkdirat(there, last, 0755)) != 0) return false;
		}
		close(there);
	}
	return true;
}

static bool step_detach(struct place *place, char **a) {
	(void)place;
	return umount2(a[0], MNT_DETACH | UMOUNT_NOFOLLOW) == 0;
}

bool run_program(char *const *argv, bool shielded, char *words, size_t size) {
	int out[2], status;
	words[0] = '\0';
	if (pipe2(out, O_CLOEXEC) != 0) return false;
	pid_t child = fork();
	if (child < 0) return false;
	if (child == 0) {
		dup2(out[1], 2);
		if (!shielded || shield()) execvp(argv[0], argv);
		dprintf(2, "%s: %s", argv[0], strerror(errno));
		_exit(NO_PROGRAM);
	}
	close(out[1]);
	size_t length = 0;
	/* Only the first words are kept; the program may report every file. */
	for (char rest[1024];;) {
		bool full = length >= size - 1;
		ssize_t got = read(out[0], full ? rest : words + length, full ? sizeof rest : size - 1 - length);
		if (got <= 0) break;
		if (!full) length += (size_t)got;
	}
	words[length] = '\0';
	close(out[0]);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
	errno = 0;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* copy SOURCE DIRECTORY: what lies in SOURCE, with owners, modes, links, extended attributes. */
static bool step_copy(struct place *place, char **a) {
	char source[4096];
	snprintf(source, sizeof source, "%s/.", a[0]);
	return run_program((char *const[]){"cp", "-a", "--reflink=auto", "--", source, a[1], NULL}, true, place->words, sizeof place->words);
}

/* keyring NAME OWNER: it counts among the keys of this user. */
static bool step_keyring(struct place *place, char **a) {
	place->code = "NO_KEYRING";
	uid_t owner = (uid_t)strtoul(a[1], NULL, 10);
	/* A change of ids clears the last two. */
	return setresuid(owner, owner, 0) == 0 && join_session_keyring(a[0]) && setresuid(0, 0, 0) == 0 &&
	       prctl(PR_SET_DUMPABLE, 1) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
}

static bool step_hostname(struct place *place, char **a) {
	(void)place;
	return sethostname(a[0], strlen(a[0])) == 0;
}

static bool step_loopback(struct place *place, char **a) {
	(void)place, (void)a;
	struct ifreq request = {.ifr_name = "lo"};
	int talk = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (talk < 0 || ioctl(talk, SIOCGIFFLAGS, &request) != 0) return false;
	request.ifr_flags |= IFF_UP;
	return ioctl(talk, SIOCSIFFLAGS, &request) == 0 && close(talk) == 0;
}

static const struct {
	const char *name;
	int arguments;
	bool (*run)(struct place *place, char **arguments);
} STEPS[] = {
    {"root", 1, step_root},
    {"directory", 2, step_directory},
    {"file", 3, step_file},
    {"link", 2, step_link},
    {"mount", 3, step_mount},
    {"bind", 3, step_bind},
    {"detach", 1, step_detach},
    {"copy", 2, step_copy},
    {"keyring", 2, step_keyring},
    {"hostname", 1, step_hostname},
    {"loopback", 0, step_loopback},
    {"accounts", 1, step_accounts},
    {"append", 2, step_append},
    {"home", 3, step_home},
    {"services", 1, step_services},
    {"utmp", 1, step_utmp},
    {"mask_idle", 3, step_mask_idle},
    {"place", 2, step_place},
    {"processes", 1, step_processes},
    {"inits", 2, step_inits},
    {"init", 5, step_init},
};

void report_step(const struct place *place, const char *what, int error) {
	struct event event;
	event_begin(&event, "failed");
	event_number(&event, "id", place->id);
	event_failure(&event, place->code, what, place->on, error, place->words);
	event_send(&event, place->report);
}

bool run_steps(struct place *place, char **fields, size_t count) {
	for (size_t at = 0; at < count;) {
		size_t i = 0;
		while (i < sizeof STEPS / sizeof *STEPS && strcmp(STEPS[i].name, fields[at]) != 0) i++;
		if (i == sizeof STEPS / sizeof *STEPS || at + 2 + (size_t)STEPS[i].arguments > count) {
			place->code = "INTERNAL";
			report_step(place, fields[at], EINVAL);
			return false;
		}
		place->words[0] = place->on[0] = '\0';
		place->code = "STEP_FAILED";
		if (!STEPS[i].run(place, fields + at + 2)) {
			report_step(place, fields[at + 1], errno);
			return false;
		}
		at += 2 + (size_t)STEPS[i].arguments;
	}
	return true;
}
