#include "flow.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"

/*
 * Theory of operation
 *
 * A flow is in table.live from flow_new() to flow_end(), then in table.dead until the batch of
 * events that it ended in is over: epoll may hand out an event of its other socket after that. Only
 * flow_table_reap() frees memory, and only the loop's owner calls it.
 *
 * The relay touches no shared memory while it moves bytes. What a flow has moved is added to the
 * worker's counters now and then (flow_meter.h), and the rest when it ends; "counted" says how much
 * of it they have.
 *
 * What a flow has taken (a place within the limits, a backend's count, an entry of who) is given
 * back where it ends, here and nowhere else, however it ends; what it has opened (sockets, streams)
 * is the data path's, and closed before.
 *
 * Times within a flow are of the monotonic clock, which all processes and images share; the wall
 * clock is only looked at for what people read: the record, and who.
 */
static_assert(STATS_ENDED_ERROR - STATS_ENDED_CLOSED == ACCESS_LOG_ERROR - ACCESS_LOG_CLOSED,
	"a counter for each way to end, in the same order");

void flow_table_init(struct flow_table *table, struct loop *loop, struct stats *stats, size_t limit)
{
	*table = (struct flow_table){ .loop = loop, .stats = stats, .ring_wake_fd = -1 };
	slab_init(&table->slab, sizeof(struct flow), limit);
	list_init(&table->live);
	list_init(&table->dead);
}

void flow_table_destroy(struct flow_table *table)
{
	assert(list_empty(&table->live));
	who_writer_destroy(&table->who);
	slab_destroy(&table->slab);
}

size_t flow_table_live(const struct flow_table *table)
{
	return table->slab.used;
}

size_t flow_table_descriptors(const struct flow_table *table)
{
	return FLOW_SIDES * (table->slab.used - table->n_sessions) + table->n_sessions;
}

struct flow *flow_new(struct flow_table *table, const struct config_listener *listener)
{
	struct flow *flow = slab_get(&table->slab);

	if (!flow)
		return NULL;
	memset(flow, 0, sizeof(*flow));
	flow->state = FLOW_CONNECTING;
	flow->listener = listener;
	if (listener->tlvs.unique_id)
		flow->unique = unique_id_next(&table->ids);
	if (flow_is_session(flow)) {
		flow->session.fd = -1;
		list_init(&flow->session.chain);
		list_init(&flow->session.by_idle);
		table->n_sessions++;
	} else {
		flow->side[FLOW_CLIENT].end.fd = flow->side[FLOW_BACKEND].end.fd = -1;
	}
	list_init(&flow->turn);
	list_append(&table->live, &flow->node);
	stats_add(table->stats, STATS_LIVE_FLOWS, 1);
	measures_begun(&table->measures, listener);
	return flow;
}

/* The loop's time may be a little before the flow's own beginning. */
static uint64_t age_us(const struct flow *flow, uint64_t now_us)
{
	return now_us > flow->accepted_us ? now_us - flow->accepted_us : 0;
}

static uint64_t bytes_in(const struct flow *flow)
{
	return flow_is_session(flow) ? flow->session.bytes_in
				     : stream_bytes(&flow->side[FLOW_CLIENT].stream);
}

static uint64_t bytes_out(const struct flow *flow)
{
	return flow_is_session(flow) ? flow->session.bytes_out
				     : stream_bytes(&flow->side[FLOW_BACKEND].stream);
}

size_t flow_unique_id(const struct flow_table *table, const struct flow *flow,
	uint8_t buf[ACCESS_LOG_UNIQUE_ID_MAX])
{
	static_assert(ACCESS_LOG_UNIQUE_ID_MAX >= UNIQUE_ID_LEN, "room for ours");

	if (flow->told && flow->told->unique_id_len) {
		memcpy(buf, flow->told->unique_id, flow->told->unique_id_len);
		return flow->told->unique_id_len;
	}
	if (flow->unique == 0)
		return 0;
	unique_id_format(&table->ids, flow->unique, buf);
	return UNIQUE_ID_LEN;
}

static void flow_record(const struct flow_table *table, const struct flow *flow,
	enum access_log_end end, enum access_log_by by)
{
	uint64_t now_us = clock_monotonic_us();
	struct access_log_record record = {
		.ended_us = clock_wall_us(),
		.bytes_in = bytes_in(flow),
		.bytes_out = bytes_out(flow),
		.duration_us = now_us - flow->accepted_us,
		.connected = flow->connected_us != 0,
		.client = flow->client,
		.local = flow->local,
		.backend = flow->backend,
		.source = flow->source,
		.end = (uint8_t)end,
		.by = (uint8_t)by,
		.identity = flow->identity,
		.protocol = flow->listener->protocol,
		.worker = table->worker,
	};

	if (flow->told)
		record.peer = flow->told->peer;
	record.unique_id_len = (uint8_t)flow_unique_id(table, flow, record.unique_id);
	if (flow_is_session(flow)) {
		record.datagrams_in = flow->session.datagrams_in;
		record.datagrams_out = flow->session.datagrams_out;
	}
	if (record.connected)
		record.connect_us = flow->connected_us - flow->accepted_us;
	/* By name: the reader is another process, maybe of another configuration. */
	snprintf(record.listener, sizeof(record.listener), "%s", flow->listener->name);
	ring_send(
		table->ring, table->ring_wake_fd, ACCESS_LOG_RING_RECORD, &record, sizeof(record));
}

/* Whoever had this source until now has it no more. Harmless for a flow without an entry. */
static void flow_leave(struct flow_table *table, struct flow *flow)
{
	if (flow->who)
		who_end(&table->who, flow->who, clock_wall_us());
	flow->who = 0;
}

/* An earlier attempt had another source: its entry ends here. */
static void set_out(struct flow_table *table, struct flow *flow, uint64_t age_us, uint64_t now_us)
{
	uint8_t id[ACCESS_LOG_UNIQUE_ID_MAX];
	struct who_entry entry;
	size_t len;

	if (!table->who.who)
		return;
	flow_leave(table, flow);
	entry = (struct who_entry){
		.listener = flow->listener,
		.client = flow->client,
		.local = flow->local,
		.source = flow->source,
		.backend = flow->backend,
		.began_us = now_us - age_us,
	};
	len = flow_unique_id(table, flow, id);
	if (len <= WHO_ID_MAX) {
		memcpy(entry.unique_id, id, len);
		entry.unique_id_len = (uint8_t)len;
	}
	flow->who = who_begin(&table->who, &entry, now_us);
}

static void log_begin(const struct flow *flow)
{
	char client[SOCKADDR_TEXT_MAX], local[SOCKADDR_TEXT_MAX];
	char source[SOCKADDR_TEXT_MAX], backend[SOCKADDR_TEXT_MAX];

	log_debug("listener %s: client %s at %s goes from %s to %s", flow->listener->name,
		sockaddr_format(&flow->client, client), sockaddr_format(&flow->local, local),
		sockaddr_format(&flow->source, source), sockaddr_format(&flow->backend, backend));
}

static void log_end(const struct flow *flow, enum access_log_end end, enum access_log_by by)
{
	char client[SOCKADDR_TEXT_MAX];

	log_debug("listener %s: client %s has ended: %s by %s", flow->listener->name,
		sockaddr_format(&flow->client, client), access_log_end_name(end),
		access_log_by_name(by));
}

void flow_set_out(struct flow_table *table, struct flow *flow)
{
	if (log_wants(LOG_LEVEL_DEBUG))
		log_begin(flow);
	set_out(table, flow, 0, clock_wall_us());
}

/* When it began is known by the monotonic clock only; the wall clock may have been set since. */
void flow_keep_out(struct flow_table *table, struct flow *flow)
{
	set_out(table, flow, clock_monotonic_us() - flow->accepted_us, clock_wall_us());
}

void flow_set_backend(struct flow *flow, struct pool *pool, uint16_t backend)
{
	if (flow->pool)
		pool_give(flow->pool, flow_backend(flow), pool != NULL);
	flow->pool = pool;
	if (!pool)
		return;
	assert(flow->n_tried < CONFIG_ATTEMPTS_MAX);
	flow->tried[flow->n_tried++] = backend;
}

/* Of the backend, which is a pool's, among those of all pools. */
static size_t state_index(const struct flow *flow)
{
	return flow->pool->state->first[flow->pool->index] + flow_backend(flow);
}

void flow_backend_failed(struct flow_table *table, const struct flow *flow, int error)
{
	char backend[SOCKADDR_TEXT_MAX];

	if (!flow->pool)
		return;
	measures_backend(&table->measures, state_index(flow), false);
	if (!pool_failed(flow->pool, flow_backend(flow), &flow->backend, table->loop->now_ms))
		return;
	stats_add(table->stats, STATS_CIRCUIT_OPENED, 1);
	log_warning("pool %s: backend %s is left out: %u %s in a row failed, the last by: %s",
		flow->pool->config->name, sockaddr_format(&flow->backend, backend),
		flow->pool->config->circuit_failures,
		flow_is_session(flow) ? "sessions" : "connections", strerror(error));
}

void flow_backend_answered(struct flow_table *table, struct flow *flow)
{
	char backend[SOCKADDR_TEXT_MAX];

	flow->connected_us = table->loop->now_us;
	measures_connected(&table->measures, flow->listener, age_us(flow, flow->connected_us));
	if (!flow->pool)
		return;
	measures_backend(&table->measures, state_index(flow), true);
	if (pool_answered(flow->pool, flow_backend(flow)))
		log_info("pool %s: backend %s answers again", flow->pool->config->name,
			sockaddr_format(&flow->backend, backend));
}

void flow_keep_place(struct flow_table *table, struct flow *flow, size_t listener)
{
	const struct config_limits *own = &flow->listener->limits;
	/* Counted as ever, but never over a limit. */
	const struct config_limits loose = {
		.max = own->max ? UINT32_MAX : 0,
		.max_per_client = own->max_per_client ? UINT32_MAX : 0,
		.max_per_address = own->max_per_address ? UINT32_MAX : 0,
	};

	if (table->limits)
		(void)client_limits_take(table->limits, table->worker, listener, &loose,
			&flow->client, table->loop->now_us, &flow->place);
}

int flow_keep_told(
	struct flow *flow, const struct sockaddr_any *peer, const uint8_t *id, size_t len)
{
	if (sockaddr_len(peer) == 0 && len == 0)
		return 0;
	if (len > ACCESS_LOG_UNIQUE_ID_MAX)
		return -EBADMSG;
	flow->told = calloc(1, sizeof(*flow->told) + len);
	if (!flow->told)
		return -ENOMEM;
	flow->told->peer = *peer;
	flow->told->unique_id_len = (uint8_t)len;
	if (len > 0)
		memcpy(flow->told->unique_id, id, len);
	return 0;
}

/* It is nobody's any more, and waits among the dead. */
static void retire(struct flow_table *table, struct flow *flow)
{
	if (flow->place.held)
		client_limits_give(table->limits, table->worker, &flow->place);
	flow_leave(table, flow);
	table->n_sessions -= flow_is_session(flow);
	stats_drop(table->stats, STATS_LIVE_FLOWS);
	measures_left(&table->measures, flow->listener);
	loop_timer_cancel(table->loop, &flow->timer);
	list_remove(&flow->turn);
	list_remove(&flow->node);
	list_append(&table->dead, &flow->node);
	flow->state = FLOW_DEAD;
}

/* Never below 0: what an earlier image says it has counted is only believed. */
static uint64_t not_counted(uint64_t bytes, uint64_t counted)
{
	return bytes > counted ? bytes - counted : 0;
}

void flow_count(struct flow_table *table, struct flow *flow)
{
	const uint64_t in = not_counted(bytes_in(flow), flow->counted_in);
	const uint64_t out = not_counted(bytes_out(flow), flow->counted_out);

	if (in == 0 && out == 0)
		return;
	stats_add(table->stats, STATS_BYTES_IN, in);
	stats_add(table->stats, STATS_BYTES_OUT, out);
	measures_moved(&table->measures, flow->listener, in, out);
	flow->counted_in += in;
	flow->counted_out += out;
}

void flow_discard(struct flow_table *table, struct flow *flow)
{
	assert(flow->state != FLOW_DEAD);
	flow_set_backend(flow, NULL, 0);
	retire(table, flow);
}

void flow_end(
	struct flow_table *table, struct flow *flow, enum access_log_end end, enum access_log_by by)
{
	const enum stats_counter ended = (enum stats_counter)(STATS_ENDED_CLOSED + (unsigned)end);

	assert(flow->state != FLOW_DEAD);
	flow_set_backend(flow, NULL, 0);
	if (log_wants(LOG_LEVEL_DEBUG))
		log_end(flow, end, by);
	if (table->ring)
		flow_record(table, flow, end, by);
	flow_count(table, flow);
	stats_add(table->stats, ended, 1);
	measures_ended(&table->measures, flow->listener, ended, age_us(flow, clock_monotonic_us()));
	retire(table, flow);
}

void flow_table_reap(struct flow_table *table)
{
	struct list_node *node;

	while ((node = list_pop(&table->dead))) {
		struct flow *flow = list_entry(node, struct flow, node);

		if (flow_is_session(flow))
			free(flow->session.header);
		if (flow->told)
			free(flow->told->tlvs);
		free(flow->told);
		slab_put(&table->slab, flow);
	}
}
