/*
 * Joins a socket of the caller with a TCP connection that is made in a testbed's network namespace. It enters the user and the
 * network namespace alone, so no process in the testbed sees it.
 *
 * argv: connect -p PID -m MARK ADDRESS PORT
 *   -p -m    host pid of the testbed's pid 1, and its mark, because pids are reused
 *   ADDRESS  an IPv4 or IPv6 address
 * descriptor 1: gets one event: "connected", or "failed" with code CLOSED, CANNOT_ENTER or CANNOT_CONNECT
 * descriptor 3: a stream socket. What is read from it goes to the connection, and the other way round; the end of each direction is
 *   passed on
 * status: 0 when both directions have ended; 1 after "failed"
 */
#include "helper.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

enum { CALLER = 3, BLOCK = 64 * 1024 };

struct direction {
	int from, to;
	char block[BLOCK];
};

static int failed(const char *code, const char *what, const char *on, int error) {
	report_failure(1, code, what, on, error);
	return 1;
}

static void *pass_on(void *argument) {
	struct direction *direction = argument;
	for (ssize_t got; (got = read(direction->from, direction->block, BLOCK)) > 0;)
		for (ssize_t done = 0, written; done < got; done += written)
			if ((written = write(direction->to, direction->block + done, (size_t)(got - done))) < 0) {
				/* Else the other end, which has closed this direction, would not see that the rest is not read. */
				shutdown(direction->from, SHUT_RD);
				return NULL;
			}
	shutdown(direction->to, SHUT_WR);
	return NULL;
}

/* Gives the connected socket, or -1 and errno. */
static int connect_to(const char *address, const char *port) {
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = v4.sin_port};
	bool is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
	if (!is_v4 && inet_pton(AF_INET6, address, &v6.sin6_addr) != 1) {
		errno = EINVAL;
		return -1;
	}
	const struct sockaddr *to = is_v4 ? (const struct sockaddr *)&v4 : (const struct sockaddr *)&v6;
	int connection = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection < 0 || connect(connection, to, is_v4 ? sizeof v4 : sizeof v6) == 0) return connection;
	int error = errno;
	close(connection);
	errno = error;
	return -1;
}

int connect_main(int argc, char **argv) {
	long pid = 0, mark = 0;
	for (int option; (option = getopt(argc, argv, "+p:m:")) != -1;) {
		if (option == 'p') pid = strtol(optarg, NULL, 10);
		else if (option == 'm') mark = strtol(optarg, NULL, 10);
		else return 1;
	}
	if (argc - optind != 2) return 1;
	const char *address = argv[optind], *port = argv[optind + 1];
	signal(SIGPIPE, SIG_IGN);
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int init = open_process(proc, (pid_t)pid);
	if (init < 0 || mark <= 0 || read_number_at(init, "timerslack_ns") != mark) return failed("CLOSED", "entering the testbed", NULL, 0);
	const char *missing = enter_namespaces(init, USER_NS | NET_NS);
	if (missing != NULL) return failed("CANNOT_ENTER", "entering a namespace", missing, errno);
	int connection = connect_to(address, port);
	if (connection < 0) return failed("CANNOT_CONNECT", "connecting to", address, errno);

	static struct direction in, out;
	in.from = out.to = CALLER;
	in.to = out.from = connection;
	struct event event;
	event_begin(&event, "connected");
	event_send(&event, 1);
	pthread_t thread;
	if (pthread_create(&thread, NULL, pass_on, &in) != 0) return 1;
	pass_on(&out);
	pthread_join(thread, NULL);
	return 0;
}
