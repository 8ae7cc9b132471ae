/* Clients that come at a steady pace whatever becomes of those before them, for tests of what a
 * disturbance costs.
 *
 *   connload ADDRESS PORT COUNT RATE AT_ONCE LIMIT [PREFIX]
 *
 * COUNT connections to ADDRESS and PORT, IPv6, begin, RATE a second (0: at once), but never more
 * than AT_ONCE at a time. Each asks with HTTP/1.0, reads to the end, and is given up after LIMIT
 * milliseconds. With PREFIX, connection i comes from that address plus i, which must be local; else
 * from where the kernel likes. After SIGTERM no more begin.
 *
 * One line for each, when it has ended: number, when it began (CLOCK_MONOTONIC, seconds), how long
 * it took (milliseconds), what became of it, its own port, and the last line of the answer. What
 * became of it: ok (status 200, and a last line that is whole), refused, reset, cut (an end of
 * stream too soon), late, or "error" with the number of an errno. */

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

#define ANSWER_MAX 1024
#define EVENTS	   256

static const char request[] = "GET / HTTP/1.0\r\n\r\n";

/* Those that go on are a list in the order in which they began, so the first is the first late. */
struct connection {
	struct connection *prev, *next;
	int fd;
	uint64_t number;
	double began;
	bool asked;
	uint16_t port;
	size_t length;
	char answer[ANSWER_MAX];
};

struct load {
	struct sockaddr_in6 to, from;
	bool has_prefix;
	uint64_t count, begun, at_once, live;
	double rate, limit, start;
	int epoll;
	struct connection going; /* the head of the list */
};

static volatile sig_atomic_t told_to_end;

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

static void on_term(int number)
{
	(void)number;
	told_to_end = 1;
}

/* ---- the end of one ---- */

static bool is_whole(struct connection *c)
{
	c->answer[c->length] = 0;
	return (!strncmp(c->answer, "HTTP/1.1 200 ", 13)) && strstr(c->answer, "\r\n\r\n") &&
	       c->answer[c->length - 1] == '\n' && c->answer[c->length - 2] != '\r';
}

static char *last_line(struct connection *c)
{
	char *line;

	c->answer[c->length - 1] = 0;
	line = strrchr(c->answer, '\n');
	return line ? line + 1 : c->answer;
}

static void end(struct load *load, struct connection *c, const char *outcome)
{
	bool ok = !strcmp(outcome, "ok");

	printf("%lu %.6f %.3f %s %u %s\n", c->number, c->began, (now() - c->began) * 1e3, outcome,
		c->port, ok ? last_line(c) : "-");
	c->prev->next = c->next;
	c->next->prev = c->prev;
	close(c->fd);
	free(c);
	load->live--;
}

static void end_in_error(struct load *load, struct connection *c, int error)
{
	char text[32];

	if (error == ECONNREFUSED || error == ECONNRESET || error == EPIPE) {
		end(load, c, error == ECONNREFUSED ? "refused" : "reset");
		return;
	}
	snprintf(text, sizeof(text), "error%d", error);
	end(load, c, text);
}

/* ---- the life of one ---- */

/* PREFIX plus the number, in the last 32 bits. */
static void take_source(const struct load *load, struct connection *c)
{
	struct sockaddr_in6 from = load->from;
	uint32_t low;

	memcpy(&low, &from.sin6_addr.s6_addr[12], sizeof(low));
	low = htonl(ntohl(low) + (uint32_t)c->number);
	memcpy(&from.sin6_addr.s6_addr[12], &low, sizeof(low));
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		fail("bind");
}

static void begin(struct load *load)
{
	struct connection *c = calloc(1, sizeof(*c));
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };

	if (!c)
		fail("calloc");
	c->number = load->begun++;
	c->fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		fail("socket");
	if (load->has_prefix)
		take_source(load, c);
	c->next = &load->going;
	c->prev = load->going.prev;
	c->prev->next = c;
	load->going.prev = c;
	load->live++;
	c->began = now();
	if (connect(c->fd, (struct sockaddr *)&load->to, sizeof(load->to)) < 0 &&
		errno != EINPROGRESS)
		end_in_error(load, c, errno);
	else if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
		fail("epoll_ctl");
}

static bool ask(struct connection *c)
{
	struct sockaddr_in6 own;
	socklen_t len = sizeof(own);

	if (getsockname(c->fd, (struct sockaddr *)&own, &len) == 0)
		c->port = ntohs(own.sin6_port);
	c->asked = true;
	return send(c->fd, request, sizeof(request) - 1, MSG_NOSIGNAL) ==
	       (ssize_t)sizeof(request) - 1;
}

static void hear(struct load *load, struct connection *c)
{
	for (;;) {
		ssize_t n =
			recv(c->fd, c->answer + c->length, sizeof(c->answer) - 1 - c->length, 0);

		if (n > 0)
			c->length += (size_t)n;
		else if (n < 0 && errno == EAGAIN)
			return;
		else if (n < 0)
			return end_in_error(load, c, errno);
		else
			return end(load, c, c->length && is_whole(c) ? "ok" : "cut");
	}
}

static void serve(struct load *load, struct connection *c, uint32_t events)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if ((events & EPOLLERR) && getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 &&
		error)
		end_in_error(load, c, error);
	else if (!c->asked && (events & EPOLLOUT) && !ask(c))
		end_in_error(load, c, errno);
	else if (events & (EPOLLIN | EPOLLHUP))
		hear(load, c);
}

/* ---- all of them ---- */

static bool more_to_begin(const struct load *load)
{
	return !told_to_end && load->begun < load->count;
}

static bool may_begin(const struct load *load, double time)
{
	return more_to_begin(load) && load->live < load->at_once &&
	       (load->rate <= 0 || load->start + (double)load->begun / load->rate <= time);
}

static void run(struct load *load)
{
	struct epoll_event events[EVENTS];

	load->start = now();
	while (load->live > 0 || more_to_begin(load)) {
		double time = now();
		int n;

		while (may_begin(load, time))
			begin(load);
		while (load->going.next != &load->going &&
			time - load->going.next->began > load->limit)
			end(load, load->going.next, "late");
		n = epoll_wait(load->epoll, events, EVENTS, 1);
		for (int i = 0; i < n; i++)
			serve(load, events[i].data.ptr, events[i].events);
	}
}

static void raise_open_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	struct load load = { .to.sin6_family = AF_INET6, .from.sin6_family = AF_INET6 };
	struct sigaction on_end = { .sa_handler = on_term };

	if (argc < 7 || argc > 8 || inet_pton(AF_INET6, argv[1], &load.to.sin6_addr) != 1 ||
		(argc == 8 && inet_pton(AF_INET6, argv[7], &load.from.sin6_addr) != 1)) {
		fputs("usage: see the beginning of connload.c\n", stderr);
		return 64;
	}
	load.to.sin6_port = htons((uint16_t)atoi(argv[2]));
	load.count = strtoull(argv[3], NULL, 10);
	load.rate = atof(argv[4]);
	load.at_once = strtoull(argv[5], NULL, 10);
	load.limit = atof(argv[6]) / 1e3;
	load.has_prefix = argc == 8;
	load.going.next = load.going.prev = &load.going;
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (load.epoll < 0)
		fail("epoll_create1");
	sigaction(SIGTERM, &on_end, NULL);
	raise_open_files();
	setvbuf(stdout, NULL, _IOLBF, 0);
	run(&load);
	return 0;
}
