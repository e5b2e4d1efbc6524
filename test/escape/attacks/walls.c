/*
 * Ways out of namespaces, tried one after the other, each in a process of its own. Arguments: the path of a file of the host, the name of an
 * abstract socket, the path of a socket, the pid of a process of the host. A way that leads out prints OUT and its name.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *host_file, *abstract_name, *socket_path;
static pid_t host_pid;

static int sees_host(void) {
	char text[64] = "";
	int file = open(host_file, O_RDONLY);
	return file >= 0 && read(file, text, sizeof text - 1) > 0 && strstr(text, "canary-") != NULL;
}

static int climb(void) {
	for (int i = 0; i < 64; i++)
		if (chdir("..") != 0) break;
	return chroot(".") == 0 && sees_host();
}

static int classic_chroot(void) {
	mkdir("/jail", 0755);
	int root = open("/", O_RDONLY | O_DIRECTORY);
	return chroot("/jail") == 0 && fchdir(root) == 0 && climb();
}

static int old_root(void) {
	/* The old root was on top of the new one. */
	return umount2("/", MNT_DETACH) == 0 && (sees_host() || climb());
}

static int pivot_back(void) {
	return unshare(CLONE_NEWNS) == 0 && mount("/", "/mnt", NULL, MS_BIND | MS_REC, NULL) == 0 && chdir("/mnt") == 0 &&
	       syscall(SYS_pivot_root, ".", ".") == 0 && (sees_host() || climb());
}

static int roots_of_processes(void) {
	DIR *proc = opendir("/proc");
	for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL;)
		for (const char *const *name = (const char *const[]){"root", "cwd", "root/..", "cwd/../..", NULL}; *name != NULL; name++) {
			char path[5000];
			snprintf(path, sizeof path, "/proc/%s/%s%s", entry->d_name, *name, host_file);
			if (access(path, F_OK) == 0) return 1;
		}
	return 0;
}

static int parent_namespaces(void) {
	const char *names[] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", NULL};
	for (const char **name = names; *name != NULL; name++) {
		char path[64];
		snprintf(path, sizeof path, "/proc/1/ns/%s", *name);
		int own = open(path, O_RDONLY);
		if (own < 0) continue;
		int up[] = {ioctl(own, NS_GET_USERNS), ioctl(own, NS_GET_PARENT)};
		for (int i = 0; i < 2; i++) {
			struct stat here, there;
			if (up[i] < 0 || stat("/proc/self/ns/user", &here) != 0 || fstat(up[i], &there) != 0 || here.st_ino == there.st_ino) continue;
			/* One above: to enter it is the way out. */
			if (setns(up[i], 0) == 0) return 1;
		}
	}
	return 0;
}

static int by_handle(void) {
	/* As in the "shocker" of 2014: the root directory of a file system has the inode 2 (or 128, 256). */
	union {
		struct file_handle handle;
		char space[sizeof(struct file_handle) + 64];
	} guess = {0};
	int mount_id, mounted = open("/etc/passwd", O_RDONLY);
	guess.handle.handle_bytes = 64;
	if (name_to_handle_at(mounted, "", &guess.handle, &mount_id, AT_EMPTY_PATH) != 0) guess.handle.handle_bytes = 8, guess.handle.handle_type = 1;
	for (unsigned inode = 0; inode < 512; inode++) {
		memcpy(guess.handle.f_handle, &inode, sizeof inode);
		int file = open_by_handle_at(mounted, &guess.handle, O_RDONLY);
		if (file < 0) continue;
		if (fchdir(file) == 0 && climb()) return 1;
		close(file);
	}
	return 0;
}

static int devices(void) {
	const struct {
		mode_t kind;
		unsigned major, minor;
	} list[] = {{S_IFBLK, 8, 0}, {S_IFBLK, 254, 0}, {S_IFBLK, 253, 0}, {S_IFBLK, 259, 0}, {S_IFBLK, 7, 0}, {S_IFCHR, 1, 1}, {S_IFCHR, 1, 2}, {S_IFCHR, 1, 11}};
	for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
		unlink("/device");
		if (mknod("/device", list[i].kind | 0600, makedev(list[i].major, list[i].minor)) == 0 && open("/device", O_RDONLY) >= 0) return 1;
	}
	return 0;
}

static int file_systems(void) {
	const char *types[] = {"ext4", "xfs", "btrfs", "squashfs", "debugfs", "tracefs", "securityfs", "bpf", "configfs", "efivarfs", "devtmpfs", "pstore", NULL};
	for (const char **type = types; *type != NULL; type++)
		for (const char *const *source = (const char *const[]){"/dev/vda", "/dev/sda", "/dev/loop0", "none", NULL}; *source != NULL; source++)
			if (mount(*source, "/mnt", *type, 0, NULL) == 0) {
				if (strcmp(*type, "bpf") != 0) return 1;
				umount2("/mnt", MNT_DETACH);
			}
	return 0;
}

static int reaches(const struct sockaddr_un *address, socklen_t length) {
	int talk = socket(AF_UNIX, SOCK_STREAM, 0);
	return connect(talk, (const struct sockaddr *)address, length) == 0;
}

static int abstract_socket(void) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	memcpy(address.sun_path + 1, abstract_name, strlen(abstract_name));
	/* Some programs bind the name with the zero bytes behind it. */
	return reaches(&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(abstract_name))) || reaches(&address, sizeof address);
}

static int path_socket(void) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
	return reaches(&address, sizeof address);
}

static int signals(void) {
	/* Those of the testbed are below 200. */
	for (pid_t pid = 200; pid < 1 << 16; pid++)
		if (kill(pid, 0) == 0 && pid == host_pid) return 1;
	return kill(host_pid, SIGKILL) == 0;
}

static int keys(void) {
	char text[64] = "";
	long ring[] = {KEY_SPEC_SESSION_KEYRING, KEY_SPEC_USER_KEYRING, KEY_SPEC_USER_SESSION_KEYRING};
	for (int i = 0; i < 3; i++) {
		long key = syscall(SYS_keyctl, KEYCTL_SEARCH, ring[i], "user", "virt-ts-unshare-canary", 0);
		if (key > 0 && syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text - 1) > 0) return 1;
	}
	return 0;
}

/* Opens each file below a directory for writing, as long as that belongs to the kernel. */
static int writable(const char *folder, int depth) {
	int found = 0;
	DIR *list = opendir(folder);
	for (struct dirent *entry; list != NULL && depth < 8 && (entry = readdir(list)) != NULL;) {
		char path[4096];
		if (entry->d_name[0] == '.') continue;
		snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		if (entry->d_type == DT_DIR) found += writable(path, depth + 1);
		if (entry->d_type != DT_REG) continue;
		int file = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		if (file < 0) continue;
		close(file);
		/* What belongs to a network namespace of the testbed's own is its own. */
		if (strstr(path, "/net/") != NULL) continue;
		/* Those of testbeds that are open beside this one. */
		if (strstr(path, "/virt-ts-unshare-") != NULL) continue;
		printf("writable %s\n", path);
		found++;
	}
	if (list != NULL) closedir(list);
	return found;
}

static int below_sys(void) {
	return writable("/sys", 0) > 0;
}

static int below_new_sys(void) {
	return mkdir("/new", 0755) == 0 && unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 && mount("none", "/new", "sysfs", 0, NULL) == 0 && writable("/new", 0) > 0;
}

static int control_groups(void) {
	const char *types[] = {"cgroup2", "cgroup", NULL};
	int found = 0;
	mkdir("/groups", 0755);
	for (const char **type = types; *type != NULL; type++)
		for (const char *const *options = (const char *const[]){"", "memory", "rdma", "misc", "pids", "none,name=escape", NULL}; *options != NULL; options++)
			if (unshare(CLONE_NEWCGROUP) == 0 && mount("none", "/groups", *type, 0, *options) == 0) {
				int file = open("/groups/release_agent", O_WRONLY);
				if (file >= 0 && write(file, "/escape", 7) == 7) printf("OUT by release_agent\n");
				if (mkdir("/groups/escape", 0755) == 0) printf("made a control group\n"), found = 1, rmdir("/groups/escape");
				umount2("/groups", MNT_DETACH);
			}
	return found;
}

static int core_pattern(void) {
	const char *names[] = {"kernel/core_pattern", "kernel/modprobe", "kernel/hotplug", "kernel/poweroff_cmd", "vm/drop_caches", "fs/binfmt_misc/register", NULL};
	for (const char **name = names; *name != NULL; name++) {
		char path[64];
		snprintf(path, sizeof path, "/proc/sys/%s", *name);
		if (open(path, O_WRONLY) >= 0) return printf("writable %s\n", path), 1;
	}
	return open("/proc/sysrq-trigger", O_WRONLY) >= 0 || open("/proc/kcore", O_RDONLY) >= 0;
}

static int inside_again(void) {
	/* All capabilities of another user namespace, and its mounts. */
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return 0;
	return sees_host() || old_root() || climb() || umount2("/proc", MNT_DETACH) == 0;
}

static const struct {
	const char *name;
	int (*leads_out)(void);
} WAYS[] = {
    {"chroot", classic_chroot}, {"the old root", old_root}, {"pivot_root", pivot_back}, {"/proc/PID/root", roots_of_processes},
    {"namespaces above", parent_namespaces}, {"a file handle", by_handle}, {"devices", devices}, {"file systems", file_systems},
    {"an abstract socket", abstract_socket}, {"a path of a socket", path_socket}, {"signals", signals}, {"keys", keys},
    {"/sys", below_sys}, {"another /sys", below_new_sys}, {"control groups", control_groups}, {"/proc/sys", core_pattern},
    {"a user namespace", inside_again},
};

int main(int argc, char **argv) {
	if (argc < 5) return 1;
	host_file = argv[1], abstract_name = argv[2], socket_path = argv[3], host_pid = atoi(argv[4]);
	for (size_t i = 0; i < sizeof WAYS / sizeof *WAYS; i++) {
		int status;
		fflush(stdout);
		pid_t child = fork();
		if (child == 0) {
			if (WAYS[i].leads_out()) printf("OUT by %s\n", WAYS[i].name);
			fflush(stdout);
			_exit(0);
		}
		waitpid(child, &status, 0);
	}
	printf("%zu ways tried\n", sizeof WAYS / sizeof *WAYS);
	return 0;
}
