/* The child of the execute program: enters the testbed, takes the user, groups and environment from its files, and executes the command. */
#include "exec.h"

#include <grp.h>
#include <limits.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

static void become_user(const struct job *job, const char *map, const struct account *account) {
	long inside, outside, count;
	int end = 0;
	if (sscanf(map, "%ld %ld %ld %n", &inside, &outside, &count, &end) == 3 && count == 1 && map[end] == '\0') {
		if (account->uid == 0 && account->gid == 0) return;
		fail(job, "NO_IDS", "it has no ids but root's, so not those of %s; on the host, give its caller ranges in /etc/subuid and /etc/subgid",
		     job->user);
	}
	static gid_t groups[NGROUPS_MAX];
	if (setgroups(read_groups(account, groups, NGROUPS_MAX), groups) != 0 ||
	    setresgid(account->gid, account->gid, account->gid) != 0 || setresuid(account->uid, account->uid, account->uid) != 0)
		fail(job, "NO_IDS", "it has no ids for user %s: %s", job->user, strerror(errno));
	prctl(PR_SET_DUMPABLE, 0);
}

static void set_environment(const struct job *job, const struct account *account) {
	clearenv();
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("SHELL", account->shell, 1);
	setenv("HOME", account->home, 1);
	read_environment();
	for (size_t i = 0; i < job->variable_count; i++) putenv(job->variables[i]);
	if (job->term != NULL) setenv("TERM", job->term, 1);
}

void become_command(struct job *job, const sigset_t *mask) {
	char word, keyring[64], map[256] = "";
	if (read(job->channel, &word, 1) != 1) _exit(NOT_RUN);
	/* With the caller's controlling terminal, root of the testbed could insert input (TIOCSTI of ioctl_tty(2)). */
	if (job->terminal) setpgid(0, 0);
	else setsid();
	if (job->user != NULL && read_at(job->init, "uid_map", map, sizeof map) < 0) fail_to_enter(job, "its ids");
	const char *missing = enter_namespaces(job->init, MNT_NS | IPC_NS | UTS_NS | CGROUP_NS | (job->network ? NET_NS : 0U));
	if (missing != NULL) fail_to_enter(job, missing);
	if (!close_all_but(job->third ? 4 : 3, (const int[]){job->channel, job->report}, 2)) fail_to_enter(job, "the caller's descriptors");
	job->proc = job->init = job->cgroup = -1;
	snprintf(keyring, sizeof keyring, "virt-ts-unshare-%ld", job->mark);
	if (!join_session_keyring(keyring))
		fail(job, "NO_KEYRING", "joining its session keyring failed (sysctl kernel.keys limits their number): %s", strerror(errno));
	set_slack((unsigned long)job->tag);
	umask(022);
	if (chdir(job->directory) != 0) {
		if (errno == EACCES)
			fail(job, "DIRECTORY_CLOSED", "its root may not enter the directory %s; open it to others, as by chmod o+x", job->directory);
		fail(job, "NO_DIRECTORY", "it has no directory %s", job->directory);
	}
	struct account account = {.home = "/root", .shell = "/bin/sh"};
	if (job->user != NULL && !look_up_account(job->user, &account)) fail(job, "NO_USER", "it has no user %s", job->user);
	if (job->group != NULL && !choose_group(job->group, &account)) fail(job, "NO_GROUP", "it has no group %s", job->group);
	set_environment(job, &account);
	if (job->terminal && job->user != NULL && fchown(0, account.uid, (gid_t)-1) != 0 && errno != EPERM && errno != EINVAL)
		fail_to_enter(job, "its terminal");
	if (job->user != NULL) become_user(job, map, &account);
	struct rlimit files;
	if (job->files > 0 && getrlimit(RLIMIT_NOFILE, &files) == 0 && job->files < files.rlim_max) {
		files.rlim_cur = job->files;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* That came too late when the parent has ended before. */
	if (recv(job->channel, &word, 1, MSG_DONTWAIT) == 0) _exit(NOT_RUN);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(job->command[0], job->command);
	/* When setresuid(2) has exceeded the limit of the user's processes, execve(2) fails. */
	if (errno == EAGAIN) fail_to_enter(job, "its processes");
	int status = errno == ENOENT ? NO_PROGRAM : CANNOT_EXECUTE;
	if (status == NO_PROGRAM && strchr(job->command[0], '/') == NULL)
		dprintf(2, "virt-ts-unshare: the testbed has no program %s\n", job->command[0]);
	else
		dprintf(2, "virt-ts-unshare: cannot execute %s in the testbed: %s\n", job->command[0], strerror(errno));
	_exit(status);
}
