/* The server behind the gateway for flowload.c; flowpattern.h says what it answers.
 *
 *   flowserve ADDRESS PORT UDP_PORT
 *
 * Every connection, and every datagram or only a session's first, begins with a PROXY header of
 * version 2. Prints "ready" when it listens; ends with SIGTERM. */

#include <arpa/inet.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flowpattern.h"

#define BUF    65536
#define EVENTS 256

struct connection {
	struct connection *prev, *next; /* among all that have asked for a pattern */
	int fd;
	char kind; /* 0: not known yet */
	bool header_read, ended, waits_for_room;
	uint16_t told_port;
	uint64_t seed, sent;
	size_t start, end; /* what is in buf */
	uint8_t buf[BUF];
};

static struct connection halves = { .prev = &halves, .next = &halves };
static int epoll;

static const uint8_t signature[] = "\r\n\r\n\0\r\nQUIT\n";

/* How long the header is, 0 if there is none, or -1 if more has to come. */
static int header_len(const uint8_t *buf, size_t len, uint16_t *ret_port)
{
	const size_t port_at = buf[13] >> 4 == 2 ? 48 : 24;
	size_t total;

	if (len < 16)
		return -1;
	if (memcmp(buf, signature, sizeof(signature) - 1) != 0)
		return 0;
	total = 16U + ((size_t)buf[14] << 8 | buf[15]);
	if (len < total)
		return -1;
	*ret_port = (uint16_t)(buf[port_at] << 8 | buf[port_at + 1]);
	return (int)total;
}

static void end(struct connection *c, bool in_reset)
{
	const struct linger linger = { .l_onoff = 1 };

	if (in_reset)
		(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	if (c->kind == 'H') {
		c->prev->next = c->next;
		c->next->prev = c->prev;
	}
	close(c->fd);
	free(c);
}

static void wait_for(struct connection *c, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = c };

	if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event) < 0)
		fail("epoll_ctl");
}

/* Whether the connection goes on. */
static bool echo(struct connection *c)
{
	while (c->start < c->end) {
		ssize_t n = send(c->fd, c->buf + c->start, c->end - c->start, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			wait_for(c, EPOLLOUT);
			c->waits_for_room = true;
			return true;
		}
		if (n < 0)
			return false;
		c->start += (size_t)n;
	}
	c->start = c->end = 0;
	if (c->waits_for_room)
		wait_for(c, EPOLLIN);
	c->waits_for_room = false;
	return !c->ended;
}

static bool answer_token(struct connection *c)
{
	uint8_t answer[TOKEN_LEN + PORT_LEN];

	if (c->end - c->start < TOKEN_LEN)
		return !c->ended;
	memcpy(answer, c->buf + c->start, TOKEN_LEN);
	answer[TOKEN_LEN] = (uint8_t)(c->told_port >> 8);
	answer[TOKEN_LEN + 1] = (uint8_t)c->told_port;
	(void)send(c->fd, answer, sizeof(answer), MSG_NOSIGNAL);
	return false;
}

static bool begin_half(struct connection *c)
{
	if (c->end - c->start < HALF_ASKED)
		return !c->ended;
	memcpy(&c->seed, c->buf + c->start + 1, sizeof(c->seed));
	c->kind = 'H';
	c->next = &halves;
	c->prev = halves.prev;
	c->prev->next = c->next->prev = c;
	/* Its end of stream is to be expected; a reset shows when we send. */
	wait_for(c, 0);
	return true;
}

static bool serve(struct connection *c)
{
	if (!c->header_read) {
		int len = header_len(c->buf, c->end, &c->told_port);

		if (len < 0)
			return !c->ended;
		c->start = (size_t)len;
		c->header_read = true;
	}
	if (!c->kind) {
		if (c->start == c->end)
			return !c->ended;
		if (c->buf[c->start] == 'H')
			return begin_half(c);
		c->kind = (char)c->buf[c->start];
	}
	return c->kind == 'N' ? answer_token(c) : echo(c);
}

static void on_event(struct connection *c, uint32_t events)
{
	bool in_reset = false, goes_on = false;

	if (events & EPOLLOUT) {
		goes_on = echo(c);
	} else {
		ssize_t n = recv(c->fd, c->buf + c->end, BUF - c->end, 0);

		if (n < 0 && errno == EAGAIN)
			return;
		in_reset = n < 0;
		c->ended = n <= 0;
		c->end += n > 0 ? (size_t)n : 0;
		goes_on = !in_reset && c->kind != 'H' && serve(c);
	}
	if (!goes_on)
		end(c, in_reset);
}

static void say_halves(void)
{
	struct connection *next;
	uint8_t buf[HALF_LEN];

	for (struct connection *c = halves.next; c != &halves; c = next) {
		ssize_t n;

		next = c->next;
		pattern_fill(buf, sizeof(buf), c->seed, c->sent);
		n = send(c->fd, buf, sizeof(buf), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0)
			c->sent += (uint64_t)n;
		else if (errno != EAGAIN)
			end(c, false);
	}
}

static void take_all(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct connection *c = calloc(1, sizeof(*c));
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

		if (!c)
			fail("calloc");
		c->fd = fd;
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
			fail("epoll_ctl");
	}
}

/* A session's port is told in its first datagrams; later ones may come without a header. */
static void answer_datagrams(int fd)
{
	static uint16_t told[65536];
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	uint8_t buf[2048 + PORT_LEN];
	ssize_t n;

	while ((n = recvfrom(fd, buf, 2048, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len)) >
		0) {
		uint16_t port = told[from.sin_port];
		int len = header_len(buf, (size_t)n, &port);

		len = len < 0 ? 0 : len;
		told[from.sin_port] = port;
		buf[n] = (uint8_t)(port >> 8);
		buf[n + 1] = (uint8_t)port;
		(void)sendto(fd, buf + len, (size_t)(n - len) + PORT_LEN, 0,
			(struct sockaddr *)&from, from_len);
		from_len = sizeof(from);
	}
}

static int open_socket(const char *address, const char *port, int type)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(port, NULL, 10)) };
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int one = 1, size = 8 << 20;

	if (fd < 0 || inet_pton(AF_INET, address, &at.sin_addr) != 1)
		fail(address);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (type == SOCK_DGRAM)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		fail("bind");
	if (type == SOCK_STREAM && listen(fd, 4096) < 0)
		fail("listen");
	return fd;
}

static void allow_many(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS], event = { .events = EPOLLIN };
	double half_at = now_s();
	int listener, datagrams;

	if (argc != 4) {
		fputs("usage: flowserve ADDRESS PORT UDP_PORT\n", stderr);
		return 64;
	}
	allow_many();
	listener = open_socket(argv[1], argv[2], SOCK_STREAM);
	datagrams = open_socket(argv[1], argv[3], SOCK_DGRAM);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	event.data.ptr = &listener;
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
		fail("epoll");
	event.data.ptr = &datagrams;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, datagrams, &event) < 0)
		fail("epoll");
	puts("ready");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, 10);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == &listener)
				take_all(listener);
			else if (events[i].data.ptr == &datagrams)
				answer_datagrams(datagrams);
			else
				on_event(events[i].data.ptr, events[i].events);
		}
		if (now_s() - half_at >= HALF_MS / 1e3) {
			half_at = now_s();
			say_halves();
		}
	}
}
