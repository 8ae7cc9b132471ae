/* Moves bytes in bulk for the bench, at as little cost as the kernel allows, so that what is
 * measured is the gateway between the two ends: the sender uses sendfile from memory, the receiver
 * lets the kernel throw the bytes away (MSG_TRUNC).
 *
 *   bulkload serve ADDRESS PORT
 *   bulkload run ADDRESS PORT download|upload CONNECTIONS SECONDS
 *
 * A client says 'D' or 'U' first; before that the server takes a PROXY header of either version, or
 * none. After an upload the server answers with the number of bytes that reached it. `run` prints
 * the bytes that arrived and the seconds they took. */

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOURCE_SIZE	(1024 * 1024)
#define BACKLOG		128
#define V2_FIXED_LENGTH 16

static int source_fd;

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void make_source(void)
{
	source_fd = memfd_create("bulkload", MFD_CLOEXEC);
	if (source_fd < 0 || ftruncate(source_fd, SOURCE_SIZE) < 0)
		fail("memfd");
}

static ssize_t send_some(int fd)
{
	off_t offset = 0;
	return sendfile(fd, source_fd, &offset, SOURCE_SIZE);
}

static ssize_t discard_some(int fd)
{
	return recv(fd, NULL, SOURCE_SIZE, MSG_TRUNC);
}

static bool read_exactly(int fd, void *buffer, size_t length)
{
	return recv(fd, buffer, length, MSG_WAITALL) == (ssize_t)length;
}

/* ---- the server ---------------------------------------------------------------------------------
 */

static bool skip_v1(int fd)
{
	char c;
	do {
		if (!read_exactly(fd, &c, 1))
			return false;
	} while (c != '\n');
	return true;
}

static bool skip_v2(int fd)
{
	uint8_t rest[V2_FIXED_LENGTH - 1];
	uint8_t block[UINT16_MAX];

	if (!read_exactly(fd, rest, sizeof(rest)))
		return false;
	size_t length = (size_t)(rest[13] << 8 | rest[14]);
	return length == 0 || read_exactly(fd, block, length);
}

static char read_command(int fd)
{
	char c;

	if (!read_exactly(fd, &c, 1))
		return 0;
	if (c == '\r' && (!skip_v2(fd) || !read_exactly(fd, &c, 1)))
		return 0;
	if (c == 'P' && (!skip_v1(fd) || !read_exactly(fd, &c, 1)))
		return 0;
	return c;
}

static void receive_upload(int fd)
{
	uint64_t total = 0;
	ssize_t n;

	while ((n = discard_some(fd)) > 0)
		total += (uint64_t)n;
	if (n == 0)
		(void)!send(fd, &total, sizeof(total), 0);
}

static void *serve_one(void *argument)
{
	int fd = (int)(intptr_t)argument;
	char command = read_command(fd);

	if (command == 'D')
		while (send_some(fd) > 0) {
		}
	else if (command == 'U')
		receive_upload(fd);
	close(fd);
	return NULL;
}

static struct addrinfo *resolve(const char *address, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
	struct addrinfo *found;
	int error = getaddrinfo(address, port, &hints, &found);

	if (error != 0) {
		fprintf(stderr, "bulkload: %s port %s: %s\n", address, port, gai_strerror(error));
		exit(1);
	}
	return found;
}

static _Noreturn void serve(const char *address, const char *port)
{
	struct addrinfo *where = resolve(address, port);
	int listener = socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		bind(listener, where->ai_addr, where->ai_addrlen) < 0 ||
		listen(listener, BACKLOG) < 0)
		fail("listen");
	for (;;) {
		pthread_t thread;
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			fail("accept");
		if (pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd) != 0)
			fail("pthread_create");
		pthread_detach(thread);
	}
}

/* ---- the client ---------------------------------------------------------------------------------
 */

struct transfer {
	pthread_t thread;
	int fd;
	double deadline;
	uint64_t bytes;
};

static void *download(void *argument)
{
	struct transfer *t = argument;

	while (now() < t->deadline) {
		ssize_t n = discard_some(t->fd);
		if (n <= 0)
			fail("download cut short");
		t->bytes += (uint64_t)n;
	}
	return NULL;
}

static void *upload(void *argument)
{
	struct transfer *t = argument;

	while (now() < t->deadline)
		if (send_some(t->fd) < 0)
			fail("upload");
	shutdown(t->fd, SHUT_WR);
	if (!read_exactly(t->fd, &t->bytes, sizeof(t->bytes)))
		fail("no answer after the upload");
	return NULL;
}

static int connect_and_say(const struct addrinfo *where, char command)
{
	int fd = socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, where->ai_addr, where->ai_addrlen) < 0)
		fail("connect");
	if (send(fd, &command, 1, 0) != 1)
		fail("send");
	return fd;
}

static void run(const struct addrinfo *where, bool down, unsigned count, double seconds)
{
	struct transfer *transfers = calloc(count, sizeof(*transfers));
	uint64_t total = 0;

	if (!transfers)
		fail("calloc");
	for (unsigned i = 0; i < count; i++)
		transfers[i].fd = connect_and_say(where, down ? 'D' : 'U');
	double start = now();
	for (unsigned i = 0; i < count; i++) {
		transfers[i].deadline = start + seconds;
		if (pthread_create(&transfers[i].thread, NULL, down ? download : upload,
			    &transfers[i]) != 0)
			fail("pthread_create");
	}
	for (unsigned i = 0; i < count; i++) {
		pthread_join(transfers[i].thread, NULL);
		total += transfers[i].bytes;
	}
	printf("%llu %.6f\n", (unsigned long long)total, now() - start);
	free(transfers);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	make_source();
	if (argc == 4 && strcmp(argv[1], "serve") == 0)
		serve(argv[2], argv[3]);
	if (argc != 7 || strcmp(argv[1], "run") != 0) {
		fprintf(stderr,
			"usage: bulkload serve ADDRESS PORT\n"
			"       bulkload run ADDRESS PORT download|upload CONNECTIONS SECONDS\n");
		return 64;
	}
	run(resolve(argv[2], argv[3]), strcmp(argv[4], "download") == 0, (unsigned)atoi(argv[5]),
		atof(argv[6]));
	return 0;
}
