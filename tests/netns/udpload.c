/* Datagrams that know what ought to become of them, for tests and the bench.
 *
 *   udpload serve ADDRESS PORT every|first|none
 *   udpload run ADDRESS,... PORT SOCKETS TOTAL MAX WINDOW
 *   udpload bench ADDRESS PORT SOCKETS SIZE SECONDS WINDOW
 *
 * A payload begins with a number, the client's own port and address, and the address and port that
 * it sends to, as far as its size allows; then comes a pattern. `serve` compares that with the
 * PROXY header in front (in `every` datagram; with `first` one that may be there is passed over),
 * answers with the payload, and prints its counters as JSON when it is told to end. `run` sends
 * TOTAL datagrams of 0 to MAX bytes from SOCKETS ports to all addresses in turn, WINDOW at a time
 * without an answer, and checks that every answer comes to the socket that asked, from the address
 * that was asked, as it was sent. `bench` does it as fast as it can, with one size. */

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ENDS_AT	   4U  /* port and address of the client, address and port of the server */
#define PATTERN_AT 40U /* 4 + 2 + 16 + 16 + 2 */
#define BATCH	   64
#define SIZE_MAX_  65536
#define LOST_NS	   1000000000U
#define TARGETS	   64

static volatile sig_atomic_t ending;

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

static void on_signal(int number)
{
	(void)number;
	ending = 1;
}

static int open_socket(int family)
{
	const int size = 8 << 20;
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket");
	if (family == AF_INET &&
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		fail("SO_RCVBUFFORCE");
	return fd;
}

static uint8_t pattern(uint32_t number, size_t i)
{
	return (uint8_t)(number * 31 + i * 7 + (i >> 8));
}

static uint32_t number_of(const uint8_t *payload, size_t len)
{
	uint32_t number = 0;

	memcpy(&number, payload, len < sizeof(number) ? len : sizeof(number));
	return number;
}

static bool pattern_is_right(const uint8_t *payload, size_t len)
{
	uint32_t number = number_of(payload, len);

	for (size_t i = PATTERN_AT; i < len; i++)
		if (payload[i] != pattern(number, i))
			return false;
	return true;
}

/* ---- the server ---- */

struct counts {
	uint64_t received, bad_header, wrong_identity, bad_payload, answered;
};

/* The header's ends in the order in which payloads have them; the length of the header, or 0. */
static size_t read_header(const uint8_t *data, size_t len, uint8_t ends[36])
{
	static const uint8_t begin[16] = "\r\n\r\n\0\r\nQUIT\n\x21\x22\0\x24";

	if (len < 52 || memcmp(data, begin, sizeof(begin)) != 0)
		return 0;
	memcpy(ends, data + 48, 2);
	memcpy(ends + 2, data + 16, 32);
	memcpy(ends + 34, data + 50, 2);
	return 52;
}

/* A header that may be there: of version 2, or the line of version 1 as nginx has it. */
static size_t skip_header(const uint8_t *data, size_t len)
{
	const uint8_t *end =
		len > 6 && memcmp(data, "PROXY ", 6) == 0 ? memchr(data, '\n', len) : NULL;
	uint8_t ends[36];

	return end ? (size_t)(end + 1 - data) : read_header(data, len, ends);
}

static size_t check(struct counts *counts, const uint8_t *data, size_t len, char mode)
{
	size_t header_len = mode == 'f' ? skip_header(data, len) : 0, told;
	uint8_t ends[36];

	counts->received++;
	if (mode == 'e') {
		header_len = read_header(data, len, ends);
		if (header_len == 0) {
			counts->bad_header++;
			return 0;
		}
	}
	data += header_len;
	len -= header_len;
	told = len < ENDS_AT ? 0 : len > PATTERN_AT ? PATTERN_AT - ENDS_AT : len - ENDS_AT;
	if (mode == 'e' && memcmp(data + ENDS_AT, ends, told) != 0)
		counts->wrong_identity++;
	if (!pattern_is_right(data, len))
		counts->bad_payload++;
	return header_len;
}

static int serve(const char *address, const char *port, const char *mode)
{
	static uint8_t data[BATCH][SIZE_MAX_];
	struct sockaddr_in own = { .sin_family = AF_INET }, peers[BATCH];
	struct mmsghdr messages[BATCH];
	struct iovec iov[BATCH];
	struct counts counts = { 0 };
	int fd = open_socket(AF_INET), epoll_fd = epoll_create1(0);
	struct epoll_event event = { .events = EPOLLIN };

	own.sin_port = htons((uint16_t)atoi(port));
	if (inet_pton(AF_INET, address, &own.sin_addr) != 1 ||
		bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0)
		fail(address);
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		fail("epoll");
	puts("ready");
	fflush(stdout);
	while (!ending) {
		int n;

		for (int i = 0; i < BATCH; i++) {
			iov[i] = (struct iovec){ data[i], SIZE_MAX_ };
			messages[i].msg_hdr = (struct msghdr){ .msg_name = &peers[i],
				.msg_namelen = sizeof(peers[i]),
				.msg_iov = &iov[i],
				.msg_iovlen = 1 };
		}
		n = recvmmsg(fd, messages, BATCH, 0, NULL);
		if (n < 0) {
			if (epoll_wait(epoll_fd, &event, 1, 200) < 0 && errno != EINTR)
				fail("epoll_wait");
			continue;
		}
		for (int i = 0; i < n; i++) {
			size_t skip = check(&counts, data[i], messages[i].msg_len, mode[0]);

			iov[i] = (struct iovec){ data[i] + skip, messages[i].msg_len - skip };
		}
		n = sendmmsg(fd, messages, (unsigned)n, 0);
		counts.answered += n > 0 ? (uint64_t)n : 0;
	}
	printf("{\"received\": %lu, \"answered\": %lu, \"bad_header\": %lu, \"wrong_identity\": "
	       "%lu, "
	       "\"bad_payload\": %lu}\n",
		counts.received, counts.answered, counts.bad_header, counts.wrong_identity,
		counts.bad_payload);
	return 0;
}

/* ---- the client ---- */

struct client {
	int fd;
	uint16_t port;
	struct in6_addr own;
	uint32_t number; /* of the datagram without an answer */
	uint32_t size;
	unsigned target;
	uint64_t sent_ns; /* 0: none is */
};

static struct load {
	struct sockaddr_in6 targets[TARGETS];
	unsigned n_targets;
	struct client *clients;
	unsigned n_clients;
	int epoll_fd;
	uint32_t max_size;
	bool one_size;
	uint64_t sent, answered, lost, late, wrong_source, bad_payload, failed, waiting;
} load;

static size_t make_payload(const struct client *client, uint8_t *data)
{
	const struct sockaddr_in6 *target = &load.targets[client->target];
	uint8_t head[PATTERN_AT];

	memcpy(head, &client->number, 4);
	memcpy(head + 4, &client->port, 2);
	memcpy(head + 6, &client->own, 16);
	memcpy(head + 22, &target->sin6_addr, 16);
	memcpy(head + 38, &target->sin6_port, 2);
	memcpy(data, head, client->size < PATTERN_AT ? client->size : PATTERN_AT);
	for (size_t i = PATTERN_AT; i < client->size; i++)
		data[i] = pattern(client->number, i);
	return client->size;
}

static void send_next(struct client *client)
{
	static uint8_t data[SIZE_MAX_];

	client->number = (uint32_t)load.sent;
	client->target = (unsigned)(load.sent / load.n_clients + load.sent) % load.n_targets;
	client->size = load.one_size ? load.max_size
				     : (uint32_t)((load.sent * 7919) % (load.max_size + 1));
	client->sent_ns = now_ns();
	load.sent++;
	load.waiting++;
	if (sendto(client->fd, data, make_payload(client, data), 0,
		    (struct sockaddr *)&load.targets[client->target], sizeof(load.targets[0])) < 0)
		load.failed++;
}

/* True: the answer that was waited for. */
static bool take_answer(struct client *client)
{
	static uint8_t data[SIZE_MAX_], expected[SIZE_MAX_];
	struct sockaddr_in6 from = { 0 };
	socklen_t from_len = sizeof(from);
	ssize_t n =
		recvfrom(client->fd, data, sizeof(data), 0, (struct sockaddr *)&from, &from_len);

	if (n < 0) {
		load.failed += errno != EAGAIN;
		return false;
	}
	if (client->sent_ns == 0) {
		load.late++;
		return false;
	}
	(void)make_payload(client, expected);
	if ((size_t)n != client->size || memcmp(data, expected, (size_t)n) != 0) {
		load.bad_payload++;
		return false;
	}
	if (memcmp(&from.sin6_addr, &load.targets[client->target].sin6_addr, 16) != 0 ||
		from.sin6_port != load.targets[client->target].sin6_port)
		load.wrong_source++;
	load.answered++;
	load.waiting--;
	client->sent_ns = 0;
	return true;
}

static void give_up_old(void)
{
	uint64_t now = now_ns();

	for (unsigned i = 0; i < load.n_clients; i++)
		if (load.clients[i].sent_ns && now > load.clients[i].sent_ns + LOST_NS) {
			load.clients[i].sent_ns = 0;
			load.lost++;
			load.waiting--;
		}
}

static void open_clients(unsigned n)
{
	struct rlimit limit = { n + 64, n + 64 };

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		fail("RLIMIT_NOFILE");
	load.clients = calloc(n, sizeof(*load.clients));
	load.n_clients = n;
	load.epoll_fd = epoll_create1(0);
	for (unsigned i = 0; i < n; i++) {
		struct client *client = &load.clients[i];
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };
		struct sockaddr_in6 own = { .sin6_family = AF_INET6 };
		socklen_t len = sizeof(own);
		int probe;

		client->fd = open_socket(AF_INET6);
		if (bind(client->fd, (struct sockaddr *)&own, len) < 0 ||
			getsockname(client->fd, (struct sockaddr *)&own, &len) < 0 ||
			epoll_ctl(load.epoll_fd, EPOLL_CTL_ADD, client->fd, &event) < 0)
			fail("client");
		client->port = own.sin6_port;
		if (i > 0) {
			client->own = load.clients[0].own;
			continue;
		}
		probe = open_socket(AF_INET6);
		if (connect(probe, (struct sockaddr *)&load.targets[0], sizeof(own)) < 0 ||
			getsockname(probe, (struct sockaddr *)&own, &len) < 0)
			fail("route");
		client->own = own.sin6_addr;
		close(probe);
	}
}

/* total 0: until end_ns. Who was answered asks again; in a run, the next one does. */
static void run(uint64_t total, uint64_t end_ns, unsigned window)
{
	struct epoll_event events[256];
	uint64_t look_ns = now_ns() + LOST_NS / 4;
	unsigned next = 0;

	while (!ending) {
		bool more = total ? load.sent < total : now_ns() < end_ns;
		int n;

		if (!more && load.waiting == 0)
			break;
		for (unsigned tries = 0; more && load.waiting < window && tries < load.n_clients &&
					 (!total || load.sent < total);
			tries++) {
			struct client *client = &load.clients[next];

			next = (next + 1) % load.n_clients;
			if (client->sent_ns == 0)
				send_next(client);
		}
		n = epoll_wait(load.epoll_fd, events, 256, 50);
		for (int i = 0; i < n; i++)
			(void)take_answer(events[i].data.ptr);
		if (now_ns() > look_ns) {
			give_up_old();
			look_ns = now_ns() + LOST_NS / 4;
		}
	}
}

static void add_targets(char *list, uint16_t port)
{
	for (char *p = strtok(list, ","); p && load.n_targets < TARGETS; p = strtok(NULL, ",")) {
		struct sockaddr_in6 *target = &load.targets[load.n_targets++];

		target->sin6_family = AF_INET6;
		target->sin6_port = htons(port);
		if (inet_pton(AF_INET6, p, &target->sin6_addr) != 1)
			fail(p);
	}
}

static int client(char **argv, bool bench)
{
	uint64_t begin, total = bench ? 0 : strtoull(argv[5], NULL, 10);

	add_targets(argv[2], (uint16_t)atoi(argv[3]));
	load.one_size = bench;
	load.max_size = (uint32_t)atoi(argv[bench ? 5 : 6]);
	open_clients((unsigned)atoi(argv[4]));
	begin = now_ns();
	run(total, begin + (bench ? strtoull(argv[6], NULL, 10) * 1000000000U : 0),
		(unsigned)atoi(argv[7]));
	printf("{\"sent\": %lu, \"answered\": %lu, \"lost\": %lu, \"late\": %lu, \"failed\": %lu, "
	       "\"wrong_source\": %lu, \"bad_payload\": %lu, \"seconds\": %.3f}\n",
		load.sent, load.answered, load.lost, load.late, load.failed, load.wrong_source,
		load.bad_payload, (double)(now_ns() - begin) / 1e9);
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	if (argc == 5 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2], argv[3], argv[4]);
	if (argc == 8 && (strcmp(argv[1], "run") == 0 || strcmp(argv[1], "bench") == 0))
		return client(argv, argv[1][0] == 'b');
	fputs("usage: see the beginning of udpload.c\n", stderr);
	return 64;
}
