#include "udp_session.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind.h"
#include "clock.h"
#include "flow_header.h"

/*
 * Theory of operation
 *
 *  (first datagram) ──limits, server, port──► FLOW_RELAYING ──silence, eviction──► FLOW_DEAD
 *
 * A session is "fresh" until its client goes on after the server has answered; then it is
 * "confirmed". A forged source cannot get there without seeing the answers. When there is no room
 * and when-full is drop-idle, the oldest fresh session makes room, and only if there is none the
 * longest idle confirmed one: so a flood of forged sources displaces itself, not those who talk.
 * A confirmed session moves to the end of its list at most once in MOVE_MS, so the order is as
 * exact as that.
 *
 * The source port comes from a pool of ports that have rested (port_pool.h), never from the kernel:
 * otherwise a late answer to an ended session could reach the client of a new one. Between bind()
 * and connect() a socket takes datagrams from anybody; the relay therefore looks at each one's
 * sender.
 *
 * flow->timer is not moved when datagrams move: when it fires, the true deadline is worked out.
 *
 * What a datagram has to pass to begin one, in this order, the cheap and the likely first, so that
 * a flood costs as little as it can: the lists, a port that has rested, the limits, the memory for
 * a flow; only then are a socket made and a server chosen. What fails later gives back what was
 * taken before, through udp_session_end(), as the flow is whole from take_flow() on.
 *
 * A socket for each session is what makes answers belong to a client without a look at them: the
 * kernel sorts them by port. One socket for all with a table of our own would need ids in the
 * payload, which servers do not send back.
 */
#define MOVE_MS	      1000U
#define DRAIN_IDLE_MS 1000U
/* Ports to try where other programs hold some. */
#define PORT_TRIES 64

/* ---- the end ---- */

/* Silence for so long is the end; "unanswered" is never longer than "idle", whatever is written. */
static uint64_t deadline(const struct udp_sessions *sessions, const struct flow *flow)
{
	const struct config_timeouts *timeouts = &flow->listener->timeouts;
	uint32_t ms = flow->session.answered ? timeouts->idle_ms : timeouts->unanswered_ms;

	if (ms > timeouts->idle_ms)
		ms = timeouts->idle_ms;
	if (sessions->draining && ms > DRAIN_IDLE_MS)
		ms = DRAIN_IDLE_MS;
	return flow->active_ms + ms;
}

/* Nobody finds it any more; what the kernel dropped on its socket is counted, as it goes with it.
 */
static void forget(struct udp_sessions *sessions, struct flow *flow)
{
	struct flow_session *session = &flow->session;

	if (session->fd >= 0) {
		stats_add(sessions->stats, STATS_DROPPED_QUEUE, udp_batch_drops(session->fd));
		close(session->fd);
		session->fd = -1;
	}
	session_table_remove(flow);
	list_remove(&session->by_idle);
}

void udp_session_end(struct udp_sessions *sessions, struct flow *flow, enum access_log_end end,
	enum access_log_by by)
{
	forget(sessions, flow);
	if (sockaddr_port(&flow->source) != 0 && flow->session.port_pool < sessions->n_ports)
		port_pool_give(&sessions->ports[flow->session.port_pool],
			sockaddr_port(&flow->source), sessions->loop->now_ms);
	flow_end(sessions->flows, flow, end, by);
}

/* Its port is not given back, as it is in use over there: in our shared memory it stays so. */
void udp_session_release(struct udp_sessions *sessions, struct flow *flow)
{
	/* The other process's copy keeps the socket open, and with it the watch. */
	loop_remove(sessions->loop, flow->session.fd);
	forget(sessions, flow);
	flow_discard(sessions->flows, flow);
}

static void on_due(struct timer *timer)
{
	struct flow *flow = list_entry(timer, struct flow, timer);
	struct udp_sessions *sessions = flow->owner;
	uint64_t due = deadline(sessions, flow);

	if (sessions->loop->now_ms < due)
		loop_timer_set(sessions->loop, &flow->timer, due);
	else
		udp_session_end(sessions, flow,
			sessions->draining	 ? ACCESS_LOG_DRAINED
			: flow->session.answered ? ACCESS_LOG_IDLE_TIMEOUT
						 : ACCESS_LOG_UNANSWERED,
			ACCESS_LOG_BY_GATEWAY);
}

/* Ends the session that is missed least. False: this worker has none. */
static bool evict(struct udp_sessions *sessions, struct udp_listener *listener)
{
	struct list_node *node =
		list_empty(&listener->fresh) ? listener->confirmed.next : listener->fresh.next;

	if (node == &listener->confirmed)
		return false;
	udp_session_end(sessions, list_entry(node, struct flow, session.by_idle),
		ACCESS_LOG_EVICTED, ACCESS_LOG_BY_GATEWAY);
	/* Its memory counts until it is freed; nobody else refers to it but events of this batch.
	 */
	return true;
}

/* ---- the beginning ---- */

static void drop(struct udp_sessions *sessions, const struct udp_listener *listener,
	const struct udp_message *message, enum stats_counter counter, const char *reason)
{
	char client[SOCKADDR_TEXT_MAX];
	unsigned suppressed = 0;

	stats_add(sessions->stats, counter, udp_message_datagrams(message));
	if (log_allowed(&sessions->log, sessions->loop->now_ms, &suppressed))
		log_warning("listener %s: datagram of client %s dropped: %s (%u more like this)",
			listener->config->name, sockaddr_format(&message->peer, client), reason,
			suppressed);
}

/* Whether the lists let the client in. */
static bool is_let_in(struct udp_sessions *sessions, const struct udp_listener *listener,
	const struct udp_message *message)
{
	switch (client_lists_judge(sessions->flows->lists, listener->index, &message->peer)) {
	case CLIENT_LISTS_DENIED:
		drop(sessions, listener, message, STATS_DROPPED_DENIED,
			"the listener's lists do not let it in (clients)");
		return false;
	case CLIENT_LISTS_BANNED:
		drop(sessions, listener, message, STATS_DROPPED_BANNED, "it is banned");
		return false;
	case CLIENT_LISTS_ALLOWED:
		break;
	}
	return true;
}

/* A place within the listener's limits. */
static bool take_place(struct udp_sessions *sessions, struct udp_listener *listener,
	const struct udp_message *message, struct client_place *ret_place)
{
	static const struct {
		enum stats_counter counter;
		const char *reason;
	} refusals[] = {
		[CLIENT_LISTENER_FULL] = { STATS_DROPPED_FULL,
			"the listener has all the sessions that it may: raise sessions max" },
		[CLIENT_FULL] = { STATS_DROPPED_CLIENT_FULL,
			"this client has all the sessions that it may (sessions per-client)" },
		[CLIENT_LISTENER_RATE] = { STATS_DROPPED_RATE,
			"too many new sessions at once (sessions rate)" },
		[CLIENT_RATE] = { STATS_DROPPED_CLIENT_RATE,
			"too many new sessions of this client at once (sessions rate-per-client)" },
		[CLIENT_ADDRESS_FULL] = { STATS_DROPPED_ADDRESS_FULL,
			"this address has all the sessions that it may (sessions per-address)" },
		[CLIENT_ADDRESS_RATE] = { STATS_DROPPED_ADDRESS_RATE,
			"too many new sessions of this address at once (sessions "
			"rate-per-address)" },
	};
	struct flow_table *flows = sessions->flows;
	enum client_verdict verdict;

	for (;;) {
		verdict = client_limits_take(flows->limits, flows->worker, listener->index,
			&listener->config->limits, &message->peer, sessions->loop->now_us,
			ret_place);
		if (verdict == CLIENT_OK)
			break;
		if (verdict != CLIENT_LISTENER_FULL || listener->config->limits.refuse_when_full ||
			!evict(sessions, listener))
			break;
	}
	if (verdict == CLIENT_OK) {
		stats_add(sessions->stats, STATS_LIMIT_UNTRACKED, ret_place->untracked);
		return true;
	}
	drop(sessions, listener, message, refusals[verdict].counter, refusals[verdict].reason);
	return false;
}

static bool has_descriptor(const struct udp_sessions *sessions)
{
	return flow_table_descriptors(sessions->flows) < sessions->descriptors &&
	       flow_table_live(sessions->flows) < sessions->flows->slab.limit;
}

static struct flow *take_flow(struct udp_sessions *sessions, struct udp_listener *listener,
	const struct udp_message *message)
{
	struct flow *flow = NULL;

	/* The dead are freed between batches of events only: a second try would not help. */
	if (!has_descriptor(sessions) && !listener->config->limits.refuse_when_full)
		(void)evict(sessions, listener);
	if (has_descriptor(sessions))
		flow = flow_new(sessions->flows, listener->config);
	if (!flow)
		drop(sessions, listener, message, STATS_DROPPED_FULL,
			"this worker has all the flows that it may: raise max-flows or the limit "
			"of open files");
	return flow;
}

/*
 * IP_PMTUDISC_DO: the kernel refuses what does not fit (EMSGSIZE), so that the client can be told.
 * IP_PMTUDISC_DONT: it cuts whatever it gets, and sets no DF, so routers may cut as well.
 */
static int set_discovery(int fd, const struct config_listener *config)
{
	int discovery =
		config->oversize == CONFIG_OVERSIZE_TOO_BIG ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT;

	return setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &discovery, sizeof(discovery)) < 0
		       ? -errno
		       : 0;
}

/* Binds to a port that has rested; those that somebody else holds are passed over. */
static int bind_port(
	struct udp_sessions *sessions, struct flow *flow, const struct sockaddr_any *source)
{
	size_t index = udp_ports_find(sessions->shared_ports, source);
	struct port_pool *pool = &sessions->ports[index];
	struct sockaddr_any addr = { .in = { .sin_family = AF_INET } };

	if (source)
		addr = *source;
	for (int tries = 0; tries < PORT_TRIES; tries++) {
		uint16_t port;
		int err = port_pool_take(pool, sessions->loop->now_ms, &port);

		if (err)
			return err;
		sockaddr_set_port(&addr, port);
		if (bind(flow->session.fd, &addr.sa, sockaddr_len(&addr)) == 0) {
			flow->session.port_pool = (uint16_t)index;
			flow->source = addr;
			return 0;
		}
		err = -errno;
		port_pool_give(pool, port, sessions->loop->now_ms);
		if (err != -EADDRINUSE)
			return err;
	}
	return -EADDRNOTAVAIL;
}

static int open_socket(
	struct udp_sessions *sessions, struct flow *flow, const struct sockaddr_any *source)
{
	struct flow_session *session = &flow->session;
	socklen_t len = sizeof(flow->source);
	int err;

	session->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (session->fd < 0)
		return -errno;
	err = udp_batch_prepare_server(session->fd);
	if (!err)
		err = set_discovery(session->fd, flow->listener);
	if (!err)
		err = bind_port(sessions, flow, source);
	if (!err && connect(session->fd, &flow->backend.sa, sockaddr_len(&flow->backend)) < 0)
		err = -errno;
	if (!err && getsockname(session->fd, &flow->source.sa, &len) < 0)
		err = -errno;
	/* It would answer itself. */
	if (!err && sockaddr_equal(&flow->source, &flow->backend))
		err = -ECONNREFUSED;
	if (!err)
		err = loop_add(sessions->loop, session->fd, EPOLLIN, &session->source);
	return err;
}

/* From one source address after the other until one has a free port. */
static int open_somewhere(struct udp_sessions *sessions, struct flow *flow)
{
	struct pool *pool = flow->pool;
	size_t tries = pool && pool->config->n_sources ? pool->config->n_sources : 1;
	int err;

	do {
		err = open_socket(sessions, flow, pool ? pool_source(pool) : NULL);
		if (err == -EADDRNOTAVAIL && sockaddr_port(&flow->source) == 0 &&
			flow->session.fd >= 0) {
			close(flow->session.fd);
			flow->session.fd = -1;
		} else {
			break;
		}
	} while (--tries > 0);
	return err;
}

static const char pool_full[] = "the pool has all the sessions that it may (max-connections)";
static const char backends_full[] =
	"the pool's servers have all the sessions that they may (max-connections)";
static const char no_port[] = "no source port is free and has rested: add a source";

/* How it ended before it began. */
static void fail(struct udp_sessions *sessions, struct udp_listener *listener, struct flow *flow,
	const struct udp_message *message, int err)
{
	enum access_log_end end = ACCESS_LOG_ERROR;
	enum stats_counter counter = STATS_DROPPED_REFUSED;

	switch (err) {
	case -EADDRNOTAVAIL:
		end = ACCESS_LOG_NO_SOURCE_PORT;
		counter = STATS_DROPPED_PORTS;
		break;
	case -ENOENT:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
		end = ACCESS_LOG_UNREACHABLE;
		break;
	case -ECONNREFUSED:
		end = ACCESS_LOG_REFUSED;
		break;
	case -EBUSY:
		end = ACCESS_LOG_OVER_LIMIT;
		counter = STATS_DROPPED_POOL_FULL;
		break;
	case -EUSERS:
		end = ACCESS_LOG_OVER_LIMIT;
		counter = STATS_DROPPED_BACKENDS_FULL;
		break;
	case -EACCES:
	case -ELOOP:
		end = ACCESS_LOG_NOT_ALLOWED;
		break;
	default:
		break;
	}
	drop(sessions, listener, message, counter,
		err == -EADDRNOTAVAIL ? no_port
		: err == -EBUSY	      ? pool_full
		: err == -EUSERS      ? backends_full
		: err == -EACCES      ? "no server that 'allow' lets through"
		: err == -ENOENT      ? "no backend of the pool is up"
		: err == -ELOOP ? "that is this gateway itself, which 'allow' must name as one "
				  "address"
				: strerror(-err));
	udp_session_end(sessions, flow, end, ACCESS_LOG_BY_GATEWAY);
}

/* The same for all datagrams of the session. */
static int make_header(struct udp_sessions *sessions, struct flow *flow)
{
	static_assert(CONFIG_UDP_HEADER <= UINT8_MAX, "its length fits");
	uint8_t buf[IDENTITY_HEADER_MAX];
	size_t len;
	int err = flow_header_make(sessions->flows, flow, buf, &len);

	if (err || len == 0)
		return err;
	assert(len <= CONFIG_UDP_HEADER);
	flow->session.header = malloc(len);
	if (!flow->session.header)
		return -ENOMEM;
	memcpy(flow->session.header, buf, len);
	flow->session.header_len = (uint8_t)len;
	return 0;
}

/* From what costs nothing to what costs most; the source is only known at the end (who.h). */
static int fill(struct udp_sessions *sessions, struct udp_listener *listener, struct flow *flow)
{
	const struct config_listener *config = listener->config;
	const struct pool_request request = {
		.client = &flow->client,
		.now_ms = sessions->loop->now_ms,
	};
	struct target target;
	int err;

	if (listener->contested && !bind_is_meant(sessions->config, listener->bind, &flow->local))
		return -EACCES;
	err = make_header(sessions, flow);
	if (err)
		return err;
	err = target_set_pick(
		sessions->targets, config, listener->bind, &flow->local, &request, &target);
	if (err)
		return err;
	flow->backend = target.addr;
	flow_set_backend(flow, target.pool, target.backend);
	err = open_somewhere(sessions, flow);
	if (!err)
		flow_set_out(sessions->flows, flow);
	return err;
}

/* Looked at first: a flood meets this limit sooner than any other. */
static bool has_port(const struct udp_sessions *sessions, const struct config_listener *config)
{
	const struct config_pool *pool =
		config->embedded ? NULL : &sessions->config->pools[config->pool];

	for (size_t i = 0; pool && i < pool->n_sources; i++)
		if (port_pool_is_ready(&sessions->ports[udp_ports_find(
					       sessions->shared_ports, &pool->sources[i])],
			    sessions->loop->now_ms))
			return true;
	return (!pool || pool->n_sources == 0) &&
	       port_pool_is_ready(&sessions->ports[0], sessions->loop->now_ms);
}

static struct flow *begin(struct udp_sessions *sessions, struct udp_listener *listener,
	const struct udp_message *message, const struct sockaddr_any *local, bool *ret_refused)
{
	struct flow *flow;
	struct client_place place;
	int err;

	if (!is_let_in(sessions, listener, message))
		return NULL;
	if (!has_port(sessions, listener->config)) {
		drop(sessions, listener, message, STATS_DROPPED_PORTS, no_port);
		return NULL;
	}
	if (!take_place(sessions, listener, message, &place))
		return NULL;
	flow = take_flow(sessions, listener, message);
	if (!flow) {
		client_limits_give(sessions->flows->limits, sessions->flows->worker, &place);
		return NULL;
	}
	stats_add(sessions->stats, STATS_ACCEPTED, 1);
	measures_accepted(&sessions->flows->measures, listener->config);
	timer_init(&flow->timer, on_due);
	flow->owner = sessions;
	flow->client = message->peer;
	flow->local = *local;
	flow->identity = (uint8_t)listener->config->identity;
	flow->accepted_us = clock_monotonic_us();
	flow->active_ms = sessions->loop->now_ms;
	flow->state = FLOW_RELAYING;
	flow->place = place;
	flow->session.at = listener;
	flow->session.source.on_event = sessions->on_event;
	session_table_add(&sessions->table, flow);
	list_append(&listener->fresh, &flow->session.by_idle);
	err = fill(sessions, listener, flow);
	if (err) {
		*ret_refused = err != -EADDRNOTAVAIL;
		fail(sessions, listener, flow, message, err);
		return NULL;
	}
	loop_timer_set(sessions->loop, &flow->timer, deadline(sessions, flow));
	return flow;
}

/* The port that it has brought along is not to be given to another. */
static void keep_port(struct udp_sessions *sessions, struct flow *flow)
{
	bool chosen = flow->pool && flow->pool->config->n_sources > 0;
	struct sockaddr_any addr = flow->source;
	uint16_t port = sockaddr_port(&flow->source);
	size_t index;

	sockaddr_set_port(&addr, 0);
	index = udp_ports_find(sessions->shared_ports, chosen ? &addr : NULL);
	flow->session.port_pool = UDP_SESSION_NO_POOL;
	/* Under another configuration two ports of two addresses may come to be of one pool. */
	if (index < sessions->n_ports && port_pool_has(&sessions->ports[index], port) &&
		port_pool_claim(&sessions->ports[index], port))
		flow->session.port_pool = (uint16_t)index;
}

void udp_session_abort(struct udp_sessions *sessions, struct flow *flow)
{
	close(flow->session.fd);
	flow->session.fd = -1;
	timer_init(&flow->timer, on_due);
	flow_end(sessions->flows, flow, ACCESS_LOG_ERROR, ACCESS_LOG_BY_GATEWAY);
}

int udp_session_resume(
	struct udp_sessions *sessions, struct udp_listener *listener, struct flow *flow)
{
	int err;

	timer_init(&flow->timer, on_due);
	flow->owner = sessions;
	flow->state = FLOW_RELAYING;
	flow->session.at = listener;
	flow->session.source.on_event = sessions->on_event;
	flow->session.moved_ms = sessions->loop->now_ms;
	flow_keep_place(sessions->flows, flow, listener->index);
	keep_port(sessions, flow);
	session_table_add(&sessions->table, flow);
	list_append(flow->session.confirmed ? &listener->confirmed : &listener->fresh,
		&flow->session.by_idle);
	err = loop_add(sessions->loop, flow->session.fd, EPOLLIN, &flow->session.source);
	if (err)
		udp_session_end(sessions, flow, ACCESS_LOG_ERROR, ACCESS_LOG_BY_GATEWAY);
	else
		loop_timer_set(sessions->loop, &flow->timer, deadline(sessions, flow));
	return err;
}

static bool is_nobody(const struct sockaddr_any *peer)
{
	if (sockaddr_family(peer) == AF_INET)
		return peer->in.sin_addr.s_addr == INADDR_ANY;
	return IN6_IS_ADDR_UNSPECIFIED(&peer->in6.sin6_addr);
}

/*
 * Whether an answer would come back to a listener of ours as the next question, and so go round for
 * ever: a forged datagram would be enough to begin that. The kernel lets none in from an IPv4
 * address of its own (a martian), so of such only the one that it was sent to is looked at.
 */
static bool would_go_round(const struct udp_sessions *sessions, const struct udp_message *message)
{
	const struct sockaddr_any *peer = &message->peer;
	struct sockaddr_any local = message->local;

	if (bind_listens(sessions->config, IPPROTO_UDP, peer, false))
		return true;
	/* The port first: it is the kernel who is asked whose address that is. */
	if (!bind_listens(sessions->config, IPPROTO_UDP, peer, true))
		return false;
	sockaddr_set_port(&local, sockaddr_port(peer));
	return sockaddr_equal(&local, peer) ||
	       (sockaddr_family(peer) == AF_INET6 && own_address_is(&sessions->own, peer));
}

/* Whether an answer could reach the sender, and leave from where the datagram was sent to. */
static bool is_answerable(const struct udp_message *message)
{
	const struct sockaddr_any *local = &message->local;

	if (sockaddr_port(&message->peer) == 0 || is_nobody(&message->peer) ||
		sockaddr_family(local) != sockaddr_family(&message->peer))
		return false;
	if (sockaddr_family(local) == AF_INET)
		return !IN_MULTICAST(ntohl(local->in.sin_addr.s_addr)) &&
		       local->in.sin_addr.s_addr != INADDR_BROADCAST;
	return !IN6_IS_ADDR_MULTICAST(&local->in6.sin6_addr);
}

struct flow *udp_session_find(const struct udp_sessions *sessions,
	const struct udp_listener *listener, const struct udp_message *message)
{
	struct sockaddr_any local = message->local;

	if (!is_answerable(message))
		return NULL;
	sockaddr_set_port(&local, sockaddr_port(&listener->bind->addr));
	return session_table_find(&sessions->table, &message->peer, &local);
}

struct flow *udp_session_begin(struct udp_sessions *sessions, struct udp_listener *listener,
	const struct udp_message *message, bool *ret_refused)
{
	struct sockaddr_any local = message->local;

	*ret_refused = false;
	if (!is_answerable(message)) {
		drop(sessions, listener, message, STATS_DROPPED_INVALID,
			"its sender or its destination is no single address");
		return NULL;
	}
	if (would_go_round(sessions, message)) {
		drop(sessions, listener, message, STATS_DROPPED_INVALID,
			"its sender is where a listener of this gateway is, and the answer would "
			"come back as a question");
		return NULL;
	}
	sockaddr_set_port(&local, sockaddr_port(&listener->bind->addr));
	if (sessions->draining || drain_state_refuses(sessions->flows->drains, listener->index,
					  sessions->loop->now_ms)) {
		stats_add(sessions->stats, STATS_DROPPED_DRAINING, udp_message_datagrams(message));
		*ret_refused = true;
		return NULL;
	}
	return begin(sessions, listener, message, &local, ret_refused);
}

/* ---- life ---- */

void udp_session_sent(struct udp_sessions *sessions, struct flow *flow)
{
	struct flow_session *session = &flow->session;
	uint64_t now_ms = sessions->loop->now_ms;
	struct udp_listener *listener;

	flow->active_ms = now_ms;
	/* Fresh ones are not moved, so that the first of them is the oldest, and not the idlest. */
	if (!session->answered || (session->confirmed && now_ms < session->moved_ms + MOVE_MS))
		return;
	listener = session->at;
	session->confirmed = true;
	session->moved_ms = now_ms;
	list_remove(&session->by_idle);
	list_append(&listener->confirmed, &session->by_idle);
}

void udp_session_refused(struct udp_sessions *sessions, struct flow *flow)
{
	flow_backend_failed(sessions->flows, flow, ECONNREFUSED);
	udp_session_end(sessions, flow, ACCESS_LOG_REFUSED, ACCESS_LOG_BY_BACKEND);
}

void udp_session_answered(struct udp_sessions *sessions, struct flow *flow)
{
	flow->active_ms = sessions->loop->now_ms;
	if (flow->session.answered)
		return;
	flow->session.answered = true;
	flow_backend_answered(sessions->flows, flow);
}

/* ---- all of them ---- */

static void end_all(struct udp_sessions *sessions)
{
	struct list_node *node, *tmp;

	list_for_each_safe (node, tmp, &sessions->flows->live) {
		struct flow *flow = list_entry(node, struct flow, node);

		if (flow_is_session(flow))
			udp_session_end(sessions, flow, ACCESS_LOG_DRAINED, ACCESS_LOG_BY_GATEWAY);
	}
}

/* Deadlines have become nearer: timers that were set before would find that out too late. */
void udp_sessions_drain(struct udp_sessions *sessions)
{
	struct list_node *node, *tmp;

	sessions->draining = true;
	list_for_each_safe (node, tmp, &sessions->flows->live) {
		struct flow *flow = list_entry(node, struct flow, node);

		if (flow_is_session(flow))
			loop_timer_set(sessions->loop, &flow->timer, deadline(sessions, flow));
	}
}

int udp_sessions_init(struct udp_sessions *sessions)
{
	size_t n = udp_ports_sources(sessions->shared_ports);
	int err = session_table_init(&sessions->table, sessions->flows->slab.limit);

	if (err)
		return err;
	(void)own_address_open(&sessions->own, AF_INET6); /* there may be no IPv6 */
	sessions->ports = calloc(n, sizeof(*sessions->ports));
	if (!sessions->ports)
		err = -ENOMEM;
	while (!err && sessions->n_ports < n) {
		err = udp_ports_open(sessions->shared_ports, sessions->worker, sessions->n_ports,
			sessions->loop->now_ms, &sessions->ports[sessions->n_ports]);
		sessions->n_ports += !err;
	}
	if (err)
		udp_sessions_destroy(sessions);
	return err;
}

void udp_sessions_destroy(struct udp_sessions *sessions)
{
	if (sessions->flows)
		end_all(sessions);
	for (size_t i = 0; i < sessions->n_ports; i++)
		port_pool_destroy(&sessions->ports[i]);
	free(sessions->ports);
	session_table_destroy(&sessions->table);
	own_address_close(&sessions->own);
	sessions->ports = NULL;
	sessions->n_ports = 0;
}
