#include "status.h"

#include <netinet/in.h>
#include <unistd.h>

#include "wall_time.h"

/*
 * No result of jansson's is looked at: a NULL that is handed on does no harm, and json_pack() makes
 * NULL of it.
 */
static json_t *seconds_since(const struct status_facts *facts, uint64_t then_ms)
{
	return json_real((double)(facts->now_ms - then_ms) / 1000.0);
}

static void add_worker_counters(json_t *object, const struct stats *stats)
{
	static const enum stats_counter shown[] = { STATS_ACCEPTED, STATS_BYTES_IN,
		STATS_BYTES_OUT };

	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		json_object_set_new(object, stats_name(shown[i]),
			json_integer((json_int_t)stats_sum(stats, 1, shown[i])));
}

static json_t *worker_json(const struct status_facts *facts, size_t index)
{
	const struct status_worker *worker = &facts->workers[index];
	json_t *object;

	object = json_pack("{s:I, s:o, s:b, s:o, s:I, s:I, s:I}", "worker", (json_int_t)index,
		"pid", worker->pid ? json_integer(worker->pid) : json_null(), "ready",
		worker->ready, "uptime_s",
		worker->pid ? seconds_since(facts, worker->started_ms) : json_null(), "replaced",
		(json_int_t)worker->deaths, "live_flows",
		(json_int_t)stats_sum(worker->stats, 1, STATS_LIVE_FLOWS), "records_lost",
		(json_int_t)worker->records_lost);
	add_worker_counters(object, worker->stats);
	return object;
}

static json_t *workers_json(const struct status_facts *facts)
{
	json_t *list = json_array();

	for (size_t i = 0; i < facts->n_workers; i++)
		json_array_append_new(list, worker_json(facts, i));
	return list;
}

static json_t *counters_json(const struct status_facts *facts)
{
	json_t *object = json_object();

	for (int i = 0; i < STATS_COUNT; i++) {
		uint64_t sum = 0;

		sum += stats_sum(facts->others, facts->n_others, (enum stats_counter)i);
		for (size_t w = 0; w < facts->n_workers; w++)
			sum += stats_sum(facts->workers[w].stats, 1, (enum stats_counter)i);
		json_object_set_new(
			object, stats_name((enum stats_counter)i), json_integer((json_int_t)sum));
	}
	return object;
}

/* Takes the object over, and says in it whether what it is about is drained. */
static json_t *with_drain(const struct status_facts *facts, json_t *object, uint64_t until_ms)
{
	bool ends = until_ms != DRAIN_NONE && until_ms != DRAIN_NO_DEADLINE;
	uint64_t left_ms = ends && until_ms > facts->now_ms ? until_ms - facts->now_ms : 0;

	if (!object)
		return NULL;
	json_object_set_new(object, "draining", json_boolean(until_ms != DRAIN_NONE));
	json_object_set_new(
		object, "drain_left_s", ends ? json_real((double)left_ms / 1000.0) : json_null());
	return object;
}

/*
 * One whose name has no address for it now is shown where it was last, as flows may still be there.
 */
static json_t *backend_json(const struct status_facts *facts, size_t pool, size_t backend)
{
	const struct config_pool *config_pool = &facts->config->pools[pool];
	const struct config_backend *config = &config_pool->backends[backend];
	const struct pool_state_backend *state =
		&facts->pools->backends[facts->pools->first[pool] + backend];
	char text[SOCKADDR_TEXT_MAX];
	struct measures_backend measured;
	struct sockaddr_any addr;

	(void)pool_state_address(facts->pools, pool, backend, &addr);
	measures_sum_backend(facts->measures, pool, backend, &measured);
	return json_pack("{s:s, s:s*, s:I, s:I, s:b, s:b, s:b, s:b, s:I, s:I, s:I, s:I}", "address",
		sockaddr_format(&addr, text), "name", config_backend_name(config_pool, backend),
		"weight", (json_int_t)pool_state_weight(facts->pools, pool, backend),
		"weight_configured", (json_int_t)config->weight, "weight_set",
		pool_state_weight(facts->pools, pool, backend) != config->weight, "backup",
		config->backup, "up", pool_state_is_up(facts->pools, pool, backend), "circuit_open",
		facts->now_ms < __atomic_load_n(&state->closed_at_ms, __ATOMIC_RELAXED), "failures",
		(json_int_t)__atomic_load_n(&state->failures, __ATOMIC_RELAXED), "live",
		(json_int_t)pool_state_live(facts->pools, pool, backend), "connects",
		(json_int_t)measured.connects, "connect_failures",
		(json_int_t)measured.connect_failures);
}

/* Those that a name has no address for are nothing to be shown, once the last client has left. */
static bool is_shown(const struct status_facts *facts, size_t pool, size_t backend)
{
	struct sockaddr_any addr;

	return pool_state_address(facts->pools, pool, backend, &addr) ||
	       pool_state_live(facts->pools, pool, backend) > 0;
}

static json_t *pool_json(const struct status_facts *facts, size_t pool)
{
	const struct config_pool *config = &facts->config->pools[pool];
	json_t *list = json_array();
	bool up = false;

	for (size_t i = 0; i < config->n_backends; i++) {
		up = up || pool_state_serves(facts->pools, pool, i);
		if (is_shown(facts, pool, i))
			json_array_append_new(
				list, with_drain(facts, backend_json(facts, pool, i),
					      pool_state_drained(facts->pools, pool, i)));
	}
	return json_pack("{s:s, s:b, s:b, s:o}", "name", config->name, "up", up, "checked",
		config->check.type != CONFIG_CHECK_NONE, "backends", list);
}

static json_t *pools_json(const struct status_facts *facts)
{
	json_t *list = json_array();

	for (size_t i = 0; i < facts->config->n_pools; i++)
		json_array_append_new(list, pool_json(facts, i));
	return list;
}

static json_t *histogram_json(
	const struct measures_histogram *histogram, const uint64_t bounds_us[MEASURES_BUCKETS - 1])
{
	json_t *bounds = json_array(), *counts = json_array();

	for (size_t i = 0; i < MEASURES_BUCKETS - 1; i++)
		json_array_append_new(bounds, json_real((double)bounds_us[i] / 1e6));
	for (size_t i = 0; i < MEASURES_BUCKETS; i++)
		json_array_append_new(counts, json_integer((json_int_t)histogram->counts[i]));
	return json_pack("{s:o, s:o, s:f}", "bounds_s", bounds, "counts", counts, "sum_s",
		(double)histogram->sum_us / 1e6);
}

static json_t *measured_json(const struct measures_listener *measured)
{
	json_t *ended = json_object();

	for (unsigned i = 0; i < MEASURES_ENDS; i++)
		json_object_set_new(ended, stats_name((enum stats_counter)(STATS_ENDED_CLOSED + i)),
			json_integer((json_int_t)measured->ended[i]));
	return json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "live", (json_int_t)measured->live,
		"accepted", (json_int_t)measured->accepted, "bytes_in",
		(json_int_t)measured->bytes_in, "bytes_out", (json_int_t)measured->bytes_out,
		"ended", ended, "connect",
		histogram_json(&measured->connect, measures_connect_bounds()), "duration",
		histogram_json(&measured->duration, measures_duration_bounds()));
}

static json_t *listener_json(const struct status_facts *facts, size_t index)
{
	const struct config *config = facts->config;
	const struct config_listener *listener = &config->listeners[index];
	struct measures_listener measured;
	json_t *object, *more;
	json_t *binds = json_array();
	char text[CONFIG_BIND_TEXT_MAX];

	for (size_t i = 0; i < listener->n_binds; i++)
		json_array_append_new(
			binds, json_string(config_bind_text(&listener->binds[i], text)));
	object = json_pack("{s:s, s:s, s:o, s:o, s:s}", "name", listener->name, "protocol",
		listener->protocol == IPPROTO_UDP ? "udp" : "tcp", "binds", binds, "pool",
		listener->embedded ? json_null() : json_string(config->pools[listener->pool].name),
		"identity", config_identity_name(listener->identity));
	measures_sum_listener(facts->measures, index, &measured);
	more = measured_json(&measured);
	json_object_update(object, more);
	json_decref(more);
	json_object_set_new(object, "max_flows",
		listener->limits.max ? json_integer(listener->limits.max) : json_null());
	return with_drain(facts, object, drain_state_until(facts->drains, index));
}

static json_t *listeners_json(const struct status_facts *facts)
{
	json_t *list = json_array();

	for (size_t i = 0; i < facts->config->n_listeners; i++)
		json_array_append_new(list, listener_json(facts, i));
	return list;
}

json_t *status_json(const struct status_facts *facts)
{
	uint64_t up_us = (facts->now_ms - facts->started_ms) * 1000U;
	char text[WALL_TIME_TEXT_MAX];

	return json_pack("{s:s, s:I, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "version",
		SIXGATE_VERSION, "pid", (json_int_t)getpid(), "state", facts->state, "started",
		wall_time_format(facts->wall_us - up_us, text), "uptime_s",
		seconds_since(facts, facts->started_ms), "workers", workers_json(facts),
		"listeners", listeners_json(facts), "pools", pools_json(facts), "counters",
		counters_json(facts));
}
