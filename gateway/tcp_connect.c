#include "tcp_connect.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * Why a backend's socket is as it is:
 *
 * - TCP_NODELAY: what a client sends is passed on as it comes; to wait for more is its own choice.
 * - SO_OOBINLINE: urgent data stays in its place in the stream, where it can be copied.
 * - SO_LINGER of 0: closing it, also by the death of this process, is a reset (tcp_pass.c).
 * - TCP_QUICKACK off, where a header follows at once: it carries the handshake's last
 *   acknowledgement.
 *
 * One that has the client's own address (transparent) cannot be made again, as that takes a right
 * that only the supervisor has; so the same one serves all attempts.
 */
static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

int tcp_connect_take_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return errno;
	return error;
}

/*
 * Makes the socket what a backend's must be, and starts to connect. header: data follows at once
 * and can carry the handshake's last acknowledgement. 0 or a negative errno.
 */
static int backend_connect(
	int fd, const struct sockaddr_any *source, const struct sockaddr_any *backend, bool header)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	int err;

	err = set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (!err)
		err = set_int(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	if (!err && setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0)
		err = -errno;
	if (!err && header)
		err = set_int(fd, IPPROTO_TCP, TCP_QUICKACK, 0);
	/*
	 * The port is chosen by connect(), so that one is free as long as the whole tuple is. A
	 * client's own port may be in use towards another server.
	 */
	if (!err && source)
		err = sockaddr_port(source) ? set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1)
					    : set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	if (!err && source && bind(fd, &source->sa, sockaddr_len(source)) < 0)
		err = -errno;
	if (!err && connect(fd, &backend->sa, sockaddr_len(backend)) < 0 && errno != EINPROGRESS)
		err = -errno;
	return err;
}

/* For the next attempt: as nothing had happened. */
static int renew_socket(struct flow_side *side)
{
	/* Closing it takes it out of the loop as well: no other process has a copy. */
	close(side->end.fd);
	side->end = (struct stream_end){
		.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
	};
	return side->end.fd < 0 ? -errno : 0;
}

/*
 * One that shows the client's address cannot be made here; it keeps that address, and its options.
 * But it may not have got the address yet: without it, it would show ours.
 */
static int reuse_socket(struct flow *flow)
{
	const struct sockaddr none = { .sa_family = AF_UNSPEC };
	const struct sockaddr_any *client = &flow->client, *backend = &flow->backend;
	struct flow_side *side = &flow->side[FLOW_BACKEND];
	const int fd = side->end.fd;
	struct sockaddr_any local = { 0 };
	socklen_t len = sizeof(local);

	side->end = (struct stream_end){ .fd = fd };
	(void)tcp_connect_take_error(fd);
	if (connect(fd, &none, sizeof(none)) < 0 || getsockname(fd, &local.sa, &len) < 0)
		return -errno;
	if (!sockaddr_equal(&local, client) && bind(fd, &client->sa, sockaddr_len(client)) < 0)
		return -errno;
	return connect(fd, &backend->sa, sockaddr_len(backend)) < 0 && errno != EINPROGRESS ? -errno
											    : 0;
}

/* Not before connect() has begun: an unconnected socket reports its end at once. */
static int watch(struct loop *loop, struct flow *flow, uint32_t events)
{
	struct flow_side *side = &flow->side[FLOW_BACKEND];
	socklen_t len = sizeof(flow->source);

	if (getsockname(side->end.fd, &flow->source.sa, &len) < 0)
		return -errno;
	/*
	 * A connection from a port to itself succeeds (RFC 793 calls it a simultaneous open), and
	 * is no backend.
	 */
	if (sockaddr_equal(&flow->source, &flow->backend))
		return -ECONNREFUSED;
	return loop_add(loop, side->end.fd, events, &side->source);
}

int tcp_connect_start(struct loop *loop, struct flow *flow, uint32_t events)
{
	struct flow_side *side = &flow->side[FLOW_BACKEND];
	bool header = flow->identity == IDENTITY_PROXY_V2 || flow->identity == IDENTITY_PROXY_V1;
	bool transparent = flow->identity == IDENTITY_TRANSPARENT;
	bool again = flow->n_tried > 1;
	struct pool *pool = flow->pool;
	size_t tries =
		pool && pool->config->n_sources && !transparent ? pool->config->n_sources : 1;
	int err = 0;

	if (again && transparent) {
		err = reuse_socket(flow);
		/* It is watched since an attempt that did not fail at once, if there was one. */
		return err || sockaddr_family(&flow->source) ? err : watch(loop, flow, events);
	}
	if (again)
		err = renew_socket(side);
	if (err)
		return err;
	for (;;) {
		const struct sockaddr_any *source = transparent ? &flow->client
						    : pool	? pool_source(pool)
								: NULL;

		err = backend_connect(side->end.fd, source, &flow->backend, header);
		if (err != -EADDRNOTAVAIL || --tries == 0)
			break;
		err = renew_socket(side);
		if (err)
			return err;
	}
	return err ? err : watch(loop, flow, events);
}

uint64_t tcp_connect_total_deadline(const struct flow *flow)
{
	const struct config_timeouts *timeouts = &flow->listener->timeouts;
	uint64_t total_ms = timeouts->connect_total_ms ? timeouts->connect_total_ms
						       : 2ULL * timeouts->connect_ms;

	return flow->active_ms + total_ms;
}

uint64_t tcp_connect_attempt_deadline(const struct flow *flow)
{
	uint64_t own_ms = flow->attempt_ms + flow->listener->timeouts.connect_ms;
	uint64_t total_ms = tcp_connect_total_deadline(flow);

	return own_ms < total_ms ? own_ms : total_ms;
}

bool tcp_connect_worth_another(int error)
{
	switch (error) {
	case ECONNREFUSED:
	case ECONNRESET:
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EADDRNOTAVAIL: /* every server has ports of its own */
	case EADDRINUSE:
		return true;
	default:
		return false;
	}
}
