#include "tcp_handover.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Theory of operation
 *
 * A flow that is said keeps its own state: what its ends are ready for, what it holds, what it
 * has counted. All of it is copied, none asked anew, as edge-triggered events that were seen will
 * not come again; the new loop tells what the sockets are ready for at once, which is then a
 * repetition that does no harm.
 *
 * Only flows that relay are ready to go. Those before and after are short, and what they wait for
 * (a header, an answer, an acknowledgement) would need words of its own.
 */

struct retired_listener {
	struct list_node node;
	struct config_listener config;
	char name[FLOW_WIRE_NAME_MAX + 1];
};

static_assert(STREAM_BUFFER_SIZE <= FLOW_WIRE_HELD_MAX, "whatever is held can be said");
static_assert(CONFIG_NAME_MAX <= FLOW_WIRE_NAME_MAX, "so can each name");

void tcp_handover_retired_init(struct tcp_handover_retired *retired)
{
	list_init(&retired->listeners);
}

void tcp_handover_retired_destroy(struct tcp_handover_retired *retired)
{
	struct list_node *node, *tmp;

	list_for_each_safe (node, tmp, &retired->listeners)
		free(list_entry(node, struct retired_listener, node));
	list_init(&retired->listeners);
}

/* ---- to words ---- */

bool tcp_handover_is_ready(const struct flow *flow)
{
	return flow->state == FLOW_RELAYING && !flow_is_session(flow);
}

static struct flow_wire_timeouts say_timeouts(const struct config_timeouts *timeouts)
{
	return (struct flow_wire_timeouts){
		.connect = timeouts->connect_ms,
		.connect_total = timeouts->connect_total_ms,
		.idle = timeouts->idle_ms,
		.half_closed = timeouts->half_closed_ms,
		.dead_peer = timeouts->dead_peer_ms,
		.unanswered = timeouts->unanswered_ms,
	};
}

static struct flow_wire_side say_side(const struct flow_side *side)
{
	const struct stream *stream = &side->stream;
	struct flow_wire_side said = {
		.readable = side->end.readable,
		.writable = side->end.writable,
		.urgent = side->end.urgent,
		.fin = side->end.fin,
		.ending = side->end.ending,
		.fin_sent = side->fin_sent,
		.stalled = side->stalled,
		.acked = side->acked,
		.bulk = stream->bulk,
		.ended = stream->ended,
		.streak = stream->streak,
		.bytes = stream->bytes,
		.pipe_len = stream->pipe_len,
	};

	if (stream->held_len > 0)
		said.held = (struct flow_wire_bytes){
			.data = stream->held + stream->held_at,
			.len = (uint16_t)stream->held_len,
		};
	return said;
}

void tcp_handover_describe(const struct flow_table *table, const struct flow *flow,
	struct flow_wire *ret_wire, uint8_t id_buf[ACCESS_LOG_UNIQUE_ID_MAX],
	int ret_fds[FLOW_WIRE_FDS_MAX])
{
	size_t n = 0;

	assert(tcp_handover_is_ready(flow));
	*ret_wire = (struct flow_wire){
		.protocol = IPPROTO_TCP,
		.identity = flow->identity,
		.first_fin = flow->first_fin,
		.guarded = flow->guarded,
		.client = flow->client,
		.local = flow->local,
		.backend = flow->backend,
		.source = flow->source,
		.accepted_us = flow->accepted_us,
		.connected_us = flow->connected_us,
		.active_ms = flow->active_ms,
		.counted_in = flow->counted_in,
		.counted_out = flow->counted_out,
		.timeouts = say_timeouts(&flow->listener->timeouts),
	};
	snprintf(ret_wire->listener, sizeof(ret_wire->listener), "%s", flow->listener->name);
	if (flow->pool)
		snprintf(ret_wire->pool, sizeof(ret_wire->pool), "%s", flow->pool->config->name);
	if (flow->told)
		ret_wire->peer = flow->told->peer;
	ret_wire->unique_id = (struct flow_wire_bytes){
		.data = id_buf,
		.len = (uint16_t)flow_unique_id(table, flow, id_buf),
	};
	for (int i = 0; i < FLOW_SIDES; i++) {
		ret_wire->side[i] = say_side(&flow->side[i]);
		ret_fds[n++] = flow->side[i].end.fd;
	}
	for (int i = 0; i < FLOW_SIDES; i++)
		if (flow->side[i].stream.pipe_len > 0) {
			ret_fds[n++] = flow->side[i].stream.pipe->read_fd;
			ret_fds[n++] = flow->side[i].stream.pipe->write_fd;
		}
	assert(n == flow_wire_fds(ret_wire));
}

/* ---- and back ---- */

static struct config_timeouts take_timeouts(const struct flow_wire_timeouts *said)
{
	return (struct config_timeouts){
		.connect_ms = said->connect,
		.connect_total_ms = said->connect_total,
		.idle_ms = said->idle,
		.half_closed_ms = said->half_closed,
		.dead_peer_ms = said->dead_peer,
		.unanswered_ms = said->unanswered,
	};
}

/* One for each name and set of timeouts, so that there are few. */
static const struct config_listener *find_retired(
	struct tcp_handover_retired *retired, const struct flow_wire *wire)
{
	const struct config_timeouts timeouts = take_timeouts(&wire->timeouts);
	struct retired_listener *made;
	struct list_node *node, *tmp;

	list_for_each_safe (node, tmp, &retired->listeners) {
		struct retired_listener *known = list_entry(node, struct retired_listener, node);

		if (strcmp(known->name, wire->listener) == 0 &&
			memcmp(&known->config.timeouts, &timeouts, sizeof(timeouts)) == 0)
			return &known->config;
	}
	made = calloc(1, sizeof(*made));
	if (!made)
		return NULL;
	snprintf(made->name, sizeof(made->name), "%s", wire->listener);
	made->config.name = made->name;
	made->config.protocol = IPPROTO_TCP;
	made->config.timeouts = timeouts;
	list_append(&retired->listeners, &made->node);
	return &made->config;
}

static bool is_configured(const struct config *config, const struct config_listener *listener)
{
	return listener >= config->listeners && listener < config->listeners + config->n_listeners;
}

static const struct config_listener *find_listener(const struct tcp_relay *relay,
	struct tcp_handover_retired *retired, const struct flow_wire *wire)
{
	const struct config *config = relay->config;

	for (size_t i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].protocol == IPPROTO_TCP &&
			strcmp(config->listeners[i].name, wire->listener) == 0)
			return &config->listeners[i];
	return find_retired(retired, wire);
}

static int take_side(struct stream_pool *streams, const struct flow_wire_side *said, int fd,
	const int *pipe_fds, struct flow_side *ret_side)
{
	struct stream *stream = &ret_side->stream;
	int err = 0;

	ret_side->end = (struct stream_end){
		.fd = fd,
		.readable = said->readable,
		.writable = said->writable,
		.urgent = said->urgent,
		.fin = said->fin,
		.ending = said->ending,
	};
	ret_side->fin_sent = said->fin_sent;
	ret_side->stalled = said->stalled;
	ret_side->acked = said->acked;
	stream->bulk = said->bulk;
	stream->ended = said->ended;
	stream->streak = said->streak;
	stream->bytes = said->bytes;
	if (said->held.len > 0)
		err = stream_restore_held(streams, stream, said->held.data, said->held.len);
	else if (said->pipe_len > 0)
		err = stream_restore_pipe(
			streams, stream, pipe_fds[0], pipe_fds[1], said->pipe_len);
	return err;
}

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

/*
 * Both sides, the second also if the first has failed, so that every descriptor ends up somewhere:
 * sockets with the flow, pipes with their streams, or closed.
 */
static int take_sides(
	struct tcp_relay *relay, struct flow *flow, const struct flow_wire *wire, const int *fds)
{
	size_t at = FLOW_SIDES;
	int err = 0;

	for (int i = 0; i < FLOW_SIDES; i++) {
		const int *pipe_fds = fds + at;
		int failed = take_side(
			&relay->streams, &wire->side[i], fds[i], pipe_fds, &flow->side[i]);

		if (wire->side[i].pipe_len > 0) {
			at += 2;
			if (failed)
				close_all(pipe_fds, 2);
		}
		err = err ? err : failed;
	}
	return err;
}

int tcp_handover_take(struct tcp_relay *relay, struct tcp_handover_retired *retired,
	const struct flow_wire *wire, const int *fds)
{
	const struct config_listener *listener = find_listener(relay, retired, wire);
	struct flow *flow = listener ? flow_new(relay->flows, listener) : NULL;
	struct pool *pool;
	uint16_t backend = 0;
	int err;

	if (!flow) {
		close_all(fds, flow_wire_fds(wire));
		return -ENOMEM;
	}
	flow->identity = wire->identity;
	flow->first_fin = wire->first_fin ? FLOW_BACKEND : FLOW_CLIENT;
	flow->guarded = wire->guarded;
	flow->client = wire->client;
	flow->local = wire->local;
	flow->backend = wire->backend;
	flow->source = wire->source;
	flow->accepted_us = wire->accepted_us;
	flow->connected_us = wire->connected_us;
	flow->active_ms = wire->active_ms;
	flow->counted_in = wire->counted_in;
	flow->counted_out = wire->counted_out;
	pool = target_set_find(relay->targets, wire->pool, &wire->backend, &backend);
	if (pool)
		pool_keep(pool, backend);
	flow_set_backend(flow, pool, backend);
	if (is_configured(relay->config, listener))
		flow_keep_place(relay->flows, flow, (size_t)(listener - relay->config->listeners));
	err = take_sides(relay, flow, wire, fds);
	if (!err)
		err = flow_keep_told(flow, &wire->peer, wire->unique_id.data, wire->unique_id.len);
	if (!err && is_configured(relay->config, listener))
		flow_keep_out(relay->flows, flow);
	if (err) {
		tcp_relay_abort(relay, flow);
		return err;
	}
	return tcp_relay_resume(relay, flow);
}
