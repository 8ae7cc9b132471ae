#include "tcp_relay.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bind.h"
#include "clock.h"
#include "flow_header.h"
#include "target.h"
#include "tcp_admit.h"
#include "tcp_connect.h"
#include "tcp_end.h"
#include "tcp_hold.h"
#include "tcp_told.h"

/*
 * Theory of operation
 *
 *  HEADER ──read──► CONNECTING ──backend answers, header sent──► RELAYING ──both ended──► DEAD
 *     │                 │                                            │
 *     │                 └─all refused or silent, client gone─► DEAD  └─a side is gone─┐
 *     └─bad or late─► DEAD                                         DEAD ◄── RESETTING ◄┘
 *
 * Only the clients of a listener with "accept-proxy", and of those only such that come from one of
 * its proxies, are ever in HEADER. The header is looked at in the socket and taken out of it when
 * it is whole, so that what follows goes the way of all bytes.
 *
 * With "accept = after-backend" a flow is begun by the holder's question (tcp_hold.h), without a
 * client. It is in CONNECTING then, and goes over to WAITING when a backend has answered, until the
 * client is accepted, which joins it. It may as well never come, or come too early or by a way of
 * its own: then it is accepted as any other.
 *
 * As long as no backend has answered, nothing that the client says is read. So one that refuses or
 * is silent costs nothing but time, and the flow goes on to another: up to the pool's "attempts",
 * within "connect-total".
 *
 * From then on the flow is passed on by tcp_pass.h, which has the rest of the theory.
 *
 * A flow that ends is DEAD but stays in memory until the batch of events is over, as another event
 * of the batch may name it.
 */
#define EVENTS (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET)

/* ---- ends and openings ---- */

static void finish(
	struct tcp_relay *relay, struct flow *flow, enum access_log_end end, enum access_log_by by)
{
	tcp_end_flow(&relay->ends, flow, end, by);
}

/* Sends the header, with what the client has sent already behind it. */
static void flow_open(struct tcp_relay *relay, struct flow *flow)
{
	struct flow_side *client = &flow->side[FLOW_CLIENT];
	struct flow_side *backend = &flow->side[FLOW_BACKEND];
	uint8_t header[IDENTITY_HEADER_MAX];
	enum stream_status status;
	int error = 0;
	size_t len;

	assert(flow->state == FLOW_CONNECTING || flow->state == FLOW_WAITING);
	error = -flow_header_make(relay->flows, flow, header, &len);
	if (error) {
		tcp_end_unconnected(&relay->ends, flow, error);
		return;
	}
	tcp_told_forget(flow);
	if (len > 0) {
		status = stream_open(&relay->streams, &client->stream, &client->end, &backend->end,
			header, len, &error);
		if (status == STREAM_FROM_ERROR) {
			finish(relay, flow, access_log_end_of_error(error), ACCESS_LOG_BY_CLIENT);
			return;
		}
		flow->state = FLOW_RELAYING;
		if (status == STREAM_TO_ERROR) {
			tcp_pass_side_failed(
				&relay->pass, flow, FLOW_BACKEND, access_log_end_of_error(error));
			return;
		}
	}
	/* Below 0 a part of it is still held, which the buffer of a new socket makes rare. */
	if (len > 0 && client->stream.bytes >= 0)
		stats_add(relay->stats, STATS_HEADERS, 1);
	flow->active_ms = relay->loop->now_ms;
	tcp_pass_begin(&relay->pass, flow);
	tcp_pass_serve(&relay->pass, flow);
}

/* ---- the way to a backend ---- */

/* Chooses a backend that was not tried and sets out for it. 0 or a negative errno. */
static int attempt(struct tcp_relay *relay, struct flow *flow)
{
	const struct pool_request request = {
		.client = &flow->client,
		.now_ms = relay->loop->now_ms,
		.tried = flow->tried,
		.n_tried = flow->n_tried,
	};
	struct target target;
	int err = target_set_pick(relay->targets, flow->listener, flow->bind,
		tcp_told_destination(flow), &request, &target);

	if (err)
		return err;
	flow->backend = target.addr;
	flow_set_backend(flow, target.pool, target.backend);
	if (tcp_hold_has(flow) && !tcp_hold_set_backend(&relay->hold, flow)) {
		stats_add(relay->stats, STATS_HOLD_BACKEND_FULL, 1);
		return -EDQUOT;
	}
	flow->attempt_ms = relay->loop->now_ms;
	err = tcp_connect_start(relay->loop, flow, EVENTS);
	if (err)
		return err;
	/* Behind connect(2), which has chosen the port. */
	flow_set_out(relay->flows, flow);
	loop_timer_set(relay->loop, &flow->timer, tcp_connect_attempt_deadline(flow));
	return 0;
}

/* The backend could not be reached: on to another, or that was it. */
static void attempt_failed(struct tcp_relay *relay, struct flow *flow, int error)
{
	int err;

	while (tcp_connect_worth_another(error)) {
		/* These two are our own want of ports, and nothing against the backend. */
		if (error != EADDRNOTAVAIL && error != EADDRINUSE)
			flow_backend_failed(relay->flows, flow, error);
		if (!flow->pool || flow->n_tried >= flow->pool->config->attempts ||
			relay->loop->now_ms >= tcp_connect_total_deadline(flow))
			break;
		err = attempt(relay, flow);
		/* There is no other: it ends by what the last one said. */
		if (err == -ENOENT || err == -EUSERS)
			break;
		stats_add(relay->stats, STATS_RETRIED, 1);
		if (!err)
			return;
		error = -err;
	}
	tcp_end_unconnected(&relay->ends, flow, error);
}

static void set_identity(struct flow *flow)
{
	flow->identity =
		(uint8_t)(sockaddr_family(&flow->client) == AF_INET ? flow->listener->identity
								    : flow->listener->identity_v6);
}

/* Works out what the server is told and which it is, and goes for it. */
static void choose_backend(struct tcp_relay *relay, struct flow *flow)
{
	const struct config_listener *config = flow->listener;
	int err;

	flow->state = FLOW_CONNECTING;
	flow->active_ms = relay->loop->now_ms;
	set_identity(flow);
	if (flow->identity == IDENTITY_REFUSE) {
		tcp_end_refused(&relay->ends, flow, ACCESS_LOG_NOT_ALLOWED,
			"identity-ipv6 refuses IPv6 clients");
		return;
	}
	if (!tcp_admit_listed(&relay->ends, relay->config, flow))
		return;
	/* Who is not there yet may be forged, and takes nobody's place. */
	if (!tcp_hold_has(flow) && !tcp_admit_place(&relay->ends, relay->config, flow))
		return;
	err = attempt(relay, flow);
	if (err == -ELOOP)
		tcp_end_refused(&relay->ends, flow, ACCESS_LOG_NOT_ALLOWED,
			"that is this gateway itself, which 'allow' must name as one address");
	else if (err == -EACCES && config->embedded && flow->n_tried == 0)
		tcp_end_refused(&relay->ends, flow, ACCESS_LOG_NOT_ALLOWED,
			"no server that 'allow' lets through");
	else if (err == -EACCES && flow->identity == IDENTITY_TRANSPARENT &&
		 sockaddr_port(&flow->client) < IPPORT_RESERVED)
		tcp_end_refused(&relay->ends, flow, ACCESS_LOG_NOT_ALLOWED,
			"its port is below 1024, which we may only show to the server with "
			"net.ipv4.ip_unprivileged_port_start=0");
	else if (err == -EBUSY || err == -EUSERS)
		tcp_admit_no_backend(&relay->ends, flow, err);
	else if (err == -ENOENT)
		tcp_end_unconnected(&relay->ends, flow, EHOSTUNREACH); /* every one is down */
	else if (err)
		attempt_failed(relay, flow, -err);
}

/* ---- who the client is, from a proxy in front of us ---- */

/* Not all that was to be passed on fits the header that the servers take. */
static void say_left_out(struct tcp_relay *relay, const struct flow *flow, unsigned n)
{
	char peer[SOCKADDR_TEXT_MAX];
	unsigned suppressed = 0;

	if (n == 0)
		return;
	stats_add(relay->stats, STATS_TLVS_LEFT_OUT, n);
	if (log_allowed(&relay->left_out_log, relay->loop->now_ms, &suppressed))
		log_warning("listener %s: proxy %s: TLVs that are not passed on, as header-max = "
			    "%" PRIu32 " has no room for them: %u (%u more like this)",
			flow->listener->name, sockaddr_format(&flow->told->peer, peer),
			flow->listener->header_max, n, suppressed);
}

/* Called again with each byte until it is whole, or the timer ends it: a slow one costs no memory.
 */
static void read_header(struct tcp_relay *relay, struct flow *flow)
{
	const char *reason = NULL;
	unsigned left_out = 0;
	int err = tcp_told_read(flow, &left_out, &reason);

	switch (err) {
	case 0:
		stats_add(relay->stats, STATS_HEADERS_READ, 1);
		say_left_out(relay, flow, left_out);
		loop_timer_cancel(relay->loop, &flow->timer);
		choose_backend(relay, flow);
		break;
	case -EAGAIN:
		break;
	case -ENODATA: /* that is how many proxies ask whether we are there */
		finish(relay, flow, ACCESS_LOG_CLOSED, ACCESS_LOG_BY_CLIENT);
		break;
	case -EBADMSG:
		tcp_end_untold(&relay->ends, flow, ACCESS_LOG_BAD_HEADER, reason);
		break;
	default:
		finish(relay, flow, access_log_end_of_error(-err),
			err == -ENOMEM ? ACCESS_LOG_BY_GATEWAY : ACCESS_LOG_BY_CLIENT);
	}
}

static void await_header(struct tcp_relay *relay, struct flow *flow)
{
	flow->state = FLOW_HEADER;
	loop_timer_set(relay->loop, &flow->timer,
		relay->loop->now_ms + flow->listener->accept_proxy.timeout_ms);
}

static void on_header_event(struct tcp_relay *relay, struct flow *flow, uint32_t events)
{
	struct stream_end *end = &flow->side[FLOW_CLIENT].end;
	int error = events & EPOLLERR ? tcp_connect_take_error(end->fd) : 0;

	if (error)
		finish(relay, flow, access_log_end_of_error(error), ACCESS_LOG_BY_CLIENT);
	else if (end->readable)
		read_header(relay, flow);
}

/* ---- events ---- */

static void on_connecting(
	struct tcp_relay *relay, struct flow *flow, enum flow_side_id id, uint32_t events)
{
	int error = events & EPOLLERR ? tcp_connect_take_error(flow->side[id].end.fd) : 0;

	/* Its bytes, and its end, are noted and wait: edge-triggered events come only once. */
	if (id == FLOW_CLIENT) {
		if (error)
			finish(relay, flow, access_log_end_of_error(error), ACCESS_LOG_BY_CLIENT);
		return;
	}
	if (error) {
		attempt_failed(relay, flow, error);
		return;
	}
	/* Writable for the first time is how connect(2) tells that it went well. */
	if (!(events & EPOLLOUT))
		return;
	flow_backend_answered(relay->flows, flow);
	if (tcp_hold_has(flow)) {
		flow->state = FLOW_WAITING;
		loop_timer_set(relay->loop, &flow->timer, relay->loop->now_ms + TCP_HOLD_CLAIM_MS);
		tcp_hold_let_in(&relay->hold, flow);
		return;
	}
	flow_open(relay, flow);
}

/* The backend may speak, and end, before the client is there; only a reset is the end. */
static void on_waiting(struct tcp_relay *relay, struct flow *flow, uint32_t events)
{
	int error = events & EPOLLERR ? tcp_connect_take_error(flow->side[FLOW_BACKEND].end.fd) : 0;

	if (error)
		finish(relay, flow, access_log_end_of_error(error), ACCESS_LOG_BY_BACKEND);
}

static void on_side_event(struct flow *flow, enum flow_side_id id, uint32_t events)
{
	struct tcp_relay *relay = flow->owner;
	int error;

	if (flow->state == FLOW_DEAD)
		return;
	stream_note_events(&flow->side[id].end, events);
	if (flow->state == FLOW_HEADER) {
		on_header_event(relay, flow, events);
		return;
	}
	if (flow->state == FLOW_CONNECTING) {
		on_connecting(relay, flow, id, events);
		return;
	}
	if (flow->state == FLOW_WAITING) {
		on_waiting(relay, flow, events);
		return;
	}
	if (flow->state == FLOW_RELAYING && (events & EPOLLERR)) {
		error = tcp_connect_take_error(flow->side[id].end.fd);
		if (error) {
			tcp_pass_side_failed(
				&relay->pass, flow, id, access_log_end_of_error(error));
			return;
		}
	}
	tcp_pass_serve(&relay->pass, flow);
}

static void on_client_event(struct loop_source *source, uint32_t events)
{
	on_side_event(
		list_entry(source, struct flow, side[FLOW_CLIENT].source), FLOW_CLIENT, events);
}

static void on_backend_event(struct loop_source *source, uint32_t events)
{
	on_side_event(
		list_entry(source, struct flow, side[FLOW_BACKEND].source), FLOW_BACKEND, events);
}

/* ---- deadlines ---- */

static void connecting_due(struct tcp_relay *relay, struct flow *flow)
{
	uint64_t due = tcp_connect_attempt_deadline(flow);

	if (relay->loop->now_ms >= due)
		attempt_failed(relay, flow, ETIMEDOUT);
	else
		loop_timer_set(relay->loop, &flow->timer, due);
}

static void on_due(struct timer *timer)
{
	struct flow *flow = list_entry(timer, struct flow, timer);
	struct tcp_relay *relay = flow->owner;

	switch ((enum flow_state)flow->state) {
	case FLOW_HEADER:
		tcp_end_untold(&relay->ends, flow, ACCESS_LOG_HEADER_TIMEOUT,
			"it did not say in time who its client is");
		break;
	case FLOW_CONNECTING:
		connecting_due(relay, flow);
		break;
	case FLOW_WAITING:
		finish(relay, flow, ACCESS_LOG_UNCLAIMED, ACCESS_LOG_BY_CLIENT);
		break;
	case FLOW_RELAYING:
	case FLOW_RESETTING:
		tcp_pass_due(&relay->pass, flow);
		break;
	case FLOW_DEAD:
		assert(flow->state != FLOW_DEAD); /* a dead flow has no timer */
	}
}

/* ---- the start of a flow ---- */

static void begin(
	struct tcp_relay *relay, struct flow *flow, const struct admission_listener *listener)
{
	if (listener->contested && !bind_is_meant(relay->config, listener->bind, &flow->local))
		tcp_end_refused(&relay->ends, flow, ACCESS_LOG_NOT_ALLOWED,
			"no listener is there, or another one");
	else if (tcp_told_is_due(flow))
		await_header(relay, flow);
	else
		choose_backend(relay, flow);
}

/* As far as it is known without a client. */
static void init_flow(struct tcp_relay *relay, struct flow *flow, const struct config_bind *bind,
	const struct sockaddr_any *client, int backend_fd)
{
	flow->side[FLOW_BACKEND].end.fd = backend_fd;
	flow->side[FLOW_BACKEND].source.on_event = on_backend_event;
	timer_init(&flow->timer, on_due);
	flow->owner = relay;
	flow->bind = bind;
	flow->client = *client;
	set_identity(flow);
	flow->accepted_us = clock_monotonic_us();
}

static int add_client(struct tcp_relay *relay, struct flow *flow, int client_fd)
{
	struct flow_side *side = &flow->side[FLOW_CLIENT];

	side->end.fd = client_fd;
	side->source.on_event = on_client_event;
	return loop_add(relay->loop, client_fd, EVENTS, &side->source);
}

/* ---- clients that are not there yet ---- */

/* The holder asks for a client (a tcp_hold_begin). */
static void begin_waiting(
	void *userdata, const struct hold_ask *ask, const struct hold_map_bind *bind)
{
	struct tcp_relay *relay = userdata;
	struct flow *flow = NULL;
	int fd = -1;

	/* Those who are there come first: at most half of the room is kept for others. */
	if (relay->hold_room > 1 && relay->hold.n < relay->hold_room) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		flow = fd < 0 ? NULL : flow_new(relay->flows, bind->listener);
	}
	if (!flow) {
		if (fd >= 0)
			close(fd);
		tcp_hold_decline(&relay->hold, ask);
		return;
	}
	relay->hold_room--;
	init_flow(relay, flow, bind->bind, &ask->client, fd);
	flow->local = ask->local;
	tcp_hold_add(&relay->hold, flow, ask);
	if (flow->identity == IDENTITY_REFUSE)
		tcp_end_waiting(&relay->ends, flow);
	else
		choose_backend(relay, flow);
}

/* The client of a flow that waits for it; false: there is none. */
static bool join_waiting(struct tcp_relay *relay, const struct admission_listener *listener,
	int client_fd, const struct sockaddr_any *client, int backend_fd)
{
	struct sockaddr_any from = *client, local;
	struct flow *flow = NULL;
	int err;

	if (admission_ends(listener, client_fd, &from, &local) == 0)
		flow = tcp_hold_find(&relay->hold, &from, &local);
	stats_add(relay->stats, flow ? STATS_HOLD_CLAIMED : STATS_HOLD_UNHELD, 1);
	if (!flow)
		return false;
	assert(tcp_hold_has(flow));
	close(backend_fd); /* it has one */
	tcp_hold_remove(&relay->hold, flow);
	err = add_client(relay, flow, client_fd);
	if (err)
		tcp_end_unconnected(&relay->ends, flow, -err);
	else if (tcp_admit_place(&relay->ends, relay->config, flow) && flow->state == FLOW_WAITING)
		flow_open(relay, flow);
	return true;
}

void tcp_relay_set_room(struct tcp_relay *relay, size_t room)
{
	relay->hold_room = relay->hold_ended ? 0 : room;
}

void tcp_relay_stop_holding(struct tcp_relay *relay)
{
	struct list_node *node, *tmp;

	relay->hold_room = 0;
	relay->hold_ended = true;
	list_for_each_safe (node, tmp, &relay->flows->live) {
		struct flow *flow = list_entry(node, struct flow, node);

		if (tcp_hold_has(flow) && flow->state == FLOW_WAITING)
			finish(relay, flow, ACCESS_LOG_DRAINED, ACCESS_LOG_BY_GATEWAY);
		else if (tcp_hold_has(flow))
			tcp_end_waiting(&relay->ends, flow);
	}
}

int tcp_relay_take(void *userdata, const struct admission_listener *listener, int client_fd,
	const struct sockaddr_any *client, int backend_fd)
{
	struct tcp_relay *relay = userdata;
	struct flow *flow;
	int err;

	if (listener->config->after_backend &&
		join_waiting(relay, listener, client_fd, client, backend_fd))
		return 0;
	flow = flow_new(relay->flows, listener->config);
	if (!flow) { /* no memory: admission knows the limit of flows */
		close(client_fd);
		close(backend_fd);
		stats_add(relay->stats, STATS_ENDED_ERROR, 1);
		return -ENOMEM;
	}
	init_flow(relay, flow, listener->bind, client, backend_fd);
	err = add_client(relay, flow, client_fd);
	if (!err)
		err = admission_ends(listener, client_fd, &flow->client, &flow->local);
	if (err)
		tcp_end_unconnected(&relay->ends, flow, -err);
	else
		begin(relay, flow, listener);
	return 0;
}

/* ---- from process to process ---- */

void tcp_relay_release(struct tcp_relay *relay, struct flow *flow)
{
	assert(flow->state == FLOW_RELAYING);
	for (int i = 0; i < FLOW_SIDES; i++) {
		struct flow_side *side = &flow->side[i];

		/* The other process's copy keeps the socket open, and with it the watch. */
		loop_remove(relay->loop, side->end.fd);
		close(side->end.fd);
		side->end.fd = -1;
		stream_drop(&relay->streams, &side->stream);
	}
	flow_discard(relay->flows, flow);
}

/* The flow is the relay's. */
static void attach(struct tcp_relay *relay, struct flow *flow)
{
	flow->side[FLOW_CLIENT].source.on_event = on_client_event;
	flow->side[FLOW_BACKEND].source.on_event = on_backend_event;
	timer_init(&flow->timer, on_due);
	flow->owner = relay;
}

void tcp_relay_abort(struct tcp_relay *relay, struct flow *flow)
{
	attach(relay, flow);
	finish(relay, flow, ACCESS_LOG_ERROR, ACCESS_LOG_BY_GATEWAY);
}

int tcp_relay_resume(struct tcp_relay *relay, struct flow *flow)
{
	int err = 0;

	attach(relay, flow);
	tcp_pass_begin(&relay->pass, flow);
	/* Whatever each socket is ready for is told at once, as it is new to this loop. */
	for (int i = 0; i < FLOW_SIDES && !err; i++)
		err = loop_add(relay->loop, flow->side[i].end.fd, EVENTS, &flow->side[i].source);
	if (err)
		finish(relay, flow, ACCESS_LOG_ERROR, ACCESS_LOG_BY_GATEWAY);
	return err;
}

/* ---- the relay as a whole ---- */

void tcp_relay_turns(struct tcp_relay *relay)
{
	tcp_pass_turns(&relay->pass);
	tcp_hold_flush(&relay->hold);
}

bool tcp_relay_busy(const struct tcp_relay *relay)
{
	return tcp_pass_busy(&relay->pass);
}

void tcp_relay_end_all(struct tcp_relay *relay)
{
	struct list_node *node, *tmp;

	list_for_each_safe (node, tmp, &relay->flows->live) {
		struct flow *flow = list_entry(node, struct flow, node);

		if (!flow_is_session(flow))
			finish(relay, flow, ACCESS_LOG_DRAINED, ACCESS_LOG_BY_GATEWAY);
	}
}

int tcp_relay_init(struct tcp_relay *relay, struct loop *loop, const struct config *config,
	struct target_set *targets, struct flow_table *flows, const struct tcp_relay_limits *limits,
	const struct tcp_hold_setup *hold)
{
	struct stats *stats = flows->stats;
	int err;

	*relay = (struct tcp_relay){
		.loop = loop,
		.config = config,
		.stats = stats,
		.targets = targets,
		.flows = flows,
	};
	relay->ends = (struct tcp_end){
		.loop = loop,
		.flows = flows,
		.streams = &relay->streams,
		.hold = &relay->hold,
	};
	tcp_pass_init(&relay->pass, loop, stats, &relay->streams, &relay->ends);
	err = stream_pool_init(&relay->streams, limits->buffers, limits->pipes, stats);
	if (err)
		return err;
	err = tcp_hold_init(&relay->hold, hold, begin_waiting, relay);
	if (err)
		stream_pool_destroy(&relay->streams);
	return err;
}

void tcp_relay_destroy(struct tcp_relay *relay)
{
	tcp_relay_stop_holding(relay);
	tcp_relay_end_all(relay);
	tcp_hold_destroy(&relay->hold);
	stream_pool_destroy(&relay->streams);
}
