#include "handover.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flow_wire.h"
#include "log.h"

/*
 * Theory of operation
 *
 * The giver goes through its flows between batches of events and sends those that are ready, as
 * long as it has credits and the channel takes them; then it lets go of them. Those that are at
 * their beginning or end are looked at again the next time. If the channel is full, or the kernel
 * has too many descriptors under way (ETOOMANYREFS), the rest waits for EPOLLOUT or RETRY_MS.
 *
 * The taker gives credits for what it has room for, CREDITS at most at a time, so that it cannot be
 * sent a flow that it would have to drop. The descriptors of a message are always taken or closed.
 *
 * Datagrams: the giver reads a socket no more, begins what waits to begin, sends its sessions, and
 * says so; only then does the taker read the socket. Meanwhile datagrams wait in it.
 *
 * Should one succession follow the other at once, a worker is both: it passes on what it takes. It
 * has not left the datagrams before those that give to it have.
 *
 *  giver:  GIVING ⇄ waiting ──"6GUD"──► TCP only ──no flow left, or the channel's end──► ended
 *  taker:  TAKING ──"6GUD"──► datagrams are ours ──the channel's end──► ended
 *
 * Why messages and not a stream: a message has its descriptors with it or is not there at all, so
 * there is no half of a flow to be put right. Why credits, when the channel has bounds of its own:
 * what is in the channel has left the giver already, and would be lost if the taker had no room.
 *
 * A send that fails leaves the flow where it was, whatever the error, as it is let go of only after
 * the kernel has taken the message. A giver that dies loses what it has not sent, and its clients
 * see a reset; the taker then reads the datagrams as if it had been told to.
 */
#define CREDITS	     512U
#define TAKE_AT_ONCE 64U
#define RETRY_MS     2U

static const char credit_word[4] = { '6', 'G', 'C', 'R' };
static const char udp_word[4] = { '6', 'G', 'U', 'D' };

/*
 * Room for the descriptors of a flow in a control message. CMSG_SPACE rounds up to whole words:
 * with an odd number there would be room for one more, which nobody would take or close.
 */
static_assert(
	CMSG_SPACE(FLOW_WIRE_FDS_MAX * sizeof(int)) == CMSG_LEN(FLOW_WIRE_FDS_MAX * sizeof(int)),
	"no room for a descriptor too many");

union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(FLOW_WIRE_FDS_MAX * sizeof(int))];
};

/* 0 or a negative errno. */
static int send_message(int fd, const void *data, size_t len, const int *fds, size_t n)
{
	union control control = { 0 };
	struct iovec part = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	assert(n <= FLOW_WIRE_FDS_MAX);
	assert(len > 0 && len <= FLOW_WIRE_MAX);
	if (n > 0) {
		message.msg_control = control.space;
		message.msg_controllen = CMSG_SPACE(n * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, n * sizeof(int));
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

struct handover_received {
	uint8_t data[FLOW_WIRE_MAX];
	size_t len;
	int fds[FLOW_WIRE_FDS_MAX];
	size_t n_fds;
};

static void take_descriptors(struct handover_received *got, struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		if (n > FLOW_WIRE_FDS_MAX - got->n_fds)
			n = FLOW_WIRE_FDS_MAX - got->n_fds;
		memcpy(got->fds + got->n_fds, CMSG_DATA(c), n * sizeof(int));
		got->n_fds += n;
	}
}

/* As recv(2): 1; 0 at the end; or a negative errno. A message that was cut off is -EMSGSIZE. */
static int receive_message(int fd, struct handover_received *got)
{
	union control control = { 0 };
	struct iovec part = { .iov_base = got->data, .iov_len = sizeof(got->data) };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space),
	};
	ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	got->n_fds = 0;
	if (n < 0)
		return -errno;
	/* First of all: those of a message that is refused below are to be closed, too. */
	take_descriptors(got, &message);
	if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return -EMSGSIZE;
	got->len = (size_t)n;
	return n > 0;
}

static void close_descriptors(struct handover_received *got)
{
	for (size_t i = 0; i < got->n_fds; i++)
		close(got->fds[i]);
	got->n_fds = 0;
}

/* ---- the giver ---- */

/* The kernel does not say when descriptors under way have arrived, or memory is there again. */
static void on_retry(struct timer *timer)
{
	struct handover_giver *giver = list_entry(timer, struct handover_giver, retry);

	giver->waiting = false;
}

static void on_giver(struct loop_source *source, uint32_t events)
{
	struct handover_giver *giver = list_entry(source, struct handover_giver, source);
	uint8_t data[8];
	ssize_t n;

	if (giver->fd < 0)
		return;
	if (events & EPOLLOUT)
		giver->waiting = false;
	/* All of it: the channel is watched edge-triggered, and is not named again. */
	while ((n = recv(giver->fd, data, sizeof(data), MSG_DONTWAIT)) > 0)
		if (n == sizeof(data) && memcmp(data, credit_word, sizeof(credit_word)) == 0)
			giver->credits += (uint32_t)data[4] << 24 | (uint32_t)data[5] << 16 |
					  (uint32_t)data[6] << 8 | data[7];
	if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		log_warning("flows are given no more: the successor has left");
		handover_give_end(giver);
	}
}

int handover_give(struct handover_giver *giver, struct loop *loop, struct tcp_relay *tcp,
	struct udp_relay *udp, int fd)
{
	int err = 0;

	*giver = (struct handover_giver){
		.loop = loop,
		.tcp = tcp,
		.udp = udp,
		.source.on_event = on_giver,
		.fd = fd,
	};
	timer_init(&giver->retry, on_retry);
	giver->buf = malloc(FLOW_WIRE_MAX);
	if (!giver->buf)
		err = -ENOMEM;
	if (!err)
		err = loop_add(loop, fd, EPOLLIN | EPOLLOUT | EPOLLET, &giver->source);
	if (err) {
		close(fd);
		free(giver->buf);
		giver->buf = NULL;
		giver->fd = -1;
	}
	return err;
}

void handover_give_end(struct handover_giver *giver)
{
	if (giver->fd < 0)
		return;
	loop_timer_cancel(giver->loop, &giver->retry);
	close(giver->fd);
	giver->fd = -1;
	free(giver->buf);
	giver->buf = NULL;
	log_info("%" PRIu64 " live flows were handed over", giver->given);
}

/* False: not now. */
static bool give_message(
	struct handover_giver *giver, const void *data, size_t len, const int *fds, size_t n)
{
	int err;

	assert(giver->fd >= 0);
	err = send_message(giver->fd, data, len, fds, n);
	switch (err) {
	case 0:
		return true;
	case -EAGAIN:
		giver->waiting = true;
		break;
	case -EINTR:
		break;
	case -ETOOMANYREFS:
	case -ENOBUFS:
	case -ENOMEM:
		giver->waiting = true;
		loop_timer_set(giver->loop, &giver->retry, giver->loop->now_ms + RETRY_MS);
		break;
	default:
		log_warning("flows are given no more: %s", strerror(-err));
		handover_give_end(giver);
	}
	return false;
}

/* False: not now. */
static bool give_flow(struct handover_giver *giver, struct flow *flow)
{
	bool session = flow_is_session(flow);
	uint8_t id[ACCESS_LOG_UNIQUE_ID_MAX];
	int fds[FLOW_WIRE_FDS_MAX];
	struct flow_wire wire;
	size_t n, len = 0;

	if (session)
		udp_handover_describe(giver->tcp->flows, flow, &wire, id, fds);
	else
		tcp_handover_describe(giver->tcp->flows, flow, &wire, id, fds);
	assert(giver->credits > 0);
	n = flow_wire_fds(&wire);
	if (flow_wire_encode(&wire, giver->buf, FLOW_WIRE_MAX, &len) < 0)
		return true; /* what cannot be said stays */
	if (!give_message(giver, giver->buf, len, fds, n))
		return false;
	/* From here on it is the taker's: our copies of the sockets are closed without a word. */
	if (session)
		udp_session_release(&giver->udp->sessions, flow);
	else
		tcp_relay_release(giver->tcp, flow);
	giver->credits--;
	giver->given++;
	return true;
}

static bool is_ready(const struct handover_giver *giver, const struct flow *flow)
{
	return flow_is_session(flow) ? giver->udp && giver->udp_left : tcp_handover_is_ready(flow);
}

static bool has_sessions(const struct handover_giver *giver)
{
	return giver->tcp->flows->n_sessions > 0;
}

void handover_give_more(struct handover_giver *giver, bool sessions_may_come)
{
	struct list_node *node, *tmp;

	if (giver->fd < 0 || giver->waiting)
		return;
	/* Not before the first credit: a taker that never comes to that would leave nobody to read.
	 */
	if (giver->udp && !giver->udp_left && giver->credits > 0) {
		udp_relay_leave(giver->udp);
		giver->udp_left = true;
	}
	list_for_each_safe (node, tmp, &giver->tcp->flows->live) {
		struct flow *flow = list_entry(node, struct flow, node);

		if (giver->credits == 0)
			return;
		if (is_ready(giver, flow) && !give_flow(giver, flow))
			return;
	}
	/* After the last session, on the same channel: so the taker knows all before it reads one.
	 */
	if (giver->udp && giver->udp_left && !sessions_may_come && !has_sessions(giver) &&
		give_message(giver, udp_word, sizeof(udp_word), NULL, 0))
		giver->udp = NULL;
}

/* ---- the taker ---- */

static void give_credits(struct handover_taker *taker)
{
	size_t room = taker->room(taker->userdata), more;
	uint8_t data[8];

	if (room > CREDITS)
		room = CREDITS;
	/* Only when half of them are used up, not one for each flow. */
	if (room <= taker->outstanding || taker->outstanding > CREDITS / 2)
		return;
	more = room - taker->outstanding;
	memcpy(data, credit_word, sizeof(credit_word));
	for (int i = 0; i < 4; i++)
		data[4 + i] = (uint8_t)(more >> (8 * (3 - i)));
	if (send_message(taker->fd, data, sizeof(data), NULL, 0) == 0)
		taker->outstanding += (uint32_t)more;
}

static void take_flow(struct handover_taker *taker, struct handover_received *got)
{
	unsigned suppressed = 0;
	struct flow_wire wire;
	int err = flow_wire_decode(got->data, got->len, &wire);

	/* Not an assert: it is the giver who counts, and that is another process. */
	taker->outstanding -= taker->outstanding > 0;
	if (!err && got->n_fds != flow_wire_fds(&wire))
		err = -EBADMSG;
	if (!err && wire.protocol == IPPROTO_UDP && !taker->udp)
		err = -ENOENT;
	if (err)
		close_descriptors(got);
	else if (wire.protocol == IPPROTO_UDP)
		err = udp_handover_take(taker->udp, &wire, got->fds[0]);
	else
		err = tcp_handover_take(taker->tcp, taker->retired, &wire, got->fds);
	if (!err) {
		taker->taken++;
		return;
	}
	taker->lost++;
	if (log_allowed(&taker->log, taker->loop->now_ms, &suppressed))
		log_warning("a flow that was handed over is lost: %s (%u more like this)",
			strerror(-err), suppressed);
}

static void datagrams_left(struct handover_taker *taker)
{
	if (taker->datagrams_left)
		return;
	taker->datagrams_left = true;
	taker->on_datagrams(taker->userdata);
}

void handover_take_end(struct handover_taker *taker)
{
	if (taker->fd < 0)
		return;
	close(taker->fd);
	taker->fd = -1;
	free(taker->got);
	taker->got = NULL;
	datagrams_left(taker);
	log_info("%" PRIu64 " live flows were taken over, %" PRIu64 " could not be", taker->taken,
		taker->lost);
}

static void on_taker(struct loop_source *source, uint32_t events)
{
	struct handover_taker *taker = list_entry(source, struct handover_taker, source);
	struct handover_received *got = taker->got;
	int n = 1;

	(void)events;
	/* Level-triggered, and not to the end: the flows that are here already have their turn. */
	for (unsigned i = 0; i < TAKE_AT_ONCE && taker->fd >= 0 && n > 0; i++) {
		n = receive_message(taker->fd, got);
		/* Said once, in front of what is there, of a giver that has left credits unread. */
		if (n == -ECONNRESET)
			n = receive_message(taker->fd, got);
		if (n <= 0)
			break;
		if (got->len == sizeof(udp_word) && memcmp(got->data, udp_word, got->len) == 0) {
			close_descriptors(got);
			datagrams_left(taker);
		} else {
			take_flow(taker, got);
		}
	}
	if (n == -EMSGSIZE) {
		close_descriptors(got);
		taker->lost++;
		log_error("a flow that was handed over is lost: too large, or no descriptor left");
	} else if (n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR)) {
		handover_take_end(taker);
		return;
	}
	give_credits(taker);
}

int handover_take(struct handover_taker *taker, int fd)
{
	int err;

	assert(fd >= 0 && taker->loop && taker->room && taker->on_datagrams);
	taker->source.on_event = on_taker;
	taker->fd = fd;
	taker->got = malloc(sizeof(*taker->got));
	err = taker->got ? loop_add(taker->loop, fd, EPOLLIN, &taker->source) : -ENOMEM;
	if (err) {
		close(fd);
		free(taker->got);
		taker->got = NULL;
		taker->fd = -1;
		return err;
	}
	give_credits(taker);
	return 0;
}
