#include "tcp_pass.h"

#include <assert.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "peer_watch.h"

/*
 * Theory of operation
 *
 *  RELAYING ──both ended, or a deadline──► DEAD
 *     └─a side is gone──► RESETTING ──the other has acknowledged all, or RESET_LINGER_MS──► DEAD
 *
 * Both sockets are watched edge-triggered for everything, and never re-armed: events only note what
 * each side is ready for, and tcp_pass_serve() then does what can be done.
 *
 * An end of stream is passed on by shutdown(2) once all bytes before it are. Sockets carry a linger
 * time of zero from birth, so closing one sends a reset; only the orderly end takes that back. So
 * whatever goes wrong, the death of this process included, no cut-off stream looks complete.
 *
 * When one side is reset, what it had sent before may still be under way to the other, and a reset
 * there would overtake and destroy it: many servers answer and reset at once. So the flow lingers
 * in RESETTING until the other side's TCP has acknowledged everything, but no longer than
 * RESET_LINGER_MS. No event tells of acknowledgements, so RESET_POLL_MS it is.
 *
 * flow->timer does all deadlines. It is not moved when bytes move: when it fires, the true deadline
 * is worked out from active_ms, and it is set again if that is still ahead.
 */
#define RESET_LINGER_MS 2000U
#define RESET_POLL_MS	16U

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static enum access_log_by by_side(enum flow_side_id id)
{
	return id == FLOW_CLIENT ? ACCESS_LOG_BY_CLIENT : ACCESS_LOG_BY_BACKEND;
}

static void finish(
	struct tcp_pass *pass, struct flow *flow, enum access_log_end end, enum access_log_by by)
{
	tcp_end_flow(pass->ends, flow, end, by);
}

/* ---- resets ---- */

/* Whether the peer has acknowledged everything that was handed to the socket. */
static bool all_acknowledged(int fd)
{
	int unsent = 0;

	return ioctl(fd, SIOCOUTQ, &unsent) < 0 || unsent == 0;
}

/* Others come first; the flow goes on in tcp_pass_turns(). */
static void queue_turn(struct tcp_pass *pass, struct flow *flow)
{
	list_remove(&flow->turn);
	list_append(&pass->turns, &flow->turn);
}

static void reset_finish(struct tcp_pass *pass, struct flow *flow)
{
	finish(pass, flow, flow->end, by_side(flow->failed));
}

static void reset_serve(struct tcp_pass *pass, struct flow *flow)
{
	struct flow_side *from = &flow->side[flow->failed];
	struct flow_side *to = &flow->side[flow_other(flow->failed)];
	enum stream_status status;
	int error = 0;

	assert(flow->state == FLOW_RESETTING);
	status = stream_pump(pass->streams, &from->stream, &from->end, &to->end, &error);
	if (status == STREAM_TO_ERROR || pass->loop->now_ms >= flow->reset_ms) {
		reset_finish(pass, flow);
		return;
	}
	if (status == STREAM_YIELD)
		queue_turn(pass, flow);
	else if (status != STREAM_BLOCKED && all_acknowledged(to->end.fd)) {
		reset_finish(pass, flow);
		return;
	}
	loop_timer_set(pass->loop, &flow->timer, pass->loop->now_ms + RESET_POLL_MS);
}

void tcp_pass_side_failed(
	struct tcp_pass *pass, struct flow *flow, enum flow_side_id id, enum access_log_end end)
{
	struct flow_side *side = &flow->side[id];

	assert(flow->state == FLOW_RELAYING);
	flow->state = FLOW_RESETTING;
	flow->failed = (uint8_t)id;
	flow->end = (uint8_t)end;
	flow->reset_ms = pass->loop->now_ms + RESET_LINGER_MS;
	/* Its socket gives what came before the reset to whoever reads on, and only then the error.
	 */
	side->end.readable = side->end.ending = true;
	stream_drop(pass->streams, &flow->side[flow_other(id)].stream);
	reset_serve(pass, flow);
}

/* ---- relaying ---- */

/* Whether exactly one side has closed. */
static bool half_closed(const struct flow *flow)
{
	return flow->side[FLOW_CLIENT].stream.ended != flow->side[FLOW_BACKEND].stream.ended;
}

/* When the flow ends unless bytes move. */
static uint64_t idle_deadline(const struct flow *flow)
{
	const struct config_timeouts *timeouts = &flow->listener->timeouts;

	return flow->active_ms + (half_closed(flow) ? timeouts->half_closed_ms : timeouts->idle_ms);
}

/* The next look at a relaying flow: for its idle limit, or for its peers. */
static void set_relay_timer(struct tcp_pass *pass, struct flow *flow)
{
	uint32_t period = peer_watch_period(flow->listener->timeouts.dead_peer_ms);

	loop_timer_set(pass->loop, &flow->timer,
		min_u64(idle_deadline(flow), pass->loop->now_ms + period));
}

static bool flow_has_ended(const struct flow *flow)
{
	for (int i = 0; i < FLOW_SIDES; i++)
		if (!flow->side[i].stream.ended || stream_holds(&flow->side[i].stream))
			return false;
	return true;
}

/* All that `from` had to say was passed on, and its FIN follows. */
static void stream_ended(struct tcp_pass *pass, struct flow *flow, enum flow_side_id from)
{
	struct flow_side *to = &flow->side[flow_other(from)];

	assert(flow->side[from].stream.ended && !stream_holds(&flow->side[from].stream));
	if (flow_has_ended(flow)) {
		finish(pass, flow, ACCESS_LOG_CLOSED, by_side(flow->first_fin));
		return;
	}
	flow->first_fin = (uint8_t)from;
	set_relay_timer(pass, flow);
	/* ENOTCONN: that side was reset, which its own event tells. */
	(void)shutdown(to->end.fd, SHUT_WR);
	to->fin_sent = true;
}

/* Does what can be done for the bytes that come from one side. */
static void serve_stream(struct tcp_pass *pass, struct flow *flow, enum flow_side_id from_id)
{
	struct flow_side *from = &flow->side[from_id];
	struct flow_side *to = &flow->side[flow_other(from_id)];
	int64_t before = from->stream.bytes;
	enum stream_status status;
	int error = 0;

	if (to->fin_sent || !(from->end.readable || stream_holds(&from->stream)))
		return;
	status = stream_pump(pass->streams, &from->stream, &from->end, &to->end, &error);
	if (from->stream.bytes != before)
		flow->active_ms = pass->loop->now_ms;
	switch (status) {
	case STREAM_DRY:
	case STREAM_BLOCKED:
		break;
	case STREAM_YIELD:
		queue_turn(pass, flow);
		break;
	case STREAM_ENDED:
		stream_ended(pass, flow, from_id);
		break;
	case STREAM_FROM_ERROR:
		tcp_pass_side_failed(pass, flow, from_id, access_log_end_of_error(error));
		break;
	case STREAM_TO_ERROR:
		tcp_pass_side_failed(
			pass, flow, flow_other(from_id), access_log_end_of_error(error));
		break;
	}
}

void tcp_pass_serve(struct tcp_pass *pass, struct flow *flow)
{
	switch ((enum flow_state)flow->state) {
	case FLOW_RELAYING:
		serve_stream(pass, flow, FLOW_CLIENT);
		if (flow->state == FLOW_RELAYING)
			serve_stream(pass, flow, FLOW_BACKEND);
		break;
	case FLOW_RESETTING:
		reset_serve(pass, flow);
		break;
	case FLOW_HEADER:
	case FLOW_CONNECTING:
	case FLOW_WAITING:
	case FLOW_DEAD:
		break;
	}
}

/* ---- deadlines ---- */

/* Watches both peers; false: one was dead, and the flow has been dealt with. */
static bool watch_peers(struct tcp_pass *pass, struct flow *flow)
{
	uint32_t dead_peer_ms = flow->listener->timeouts.dead_peer_ms;

	for (int i = 0; i < FLOW_SIDES; i++) {
		struct flow_side *side = &flow->side[i];
		struct peer_watch watch = { .acked = side->acked, .stalled = side->stalled };
		bool dead;

		if (!flow->guarded)
			peer_watch_arm(side->end.fd, dead_peer_ms);
		dead = peer_watch_check(side->end.fd, dead_peer_ms, &watch);
		/* Bytes that the kernel still delivers are life, too. */
		if (watch.acked != side->acked)
			flow->active_ms = pass->loop->now_ms;
		side->acked = watch.acked;
		side->stalled = watch.stalled;
		if (dead) {
			tcp_pass_side_failed(
				pass, flow, (enum flow_side_id)i, ACCESS_LOG_DEAD_PEER);
			return false;
		}
	}
	flow->guarded = true;
	return true;
}

static void relaying_due(struct tcp_pass *pass, struct flow *flow)
{
	if (!watch_peers(pass, flow))
		return;
	if (pass->loop->now_ms >= idle_deadline(flow)) {
		finish(pass, flow,
			half_closed(flow) ? ACCESS_LOG_HALF_CLOSED_TIMEOUT
					  : ACCESS_LOG_IDLE_TIMEOUT,
			ACCESS_LOG_BY_GATEWAY);
		return;
	}
	set_relay_timer(pass, flow);
}

/* Says, now and then, that a limit slows flows down. */
static void log_misses(struct tcp_pass *pass)
{
	const uint64_t *value = pass->stats->value;
	uint64_t misses = value[STATS_BUFFER_MISSES] + value[STATS_PIPE_MISSES];
	unsigned suppressed = 0;

	if (misses == pass->misses_said)
		return;
	pass->misses_said = misses;
	if (log_allowed(&pass->misses_log, pass->loop->now_ms, &suppressed))
		log_warning("flows go on more slowly: %" PRIu64
			    " reads found all buffers held, %" PRIu64
			    " bulk transfers no free pipe; add workers, or open files for pipes",
			value[STATS_BUFFER_MISSES], value[STATS_PIPE_MISSES]);
}

/* ---- its interface ---- */

void tcp_pass_begin(struct tcp_pass *pass, struct flow *flow)
{
	flow->state = FLOW_RELAYING;
	set_relay_timer(pass, flow);
}

void tcp_pass_due(struct tcp_pass *pass, struct flow *flow)
{
	assert(flow->state == FLOW_RELAYING || flow->state == FLOW_RESETTING);
	if (flow->state == FLOW_RELAYING)
		relaying_due(pass, flow);
	else
		reset_serve(pass, flow);
}

void tcp_pass_turns(struct tcp_pass *pass)
{
	struct list_node list, *node;

	/* Those that queue again meanwhile have their turn after the next batch of events. */
	list_init(&list);
	list_splice(&list, &pass->turns);
	while ((node = list_pop(&list)))
		tcp_pass_serve(pass, list_entry(node, struct flow, turn));
	log_misses(pass);
}

bool tcp_pass_busy(const struct tcp_pass *pass)
{
	return !list_empty(&pass->turns);
}

void tcp_pass_init(struct tcp_pass *pass, struct loop *loop, struct stats *stats,
	struct stream_pool *streams, struct tcp_end *ends)
{
	*pass = (struct tcp_pass){
		.loop = loop,
		.stats = stats,
		.streams = streams,
		.ends = ends,
		.misses_said = stats->value[STATS_BUFFER_MISSES] + stats->value[STATS_PIPE_MISSES],
	};
	list_init(&pass->turns);
}
