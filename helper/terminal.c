/*
 * A terminal of the command's own. The caller's terminal never enters the testbed, where root could read it and insert input
 * (TIOCSTI of ioctl_tty(2)): the command gets a new one, made by the testbed's devpts, and a process outside relays. It also
 * stops with the command, so that job control of the caller's shell works.
 */
#include "helper.h"
#include "steps.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>

/* Milliseconds between looks whether this process is in the foreground again. */
enum { LOOK = 200 };

static struct {
	int master, link;
	pid_t entered;
	struct termios before;
	bool raw, input_ended;
	char typed[4096];
	size_t typed_length;
} relay = {.master = -1};

static void send_size(void) {
	struct winsize size;
	if (ioctl(0, TIOCGWINSZ, &size) == 0) ioctl(relay.master, TIOCSWINSZ, &size);
}

static bool in_foreground(void) {
	return tcgetpgrp(0) == getpgrp();
}

/* The caller's terminal passes each key on; the command's terminal gives them their meaning. */
static void set_raw(bool raw) {
	if (raw == relay.raw || (raw && !in_foreground())) return;
	/* In the background the modes are those of the caller's shell while it reads a line. */
	if (raw && tcgetattr(0, &relay.before) != 0) return;
	struct termios mode = relay.before;
	if (raw) cfmakeraw(&mode);
	if (tcsetattr(0, raw ? TCSANOW : TCSADRAIN, &mode) == 0) relay.raw = raw;
}

static void write_all(const char *bytes, size_t length) {
	while (length > 0) {
		ssize_t written = write(1, bytes, length);
		if (written < 0 && errno != EINTR && errno != EAGAIN) return;
		if (written < 0) {
			poll(&(struct pollfd){.fd = 1, .events = POLLOUT}, 1, LOOK);
			continue;
		}
		bytes += written;
		length -= (size_t)written;
	}
}

/* Shows what the command has written. False when there is nothing. */
static bool show(void) {
	char text[16384];
	ssize_t length = read(relay.master, text, sizeof text);
	if (length > 0) write_all(text, (size_t)length);
	return length > 0;
}

static void pass_typed(void) {
	ssize_t written = write(relay.master, relay.typed, relay.typed_length);
	if (written < 0) {
		if (errno != EAGAIN && errno != EINTR) relay.typed_length = 0;
		return;
	}
	relay.typed_length -= (size_t)written;
	memmove(relay.typed, relay.typed + written, relay.typed_length);
}

static void read_typed(void) {
	ssize_t length = read(0, relay.typed, sizeof relay.typed);
	if (length > 0) relay.typed_length = (size_t)length;
	else if (length == 0 || (errno != EAGAIN && errno != EINTR)) relay.input_ended = true;
}

/* Stops the job of the caller's shell, as Ctrl-Z there does, and continues with it. */
static void suspend(void) {
	while (poll(&(struct pollfd){.fd = relay.master, .events = POLLIN}, 1, 0) == 1 && show()) continue;
	set_raw(false);
	sigset_t stop;
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &stop, NULL);
	/* In a process group without a shell that could continue it this does nothing. */
	kill(0, SIGTSTP);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	set_raw(true);
	send_size();
	kill(relay.entered, SIGCONT);
}

/* The exit status of the process that entered, or -1 while it runs. */
static int status_of_entered(void) {
	siginfo_t end = {0};
	if (waitid(P_PID, (id_t)relay.entered, &end, WEXITED | WSTOPPED | WNOHANG) != 0) return NOT_RUN;
	if (end.si_pid == 0) return -1;
	if (end.si_code == CLD_EXITED) return end.si_status;
	if (end.si_code == CLD_KILLED || end.si_code == CLD_DUMPED) return 128 + end.si_status;
	suspend();
	return -1;
}

static void handle(int signals) {
	struct signalfd_siginfo signal;
	if (read(signals, &signal, sizeof signal) != (ssize_t)sizeof signal) return;
	int number = (int)signal.ssi_signo;
	if (number == SIGWINCH) send_size();
	else if (number == SIGCONT) set_raw(true);
	else if (number == SIGTSTP) suspend();
	else if (number != SIGCHLD) kill(relay.entered, number);
}

static int receive_master(void) {
	char word, control[CMSG_SPACE(sizeof(int))];
	struct iovec part = {.iov_base = &word, .iov_len = 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	if (recvmsg(relay.link, &message, MSG_CMSG_CLOEXEC) != 1) return -1;
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	if (head == NULL || head->cmsg_type != SCM_RIGHTS) return -1;
	int descriptor;
	memcpy(&descriptor, CMSG_DATA(head), sizeof descriptor);
	return descriptor;
}

static _Noreturn void relay_until_end(void) {
	int status;
	relay.master = receive_master();
	if (relay.master < 0) {
		waitpid(relay.entered, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : NOT_RUN);
	}
	sigset_t all;
	sigfillset(&all);
	sigdelset(&all, SIGTTIN);
	sigprocmask(SIG_SETMASK, &all, NULL);
	int signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	fcntl(relay.master, F_SETFL, O_NONBLOCK);
	if (in_foreground() && tcgetattr(0, &relay.before) == 0) tcsetattr(relay.master, TCSANOW, &relay.before);
	send_size();
	set_raw(true);
	if (write(relay.link, "", 1) != 1) _exit(NOT_RUN);
	while ((status = status_of_entered()) < 0) {
		bool reads = relay.raw && !relay.input_ended && relay.typed_length == 0;
		struct pollfd ready[] = {
			{.fd = signals, .events = POLLIN},
			{.fd = relay.master, .events = (short)(POLLIN | (relay.typed_length > 0 ? POLLOUT : 0))},
			{.fd = reads ? 0 : -1, .events = POLLIN},
		};
		/* A shell that continues a job in the foreground need not send it a signal. */
		poll(ready, 3, relay.raw ? -1 : LOOK);
		if (ready[0].revents != 0) handle(signals);
		if ((ready[1].revents & POLLOUT) != 0) pass_typed();
		if ((ready[1].revents & POLLIN) != 0) show();
		if (ready[2].revents != 0) read_typed();
		if (!relay.raw) set_raw(true);
	}
	while (poll(&(struct pollfd){.fd = relay.master, .events = POLLIN}, 1, 0) == 1 && show()) continue;
	set_raw(false);
	_exit(status);
}

int split_for_terminal(void) {
	int link[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link) != 0) return -1;
	pid_t outside = getpid(), entered = fork();
	if (entered < 0) return -1;
	if (entered > 0) {
		close(link[1]);
		relay.link = link[0];
		relay.entered = entered;
		relay_until_end();
	}
	close(link[0]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return getppid() == outside ? link[1] : -1;
}

static bool send_descriptor(int link, int descriptor) {
	char control[CMSG_SPACE(sizeof descriptor)] = {0};
	struct iovec part = {.iov_base = "", .iov_len = 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof descriptor);
	memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
	return sendmsg(link, &message, MSG_NOSIGNAL) == 1;
}

bool take_terminal(int init, int link) {
	/* Again: a change of ids clears it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int root = openat(init, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int master = root < 0 ? -1 : open_below(root, "dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK);
	if (root >= 0) close(root);
	struct stat status;
	if (master < 0 || fstat(master, &status) != 0) return false;
	errno = ENOTTY;
	/* The testbed may have put another file there. */
	if (!S_ISCHR(status.st_mode) || status.st_rdev != makedev(5, 2)) return false;
	int unlocked = 0;
	if (ioctl(master, TIOCSPTLCK, &unlocked) != 0) return false;
	int terminal = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	char word;
	if (terminal < 0 || setsid() < 0 || ioctl(terminal, TIOCSCTTY, 0) != 0) return false;
	if (!send_descriptor(link, master) || read(link, &word, 1) != 1) return false;
	close(master);
	bool errors = isatty(2) == 1;
	return dup2(terminal, 0) == 0 && dup2(terminal, 1) == 1 && (!errors || dup2(terminal, 2) == 2);
}
