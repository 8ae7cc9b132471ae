#include "udp_relay.h"

#include <assert.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Theory of operation
 *
 * Towards servers: a batch is read from a listener's socket, and every stretch of it that belongs
 * to one session is sent on that session's socket at once, with the header in front of each
 * datagram. Towards clients: answers are read from the sessions' sockets into one store and sent
 * when the events of a batch have been handled, or when the store is full. Nothing is allocated on
 * the way, but for a session's first datagram.
 *
 * To begin a session costs as much as to pass on dozens of datagrams. So when a batch is full, and
 * more wait in the kernel, datagrams without a session are put aside, as many as there is room for;
 * a few of them have their turn after each batch of events, and all when nothing else waits. Those
 * who talk go first, and a flood that only begins is what is lost.
 *
 * Servers' ICMP errors wait in the error queue of a session's socket (IP_RECVERR) with what they
 * quote: our header and the client's payload, of which the client's own packet is made again. The
 * kernel reports such an error also as the result of the next call, which then has done nothing and
 * is tried once more.
 *
 * All sockets are watched level-triggered: there is nothing to remember of one that was not emptied
 * when others had their turn, and a batch mostly empties it anyway.
 */
#define ROUNDS_MAX	 4 /* batches of one listener before others have their turn */
#define STRETCH_MAX	 UDP_BATCH_RUN_MAX /* so that any message fits */
#define DROPS_PERIOD_MS	 1000U
#define NEWCOMERS_MAX	 512U  /* some 1 MiB */
#define NEWCOMER_BYTES	 2048U /* larger ones are not put aside */
#define NEWCOMERS_A_TURN 8U

/* A datagram, or run, without a session. */
struct udp_newcomer {
	struct udp_listener *listener;
	struct udp_message message;
	uint8_t data[NEWCOMER_BYTES];
};

static struct udp_relay *relay_of(const struct udp_sessions *sessions)
{
	return list_entry(sessions, struct udp_relay, sessions);
}

/* ---- telling clients ---- */

static void tell(struct udp_relay *relay, enum icmp_error_kind kind, uint32_t mtu,
	const struct icmp_error_quote *quote)
{
	icmp_sender_tell(&relay->icmp, kind, mtu, quote, relay->sessions.loop->now_us);
}

static void tell_session(struct udp_relay *relay, const struct flow *flow,
	enum icmp_error_kind kind, uint32_t mtu, const uint8_t *payload, size_t payload_len,
	size_t datagram_len)
{
	const struct icmp_error_quote quote = {
		.client = &flow->client,
		.local = &flow->local,
		.flow_label = flow->session.flow_label,
		.traffic_class = flow->session.traffic_class,
		.hop_limit = flow->session.hop_limit,
		.payload = payload,
		.payload_len = payload_len,
		.datagram_len = datagram_len,
	};

	tell(relay, kind, mtu, &quote);
}

/* Nobody serves this datagram, and there is no session. */
static void tell_refused(struct udp_relay *relay, const struct udp_listener *listener,
	const struct udp_message *message)
{
	struct sockaddr_any local = message->local;
	const struct icmp_error_quote quote = {
		.client = &message->peer,
		.local = &local,
		.flow_label = message->flow_label,
		.traffic_class = message->traffic_class,
		.hop_limit = message->hop_limit,
		.payload = message->data,
		.payload_len = message->segment,
		.datagram_len = message->segment,
	};

	sockaddr_set_port(&local, sockaddr_port(&listener->bind->addr));
	tell(relay, ICMP_ERROR_PORT, 0, &quote);
}

/* ---- servers' errors ---- */

/* The quoted payload without our header, if it begins with that. */
static void tell_quoted(struct udp_relay *relay, struct flow *flow, enum icmp_error_kind kind,
	uint32_t server_mtu, const uint8_t *data, size_t len)
{
	const struct flow_session *session = &flow->session;
	size_t header_len = session->header_len, datagram_len;

	if (header_len > 0 && len >= header_len && memcmp(data, session->header, header_len) == 0) {
		data += header_len;
		len -= header_len;
	} else if (header_len > 0 && flow->identity == IDENTITY_PROXY_V2) {
		len = 0; /* not even all of the header came back */
	}
	datagram_len = len > session->last_len ? len : session->last_len;
	tell_session(relay, flow, kind,
		kind == ICMP_ERROR_TOO_BIG ? icmp_error_mtu(&flow->client, server_mtu, header_len)
					   : 0,
		data, len, datagram_len);
}

static const struct sock_extended_err *find_error(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR)
			return (const struct sock_extended_err *)(const void *)CMSG_DATA(c);
	return NULL;
}

/* Takes one error off the queue. False: there is none. */
static bool take_error(struct udp_relay *relay, struct flow *flow, bool *ret_unreachable)
{
	uint8_t data[2048];
	_Alignas(struct cmsghdr) uint8_t control[256];
	struct iovec iov = { data, sizeof(data) };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(flow->session.fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
	const struct sock_extended_err *error;
	enum icmp_error_kind kind;

	if (n < 0)
		return false;
	error = find_error(&message);
	if (!error || error->ee_origin != SO_EE_ORIGIN_ICMP ||
		icmp_error_of_icmp4(error->ee_type, error->ee_code, &kind) < 0)
		return true;
	if (kind == ICMP_ERROR_TOO_BIG && flow->listener->oversize != CONFIG_OVERSIZE_TOO_BIG)
		return true; /* the kernel has learned the size, and cuts to it from now on */
	tell_quoted(relay, flow, kind, error->ee_info, data, (size_t)n);
	if (kind != ICMP_ERROR_TOO_BIG)
		*ret_unreachable = true;
	return true;
}

/* False: the session has ended, as its server is not there and never was. */
static bool take_errors(struct udp_relay *relay, struct flow *flow)
{
	bool unreachable = false;
	int error = 0;
	socklen_t len = sizeof(error);

	while (take_error(relay, flow, &unreachable))
		continue;
	/* The error is pending as well (ip(7), IP_RECVERR); what is left would fail the next call.
	 */
	(void)getsockopt(flow->session.fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (!unreachable || flow->session.answered)
		return true;
	udp_session_refused(&relay->sessions, flow);
	return false;
}

/* ---- to servers ---- */

/*
 * An IPv6 packet of up to 1280 bytes has a right to arrive: its sender cannot make it smaller (RFC
 * 8200, section 5). So it goes in fragments, whatever the listener says. True: it went.
 */
static bool send_in_fragments(const struct flow *flow, const uint8_t *header, size_t header_len,
	const struct udp_datagram *datagram)
{
	const int fragment = IP_PMTUDISC_DONT, whole = IP_PMTUDISC_DO;
	/* Less the headers of IP and UDP; of IPv4 every link takes 68 bytes (RFC 791). */
	size_t least = sockaddr_family(&flow->client) == AF_INET6 ? 1280 - 48 : 68 - 28;
	int fd = flow->session.fd, error = 0;
	bool sent;

	if (datagram->len > least ||
		setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &fragment, sizeof(fragment)) < 0)
		return false;
	sent = udp_batch_send(fd, header, header_len, datagram, 1, &error) == 1;
	(void)setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &whole, sizeof(whole));
	return sent;
}

/* Counted, and the client is told what would have gone through. */
static void drop_oversize(struct udp_relay *relay, const struct flow *flow, size_t header_len,
	const struct udp_datagram *datagram)
{
	int mtu = 0;
	socklen_t len = sizeof(mtu);

	stats_add(relay->sessions.stats, STATS_DROPPED_OVERSIZE, 1);
	if (flow->listener->oversize == CONFIG_OVERSIZE_FRAGMENT)
		mtu = UINT16_MAX; /* no IPv4 packet is larger, in however many pieces */
	else if (getsockopt(flow->session.fd, IPPROTO_IP, IP_MTU, &mtu, &len) < 0)
		return;
	tell_session(relay, flow, ICMP_ERROR_TOO_BIG,
		icmp_error_mtu(&flow->client, (uint32_t)mtu, header_len), datagram->data,
		datagram->len, datagram->len);
}

static void log_failed(struct udp_relay *relay, const struct flow *flow, int error)
{
	char client[SOCKADDR_TEXT_MAX], backend[SOCKADDR_TEXT_MAX];
	unsigned suppressed = 0;

	if (log_allowed(&relay->failed_log, relay->sessions.loop->now_ms, &suppressed))
		log_warning("listener %s: datagram of client %s dropped: backend %s: %s (%u more "
			    "like this)",
			flow->listener->name, sockaddr_format(&flow->client, client),
			sockaddr_format(&flow->backend, backend), strerror(error), suppressed);
}

/* Of a datagram that the kernel did not take at once. */
enum outcome {
	GONE_ON, /* in fragments */
	RETRY,	 /* the error was of an earlier one; nothing was done */
	DROPPED, /* counted; the next may do better */
	ENDED,	 /* so has the session */
};

/* One datagram was not taken. */
static enum outcome not_taken(struct udp_relay *relay, struct flow *flow, const uint8_t *header,
	size_t header_len, const struct udp_datagram *datagram, int error, bool retried)
{
	if (error == EMSGSIZE) {
		bool sent = flow->listener->oversize == CONFIG_OVERSIZE_TOO_BIG &&
			    send_in_fragments(flow, header, header_len, datagram);

		if (!take_errors(relay, flow)) /* the kernel queues a note of its own */
			return ENDED;
		if (sent)
			return GONE_ON;
		drop_oversize(relay, flow, header_len, datagram);
		return DROPPED;
	}
	if (error != EAGAIN && error != ENOBUFS && !retried)
		return take_errors(relay, flow) ? RETRY : ENDED;
	stats_add(relay->sessions.stats, STATS_DROPPED_SEND, 1);
	log_failed(relay, flow, error);
	return DROPPED;
}

/*
 * Sends datagrams with the same header. False: the session has ended.
 *
 * "retried" is about the datagram that is next: the same error twice, with nothing sent in between,
 * is its own and not that of an earlier one.
 */
static bool send_stretch(struct udp_relay *relay, struct flow *flow, const uint8_t *header,
	size_t header_len, const struct udp_datagram *datagrams, size_t n)
{
	struct flow_session *session = &flow->session;
	bool retried = false;
	size_t done = 0;

	while (done < n) {
		int error = 0;
		size_t sent = udp_batch_send(
			session->fd, header, header_len, datagrams + done, n - done, &error);
		enum outcome outcome;

		for (size_t i = 0; i < sent; i++)
			session->bytes_in += datagrams[done + i].len;
		done += sent;
		session->datagrams_in += sent;
		stats_add(relay->sessions.stats, STATS_DATAGRAMS_IN, sent);
		if (header_len > 0)
			stats_add(relay->sessions.stats, STATS_HEADERS, sent);
		if (sent > 0)
			retried = false;
		if (done == n)
			break;
		outcome = not_taken(
			relay, flow, header, header_len, &datagrams[done], error, retried);
		if (outcome == ENDED) {
			stats_add(relay->sessions.stats, STATS_DROPPED_SEND, n - done);
			return false;
		}
		retried = outcome == RETRY;
		if (outcome == GONE_ON) {
			session->datagrams_in++;
			session->bytes_in += datagrams[done].len;
			stats_add(relay->sessions.stats, STATS_DATAGRAMS_IN, 1);
			stats_add(relay->sessions.stats, STATS_HEADERS, header_len > 0);
		}
		done += outcome != RETRY;
	}
	return true;
}

static void to_server(
	struct udp_relay *relay, struct flow *flow, const struct udp_datagram *datagrams, size_t n)
{
	struct flow_session *session = &flow->session;

	assert(n > 0);
	session->last_len = (uint16_t)datagrams[n - 1].len;
	/* One by one until the first has gone: those before it may have been dropped. */
	while (n > 0 && flow->identity == IDENTITY_PROXY_V2_FIRST && session->datagrams_in == 0) {
		if (!send_stretch(relay, flow, session->header, session->header_len, datagrams, 1))
			return;
		datagrams++;
		n--;
	}
	if (n > 0 && !send_stretch(relay, flow, session->header,
			     flow->identity == IDENTITY_PROXY_V2 ? session->header_len : 0,
			     datagrams, n))
		return;
	udp_session_sent(&relay->sessions, flow);
}

/* Takes the message's datagrams to those that wait; how many there are then. */
static size_t take_apart(
	const struct udp_message *message, struct udp_datagram *datagrams, size_t n)
{
	size_t left = message->len;
	const uint8_t *data = message->data;

	assert(n + udp_message_datagrams(message) <= STRETCH_MAX);
	do {
		size_t len = left < message->segment ? left : message->segment;

		datagrams[n++] = (struct udp_datagram){
			.data = data, .len = len, .traffic_class = message->traffic_class
		};
		data += len;
		left -= len;
	} while (left > 0);
	return n;
}

static bool same_session(const struct udp_message *a, const struct udp_message *b)
{
	return sockaddr_family(&b->local) == sockaddr_family(&a->local) &&
	       sockaddr_equal(&a->peer, &b->peer) && sockaddr_equal(&a->local, &b->local);
}

static void note_packet(struct flow *flow, const struct udp_message *message)
{
	flow->session.flow_label = message->flow_label;
	flow->session.traffic_class = message->traffic_class;
	flow->session.hop_limit = message->hop_limit;
}

/* Begins a session with the message. */
static void welcome(
	struct udp_relay *relay, struct udp_listener *listener, const struct udp_message *message)
{
	struct udp_datagram datagrams[STRETCH_MAX];
	bool refused = false;
	/* One that was put aside may have got its session meanwhile. */
	struct flow *flow = udp_session_find(&relay->sessions, listener, message);
	size_t n;

	if (!flow)
		flow = udp_session_begin(&relay->sessions, listener, message, &refused);
	if (flow) {
		note_packet(flow, message);
		n = take_apart(message, datagrams, 0);
		to_server(relay, flow, datagrams, n);
	} else if (refused) {
		tell_refused(relay, listener, message);
	}
}

static void put_aside(
	struct udp_relay *relay, struct udp_listener *listener, const struct udp_message *message)
{
	struct udp_newcomer *newcomer =
		&relay->newcomers[(relay->newcomers_head + relay->n_newcomers) % NEWCOMERS_MAX];

	assert(relay->n_newcomers <= NEWCOMERS_MAX);
	if (message->len > NEWCOMER_BYTES || relay->n_newcomers == NEWCOMERS_MAX) {
		stats_add(
			relay->sessions.stats, STATS_DROPPED_BUSY, udp_message_datagrams(message));
		return;
	}
	newcomer->listener = listener;
	newcomer->message = *message;
	newcomer->message.data = newcomer->data;
	memcpy(newcomer->data, message->data, message->len);
	relay->n_newcomers++;
}

static void welcome_some(struct udp_relay *relay, size_t n)
{
	for (; n > 0 && relay->n_newcomers > 0; n--) {
		struct udp_newcomer *newcomer = &relay->newcomers[relay->newcomers_head];

		welcome(relay, newcomer->listener, &newcomer->message);
		relay->newcomers_head = (relay->newcomers_head + 1) % NEWCOMERS_MAX;
		relay->n_newcomers--;
	}
}

/* From messages[first] on, all that belong to the same session; where the next one begins. */
static size_t serve_stretch(
	struct udp_relay *relay, struct udp_listener *listener, size_t first, size_t n)
{
	const struct udp_message *messages = relay->in.messages;
	struct udp_datagram datagrams[STRETCH_MAX];
	struct flow *flow = udp_session_find(&relay->sessions, listener, &messages[first]);
	size_t next = first, count = 0;

	if (!flow) {
		if (n == UDP_BATCH_MAX || relay->n_newcomers > 0)
			put_aside(relay, listener, &messages[first]);
		else
			welcome(relay, listener, &messages[first]);
		return first + 1;
	}
	note_packet(flow, &messages[first]);
	do
		count = take_apart(&messages[next++], datagrams, count);
	while (next < n && same_session(&messages[first], &messages[next]) &&
		count + udp_message_datagrams(&messages[next]) <= STRETCH_MAX);
	to_server(relay, flow, datagrams, count);
	return next;
}

static void on_datagrams(struct loop_source *source, uint32_t events)
{
	struct udp_listener *listener = list_entry(source, struct udp_listener, source);
	struct udp_relay *relay = listener->owner;

	(void)events;
	/* Level-triggered: what is left after this comes with the next batch of events. */
	for (int round = 0; round < ROUNDS_MAX; round++) {
		int n = udp_batch_receive(&relay->in, listener->fd, 0, UDP_BATCH_MAX);

		for (size_t i = 0; n > 0 && i < (size_t)n;)
			i = serve_stretch(relay, listener, i, (size_t)n);
		if (n < (int)UDP_BATCH_MAX)
			return;
	}
}

/* ---- to clients ---- */

static void send_answers(struct udp_relay *relay)
{
	struct udp_answers *answers = &relay->answers;

	if (answers->n > 0)
		udp_answers_send(answers);
	stats_add(relay->sessions.stats, STATS_DATAGRAMS_OUT, answers->sent);
	stats_add(relay->sessions.stats, STATS_DROPPED_SEND, answers->failed);
	answers->sent = answers->failed = 0;
	relay->back_used = 0;
}

void udp_relay_turn(struct udp_relay *relay)
{
	welcome_some(relay, NEWCOMERS_A_TURN);
	send_answers(relay);
}

bool udp_relay_busy(const struct udp_relay *relay)
{
	return relay->n_newcomers > 0;
}

static void to_client(struct udp_relay *relay, struct flow *flow, const struct udp_message *message)
{
	const struct udp_listener *listener = flow->session.at;
	size_t n = udp_message_datagrams(message);

	/* Until connect(2) anybody could send to its port, and what came then is still queued. */
	if (!message->whole || !sockaddr_equal(&message->peer, &flow->backend)) {
		stats_add(relay->sessions.stats, STATS_DROPPED_STRANGER, n);
		return;
	}
	flow->session.bytes_out += message->len;
	flow->session.datagrams_out += n;
	udp_session_answered(&relay->sessions, flow);
	udp_answers_add(&relay->answers, listener->fd, sockaddr_family(&listener->bind->addr),
		&flow->local, &flow->client, message);
}

static void on_answers(struct loop_source *source, uint32_t events)
{
	struct flow *flow = list_entry(source, struct flow, session.source);
	struct udp_relay *relay;
	int n;

	if (flow->state == FLOW_DEAD)
		return;
	relay = relay_of(flow->owner);
	if ((events & EPOLLERR) && !take_errors(relay, flow))
		return;
	/* Answers stay where they were read until they are sent, so the store must have room. */
	if (relay->back_used + UDP_ANSWERS_AT_ONCE > UDP_BATCH_MAX)
		send_answers(relay);
	assert(1U + flow->session.ask <= UDP_ANSWERS_AT_ONCE);
	n = udp_batch_receive(
		&relay->back, flow->session.fd, relay->back_used, 1U + flow->session.ask);
	/* To ask for one too many costs a look at an empty queue. */
	if (n <= flow->session.ask)
		flow->session.ask = n > 1 ? (uint8_t)(n - 1) : 0;
	else if (2U * (1U + flow->session.ask) <= UDP_ANSWERS_AT_ONCE)
		flow->session.ask = (uint8_t)(2U * flow->session.ask + 1U);
	for (int i = 0; i < n; i++)
		to_client(relay, flow, &relay->back.messages[relay->back_used + (size_t)i]);
	if (n > 0)
		relay->back_used += (size_t)n;
}

/* ---- the relay as a whole ---- */

/* What the kernel has dropped as we were too slow. */
static void look_at_drops(struct udp_relay *relay)
{
	for (size_t i = 0; i < relay->n_listeners; i++) {
		struct udp_listener *listener = &relay->listeners[i];
		uint32_t drops = udp_batch_drops(listener->fd);
		unsigned suppressed = 0;

		if (drops == listener->drops)
			continue;
		stats_add(relay->sessions.stats, STATS_DROPPED_QUEUE, drops - listener->drops);
		if (log_allowed(&relay->drops_log, relay->sessions.loop->now_ms, &suppressed))
			log_warning("listener %s: the kernel dropped %u datagrams, as they came "
				    "faster than they were read: raise receive-buffer, or add "
				    "workers (%u more like this)",
				listener->config->name, drops - listener->drops, suppressed);
		listener->drops = drops;
	}
}

static void on_drops_due(struct timer *timer)
{
	struct udp_relay *relay = list_entry(timer, struct udp_relay, drops_timer);

	look_at_drops(relay);
	loop_timer_set(relay->sessions.loop, timer, relay->sessions.loop->now_ms + DROPS_PERIOD_MS);
}

void udp_relay_drain(struct udp_relay *relay)
{
	udp_sessions_drain(&relay->sessions);
}

static void set_listeners(struct udp_relay *relay, struct udp_listener *listeners, size_t n)
{
	relay->listeners = listeners;
	for (; relay->n_listeners < n; relay->n_listeners++) {
		struct udp_listener *listener = &listeners[relay->n_listeners];

		listener->source.on_event = on_datagrams;
		listener->owner = relay;
		list_init(&listener->fresh);
		list_init(&listener->confirmed);
		/* What was dropped before us, others have counted. */
		listener->drops = udp_batch_drops(listener->fd);
	}
}

int udp_relay_start(struct udp_relay *relay)
{
	int err = 0;

	for (size_t i = 0; i < relay->n_listeners && !err; i++)
		err = loop_add(relay->sessions.loop, relay->listeners[i].fd, EPOLLIN,
			&relay->listeners[i].source);
	return err;
}

void udp_relay_leave(struct udp_relay *relay)
{
	for (size_t i = 0; i < relay->n_listeners; i++)
		loop_remove(relay->sessions.loop, relay->listeners[i].fd);
	/* They were taken out of the sockets: nobody else can begin their sessions. */
	while (relay->n_newcomers > 0)
		welcome_some(relay, NEWCOMERS_A_TURN);
	send_answers(relay);
}

int udp_relay_init(struct udp_relay *relay, const struct udp_sessions *setup,
	const struct udp_shared *shared, struct udp_listener *listeners, size_t n_listeners)
{
	int err;

	memset(relay, 0, sizeof(*relay));
	relay->sessions = *setup;
	relay->sessions.shared_ports = shared->ports;
	relay->sessions.on_event = on_answers;
	relay->icmp.sockets = shared->icmp;
	relay->icmp.stats = setup->stats;
	timer_init(&relay->drops_timer, on_drops_due);
	err = udp_batch_init(&relay->in);
	if (!err)
		err = udp_batch_init(&relay->back);
	if (!err)
		err = udp_answers_init(&relay->answers);
	relay->newcomers = calloc(NEWCOMERS_MAX, sizeof(*relay->newcomers));
	if (!relay->newcomers)
		err = -ENOMEM;
	if (!err)
		err = udp_sessions_init(&relay->sessions);
	if (!err)
		set_listeners(relay, listeners, n_listeners);
	if (err) {
		udp_relay_destroy(relay);
		return err;
	}
	loop_timer_set(setup->loop, &relay->drops_timer, setup->loop->now_ms + DROPS_PERIOD_MS);
	return 0;
}

void udp_relay_destroy(struct udp_relay *relay)
{
	if (relay->n_listeners > 0) {
		send_answers(relay);
		look_at_drops(relay);
		loop_timer_cancel(relay->sessions.loop, &relay->drops_timer);
	}
	udp_sessions_destroy(&relay->sessions);
	for (size_t i = 0; i < relay->n_listeners; i++)
		close(relay->listeners[i].fd);
	free(relay->newcomers);
	udp_answers_destroy(&relay->answers);
	udp_batch_destroy(&relay->back);
	udp_batch_destroy(&relay->in);
	memset(relay, 0, sizeof(*relay));
}
