/* Flows that live for long and new connections at a steady rate, all of whose bytes are checked,
 * for tests of what a disturbance costs. The server is flowserve.c.
 *
 *   flowload ADDRESS PORT UDP_PORT BULK SMALL HALF UDP RATE LATE_MS BULK_KBPS EVERY_MS
 *
 * BULK flows of BULK_KBPS kB/s each way, SMALL flows with a message of 64 bytes every EVERY_MS,
 * HALF flows whose client has said all and goes on reading, UDP sessions with a datagram every
 * EVERY_MS; and, when all of these are there, RATE new connections a second, each with an answer of
 * its own. What is owed for more than LATE_MS is an error, and so is everything that no server has
 * said. A flow that has ended in an error begins anew. Ends with SIGTERM.
 *
 * On stdout, JSON, one line for each error: {"error": what, "kind": of which kind, "port": of the
 * client, "at": when, "begun": when}; and one for each second:
 *   {"at", "live", "opened", "ok", "p50", "p99", "max": ms of new connections,
 *    "pauses": {kind: the longest time in ms that a flow was owed something}, "bytes", "messages",
 *    "datagrams", "lost": of the flows, in total}
 * Times are of CLOCK_MONOTONIC, in seconds. */

#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flowpattern.h"

#define EVENTS	   256
#define TICK_S	   0.01
#define OPENED_MAX 30 /* flows in one tick, as long as not all are there */
#define WINDOW	   (128U << 10)
#define MESSAGE	   64U
#define CHUNK	   16384U
#define LATENCIES  65536U

enum kind {
	BULK,
	SMALL,
	HALF,
	UDP,
	NEW,
	KINDS,
};

static const char *const names[KINDS] = { "bulk", "small", "half", "udp", "new" };

struct flow {
	enum kind kind;
	int fd; /* -1: not there */
	bool connected;
	uint16_t port;
	uint64_t seed, sent, received;
	double begun, owed_since, next_at; /* owed_since is 0 if nothing is */
};

struct load {
	struct sockaddr_in6 to, datagrams_to;
	double rate, late_s, bulk_bps, every_s;
	int epoll;
	struct flow *flows;
	size_t n_flows, n_new; /* the new ones follow the flows */
	size_t live;
	bool all_there;
	double new_begun, new_asked;
	uint64_t seeds, opened, ok, bytes, messages, datagrams, lost;
	double pauses[KINDS];
	double latencies[LATENCIES];
	size_t n_latencies;
};

static volatile sig_atomic_t told_to_end;

static void on_term(int number)
{
	(void)number;
	told_to_end = 1;
}

/* ---- the end of one ---- */

static void end(struct load *load, struct flow *flow)
{
	close(flow->fd);
	flow->fd = -1;
	flow->next_at = now_s() + 0.1;
	if (flow->connected && flow->kind != NEW)
		load->live--;
}

static void end_in_error(struct load *load, struct flow *flow, const char *what)
{
	printf("{\"error\": \"%s\", \"kind\": \"%s\", \"port\": %u, \"at\": %.6f, \"begun\": "
	       "%.6f}\n",
		what, names[flow->kind], flow->port, now_s(), flow->begun);
	end(load, flow);
}

static void end_in_errno(struct load *load, struct flow *flow, int error)
{
	char text[32];

	snprintf(text, sizeof(text), "error %d", error);
	end_in_error(load, flow,
		error == ECONNREFUSED			? "refused"
		: error == ECONNRESET || error == EPIPE ? "reset"
							: text);
}

static void paid(struct load *load, struct flow *flow, bool more_is_owed)
{
	double now = now_s(), pause = flow->owed_since > 0 ? now - flow->owed_since : 0;

	if (pause > load->pauses[flow->kind])
		load->pauses[flow->kind] = pause;
	flow->owed_since = more_is_owed ? now : 0;
}

/* ---- sending ---- */

/* The stream that is sent back; its first byte says so. */
static void fill_echo(const struct flow *flow, uint8_t *buf, size_t len, uint64_t at)
{
	pattern_fill(buf, len, flow->seed, at);
	if (at == 0 && len > 0)
		buf[0] = flow->kind == NEW ? 'N' : 'E';
}

static bool send_some(struct load *load, struct flow *flow, size_t len)
{
	uint8_t buf[CHUNK];
	ssize_t n;

	fill_echo(flow, buf, len, flow->sent);
	n = send(flow->fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN) {
		end_in_errno(load, flow, errno);
		return false;
	}
	if (n > 0 && flow->owed_since <= 0)
		flow->owed_since = now_s();
	flow->sent += n > 0 ? (uint64_t)n : 0;
	return n == (ssize_t)len;
}

static void send_bulk(struct load *load, struct flow *flow, double now)
{
	const double may = (now - flow->begun) * load->bulk_bps;

	while (flow->sent - flow->received + CHUNK <= WINDOW && (double)(flow->sent + CHUNK) <= may)
		if (!send_some(load, flow, CHUNK))
			return;
}

static void send_half(struct load *load, struct flow *flow)
{
	uint8_t buf[HALF_ASKED] = "H";

	memcpy(buf + 1, &flow->seed, sizeof(flow->seed));
	if (send(flow->fd, buf, sizeof(buf), MSG_NOSIGNAL) != (ssize_t)sizeof(buf) ||
		shutdown(flow->fd, SHUT_WR) < 0)
		end_in_errno(load, flow, errno);
	else
		flow->owed_since = now_s();
}

/* `sent` counts datagrams, and is the number in the last one. */
static void send_datagram(struct load *load, struct flow *flow, double now)
{
	uint8_t buf[MESSAGE];

	if (flow->owed_since > 0)
		load->lost++;
	flow->sent++;
	pattern_fill(buf, sizeof(buf), flow->seed, flow->sent * MESSAGE);
	memcpy(buf, &flow->sent, sizeof(flow->sent));
	if (send(flow->fd, buf, sizeof(buf), MSG_DONTWAIT) < 0 && errno != EAGAIN) {
		end_in_errno(load, flow, errno);
		return;
	}
	flow->owed_since = now;
}

static void send_due(struct load *load, struct flow *flow, double now)
{
	if (flow->kind == BULK) {
		send_bulk(load, flow, now);
		return;
	}
	if (now < flow->next_at || flow->kind == HALF || flow->kind == NEW)
		return;
	flow->next_at += load->every_s;
	if (flow->next_at < now)
		flow->next_at = now + load->every_s;
	if (flow->kind == SMALL && flow->sent == flow->received)
		(void)send_some(load, flow, MESSAGE);
	else if (flow->kind == UDP && (flow->owed_since <= 0 || now - flow->owed_since > 1))
		send_datagram(load, flow, now);
}

/* ---- receiving ---- */

static void hear_datagram(struct load *load, struct flow *flow, const uint8_t *buf, size_t len)
{
	uint8_t expected[MESSAGE];
	uint64_t number;

	if (len != MESSAGE + PORT_LEN || (buf[MESSAGE] << 8 | buf[MESSAGE + 1]) != flow->port) {
		end_in_error(load, flow, "wrong");
		return;
	}
	memcpy(&number, buf, sizeof(number));
	pattern_fill(expected, sizeof(expected), flow->seed, number * MESSAGE);
	memcpy(expected, &number, sizeof(number));
	if (number > flow->sent || memcmp(expected, buf, MESSAGE) != 0) {
		end_in_error(load, flow, "wrong");
	} else if (number == flow->sent && flow->owed_since > 0) {
		load->datagrams++;
		paid(load, flow, false);
	}
}

static bool is_right(const struct flow *flow, const uint8_t *buf, size_t len)
{
	uint8_t expected[CHUNK];

	if (flow->kind == HALF)
		pattern_fill(expected, len, flow->seed, flow->received);
	else
		fill_echo(flow, expected, len, flow->received);
	if (flow->kind == NEW) {
		for (size_t i = 0; i < len; i++) {
			uint64_t at = flow->received + i;

			if (at >= TOKEN_LEN + PORT_LEN)
				return false;
			if (at >= TOKEN_LEN)
				expected[i] =
					(uint8_t)(at == TOKEN_LEN ? flow->port >> 8 : flow->port);
		}
	}
	return memcmp(expected, buf, len) == 0;
}

/* Whether there may be more to hear. */
static bool hear(struct load *load, struct flow *flow, const uint8_t *buf, size_t len)
{
	if (flow->kind == UDP) {
		hear_datagram(load, flow, buf, len);
		return flow->fd >= 0;
	}
	if (!is_right(flow, buf, len)) {
		end_in_error(load, flow, "wrong");
		return false;
	}
	flow->received += len;
	load->bytes += len;
	if (flow->kind == HALF) {
		paid(load, flow, true);
		flow->owed_since += HALF_MS / 1e3;
	} else if (flow->kind == BULK || flow->sent == flow->received) {
		paid(load, flow, flow->sent > flow->received);
		load->messages += flow->kind == SMALL;
	}
	return true;
}

static void hear_end(struct load *load, struct flow *flow)
{
	if (flow->kind != NEW || flow->received < TOKEN_LEN + PORT_LEN) {
		end_in_error(load, flow, "cut");
		return;
	}
	load->ok++;
	if (load->n_latencies < LATENCIES)
		load->latencies[load->n_latencies++] = (now_s() - flow->begun) * 1e3;
	end(load, flow);
}

static void hear_all(struct load *load, struct flow *flow)
{
	uint8_t buf[CHUNK];

	/* Whoever has a lot to say does not keep others waiting. */
	for (int i = 0; i < 8; i++) {
		ssize_t n = recv(flow->fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			end_in_errno(load, flow, errno);
			return;
		}
		if (n == 0) {
			hear_end(load, flow);
			return;
		}
		if (!hear(load, flow, buf, (size_t)n))
			return;
	}
}

/* ---- beginning ---- */

static bool become_live(struct load *load, struct flow *flow)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = flow };
	struct sockaddr_in6 own;
	socklen_t len = sizeof(own);

	if (epoll_ctl(load->epoll, EPOLL_CTL_MOD, flow->fd, &event) < 0 ||
		getsockname(flow->fd, (struct sockaddr *)&own, &len) < 0)
		fail("become_live");
	flow->port = ntohs(own.sin6_port);
	flow->connected = true;
	load->live += flow->kind != NEW;
	flow->owed_since = 0;
	/* Not all at once. */
	flow->next_at = now_s() + load->every_s * (double)(flow->seed % 97) / 97;
	if (flow->kind == HALF)
		send_half(load, flow);
	else if (flow->kind == NEW)
		(void)send_some(load, flow, TOKEN_LEN);
	return flow->fd >= 0;
}

static void begin(struct load *load, struct flow *flow, double now)
{
	const bool udp = flow->kind == UDP;
	struct sockaddr_in6 own = { 0 }, *to = udp ? &load->datagrams_to : &load->to;
	struct epoll_event event = { .events = udp ? EPOLLIN : EPOLLOUT, .data.ptr = flow };
	socklen_t len = sizeof(own);

	*flow = (struct flow){ .kind = flow->kind, .seed = ++load->seeds, .begun = now };
	flow->owed_since = now;
	flow->fd = socket(
		AF_INET6, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (flow->fd < 0 || epoll_ctl(load->epoll, EPOLL_CTL_ADD, flow->fd, &event) < 0)
		fail("socket");
	if (connect(flow->fd, (struct sockaddr *)to, sizeof(*to)) < 0 && errno != EINPROGRESS) {
		end_in_errno(load, flow, errno);
		return;
	}
	if (getsockname(flow->fd, (struct sockaddr *)&own, &len) == 0)
		flow->port = ntohs(own.sin6_port);
	if (udp)
		(void)become_live(load, flow);
}

static void on_event(struct load *load, struct flow *flow)
{
	if (!flow->connected) {
		int error = 0;
		socklen_t len = sizeof(error);

		(void)getsockopt(flow->fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (error) {
			end_in_errno(load, flow, error);
			return;
		}
		if (!become_live(load, flow))
			return;
	}
	hear_all(load, flow);
}

static void begin_new(struct load *load, double now)
{
	struct flow *flow = load->flows + load->n_flows;

	if (!load->all_there || told_to_end)
		return;
	if (load->new_begun <= 0)
		load->new_begun = now;
	for (size_t i = 0; i < load->n_new; i++, flow++) {
		if (load->new_asked >= (now - load->new_begun) * load->rate)
			return;
		if (flow->fd >= 0)
			continue;
		begin(load, flow, now);
		load->opened++;
		load->new_asked++;
	}
	/* What found no place is not made up for: the answers take too long anyway. */
	load->new_asked = (now - load->new_begun) * load->rate;
}

static void tick(struct load *load, double now)
{
	int may_open = OPENED_MAX;

	for (size_t i = 0; i < load->n_flows + load->n_new; i++) {
		struct flow *flow = load->flows + i;

		if (flow->fd >= 0 && flow->kind != UDP && flow->owed_since > 0 &&
			now - flow->owed_since > load->late_s)
			end_in_error(load, flow, "late");
		else if (flow->fd >= 0 && flow->connected)
			send_due(load, flow, now);
		else if (flow->fd < 0 && i < load->n_flows && now >= flow->next_at &&
			 may_open-- > 0)
			begin(load, flow, now);
	}
	if (load->live == load->n_flows)
		load->all_there = true;
	begin_new(load, now);
}

/* ---- the report ---- */

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double quantile(const struct load *load, double q)
{
	return load->n_latencies ? load->latencies[(size_t)(q * (double)(load->n_latencies - 1))]
				 : 0;
}

static void report(struct load *load, double now)
{
	qsort(load->latencies, load->n_latencies, sizeof(*load->latencies), compare);
	printf("{\"at\": %.3f, \"live\": %zu, \"opened\": %lu, \"ok\": %lu, \"p50\": %.3f, "
	       "\"p99\": %.3f, \"max\": %.3f, \"pauses\": {",
		now, load->live, load->opened, load->ok, quantile(load, 0.5), quantile(load, 0.99),
		quantile(load, 1));
	for (size_t i = 0; i < load->n_flows; i++) {
		const struct flow *flow = load->flows + i;

		if (flow->fd >= 0 && flow->owed_since > 0 &&
			now - flow->owed_since > load->pauses[flow->kind])
			load->pauses[flow->kind] = now - flow->owed_since;
	}
	for (int i = 0; i < NEW; i++) {
		printf("%s\"%s\": %.3f", i ? ", " : "", names[i], load->pauses[i] * 1e3);
		load->pauses[i] = 0;
	}
	printf("}, \"bytes\": %lu, \"messages\": %lu, \"datagrams\": %lu, \"lost\": %lu}\n",
		load->bytes, load->messages, load->datagrams, load->lost);
	fflush(stdout);
	load->n_latencies = 0;
}

static void run(struct load *load)
{
	struct epoll_event events[EVENTS];
	double tick_at = now_s(), report_at = tick_at + 1;

	while (!told_to_end) {
		int n = epoll_wait(load->epoll, events, EVENTS, 5);
		double now;

		for (int i = 0; i < n; i++)
			on_event(load, events[i].data.ptr);
		now = now_s();
		if (now >= tick_at) {
			tick(load, now);
			tick_at = now + TICK_S;
		}
		if (now >= report_at) {
			report(load, now);
			report_at = report_at + 1 > now ? report_at + 1 : now + 1;
		}
	}
	report(load, now_s());
}

static void set_up(struct load *load, char **argv)
{
	size_t count[NEW], at = 0;

	load->to.sin6_family = load->datagrams_to.sin6_family = AF_INET6;
	if (inet_pton(AF_INET6, argv[0], &load->to.sin6_addr) != 1)
		fail(argv[0]);
	load->datagrams_to = load->to;
	load->to.sin6_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
	load->datagrams_to.sin6_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	for (int i = 0; i < NEW; i++) {
		count[i] = strtoul(argv[3 + i], NULL, 10);
		load->n_flows += count[i];
	}
	load->rate = strtod(argv[7], NULL);
	load->late_s = strtod(argv[8], NULL) / 1e3;
	load->bulk_bps = strtod(argv[9], NULL) * 1e3;
	load->every_s = strtod(argv[10], NULL) / 1e3;
	load->n_new = (size_t)(load->rate * load->late_s) + 16;
	if (load->n_new > 4096)
		load->n_new = 4096;
	load->flows = calloc(load->n_flows + load->n_new, sizeof(*load->flows));
	load->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!load->flows || load->epoll < 0)
		fail("flowload");
	for (int i = 0; i < NEW; i++)
		for (size_t j = 0; j < count[i]; j++)
			load->flows[at++].kind = (enum kind)i;
	for (size_t j = 0; j < load->n_new; j++)
		load->flows[at++].kind = NEW;
	for (size_t j = 0; j < at; j++)
		load->flows[j].fd = -1;
}

int main(int argc, char **argv)
{
	static struct load load;
	struct rlimit limit;

	if (argc != 12) {
		fputs("usage: flowload ADDRESS PORT UDP_PORT BULK SMALL HALF UDP RATE LATE_MS "
		      "BULK_KBPS "
		      "EVERY_MS\n",
			stderr);
		return 64;
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	(void)signal(SIGTERM, on_term);
	set_up(&load, argv + 1);
	run(&load);
	free(load.flows);
	return 0;
}
