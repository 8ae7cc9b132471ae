#include "ctl_top_rates.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "stats.h"

/*
 * Theory of operation
 *
 * Everything is made by a span: the same object in two answers, and the seconds between. Elements
 * of lists are found again by name or address, so one that is new, or was renamed by a reload, has
 * a span without a "before", and null for every rate.
 *
 * Bytes become bits ("bits_" in the name says so), as the capacity of links is told in those.
 */
/* ---- one number ---- */

static const json_t *get(const json_t *object, const char *key)
{
	return json_object_get(object, key);
}

/* How much it has grown; null if that cannot be said. */
static json_t *growth(const json_t *before, const json_t *now)
{
	json_int_t change;

	if (!json_is_integer(before) || !json_is_integer(now))
		return json_null();
	change = json_integer_value(now) - json_integer_value(before);
	return change < 0 ? json_null() : json_integer(change);
}

static json_t *per_second(const json_t *before, const json_t *now, double seconds, double factor)
{
	json_t *change = growth(before, now), *rate = json_null();

	if (json_is_integer(change) && seconds > 0)
		rate = json_real((double)json_integer_value(change) * factor / seconds);
	json_decref(change);
	return rate;
}

struct span {
	const json_t *before, *now;
	double seconds;
};

static void add(json_t *to, const char *name, const struct span *span, const char *key)
{
	double factor = strncmp(name, "bits_", 5) == 0 ? 8.0 : 1.0;

	json_object_set_new(to, name,
		per_second(get(span->before, key), get(span->now, key), span->seconds, factor));
}

static void copy(json_t *to, const json_t *from, const char *key)
{
	json_object_set(to, key, json_object_get(from, key));
}

/* The element of the list whose text by that key is the same. */
static const json_t *find(const json_t *list, const char *key, const json_t *like)
{
	const char *wanted = json_string_value(get(like, key)), *name;

	for (size_t i = 0; wanted && i < json_array_size(list); i++) {
		name = json_string_value(get(json_array_get(list, i), key));
		if (name && strcmp(name, wanted) == 0)
			return json_array_get(list, i);
	}
	return NULL;
}

/* ---- failures, limits and drops ---- */

/* By the reasons for which a flow ends, those that there were; a drain is none of them. */
static json_t *failures(const struct span *span, double *ret_sum)
{
	json_t *found = json_object();

	*ret_sum = 0;
	for (int i = STATS_ENDED_CLOSED + 1; i <= STATS_ENDED_ERROR; i++) {
		const char *reason = stats_name((enum stats_counter)i);
		json_t *rate = per_second(
			get(span->before, reason), get(span->now, reason), span->seconds, 1.0);

		if (i != STATS_ENDED_DRAINED && json_real_value(rate) > 0) {
			*ret_sum += json_real_value(rate);
			json_object_set(found, reason, rate);
		}
		json_decref(rate);
	}
	return found;
}

/* Counters of what was limited or dropped, by how their names begin; and where they are. */
struct limits {
	const char *key;
	const char *prefix; /* for what is not among the counters */
	const char *const *fronts;
};

static bool is_limit(const struct limits *limits, const char *name)
{
	for (size_t i = 0; limits->fronts[i]; i++)
		if (strncmp(name, limits->fronts[i], strlen(limits->fronts[i])) == 0)
			return true;
	return false;
}

/* Only what has moved since the first answer: there are dozens that never do. */
static void add_moved_one(
	json_t *to, const char *name, const json_t *first, const struct span *span)
{
	json_t *since = growth(first, span->now);

	if (json_integer_value(since) > 0)
		json_object_set_new(to, name,
			json_pack("{s:o, s:O}", "per_s",
				per_second(span->before, span->now, span->seconds, 1.0), "since",
				since));
	json_decref(since);
}

static void add_moved(
	json_t *to, const struct limits *limits, const json_t *first, const struct span *whole)
{
	json_t *now = json_object_get(whole->now, limits->key);
	char full[96];

	for (void *at = json_object_iter(now); at; at = json_object_iter_next(now, at)) {
		const char *name = json_object_iter_key(at);
		const struct span span = { get(get(whole->before, limits->key), name),
			json_object_iter_value(at), whole->seconds };

		if (!is_limit(limits, name))
			continue;
		snprintf(full, sizeof(full), "%s%.80s", limits->prefix, name);
		add_moved_one(to, full, get(get(first, limits->key), name), &span);
	}
}

static json_t *all_moved(const json_t *first, const struct span *whole)
{
	static const char *const counters[] = { "limit_", "dropped_", "paused_", "hold_full",
		"hold_backend_full", "hold_client_full", "hold_unanswered", "hold_unreadable",
		"icmp_limited", "starved", "circuit_opened", "retried", "who_", "buffer_misses",
		"pipe_misses", "tlvs_left_out", NULL };
	static const char *const control[] = { "crowded", "refused", "silent", "oversize", "unread",
		NULL };
	static const char *const guard[] = { "packets_", NULL };
	static const struct limits limits[] = { { "counters", "", counters },
		{ "control", "control_", control }, { "guard", "guard_", guard } };
	json_t *made = json_object();

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		add_moved(made, &limits[i], first ? first : whole->before, whole);
	return made;
}

/* ---- lists ---- */

static json_t *listener_rates(const struct span *span)
{
	const struct span ended = { get(span->before, "ended"), get(span->now, "ended"),
		span->seconds };
	json_t *made = json_object();
	double sum = 0;

	copy(made, span->now, "name");
	copy(made, span->now, "protocol");
	copy(made, span->now, "live");
	add(made, "connections_per_s", span, "accepted");
	add(made, "bits_in_per_s", span, "bytes_in");
	add(made, "bits_out_per_s", span, "bytes_out");
	json_decref(failures(&ended, &sum));
	json_object_set_new(
		made, "failures_per_s", ended.before && ended.now ? json_real(sum) : json_null());
	return made;
}

static json_t *backend_rates(const struct span *span)
{
	static const char *const as_they_are[] = { "address", "name", "up", "weight", "backup",
		"draining", "circuit_open", "failures", "live" };
	json_t *made = json_object();

	for (size_t i = 0; i < sizeof(as_they_are) / sizeof(as_they_are[0]); i++)
		copy(made, span->now, as_they_are[i]);
	add(made, "connections_per_s", span, "connects");
	add(made, "failures_per_s", span, "connect_failures");
	return made;
}

static json_t *each(const json_t *before, const json_t *now, double seconds, const char *key,
	json_t *make(const struct span *span))
{
	json_t *list = json_array();

	for (size_t i = 0; i < json_array_size(now); i++) {
		const json_t *one = json_array_get(now, i);
		const struct span span = { find(before, key, one), one, seconds };

		json_array_append_new(list, make(&span));
	}
	return list;
}

static json_t *pool_rates(const struct span *span)
{
	json_t *made = json_object();

	copy(made, span->now, "name");
	copy(made, span->now, "up");
	json_object_set_new(made, "backends",
		each(get(span->before, "backends"), get(span->now, "backends"), span->seconds,
			"address", backend_rates));
	return made;
}

/* ---- all ---- */

static void add_workers(json_t *to, const json_t *workers)
{
	json_int_t ready = 0;

	for (size_t i = 0; i < json_array_size(workers); i++)
		ready += json_is_true(get(json_array_get(workers, i), "ready"));
	json_object_set_new(to, "workers", json_integer((json_int_t)json_array_size(workers)));
	json_object_set_new(to, "workers_ready", json_integer(ready));
}

static void add_totals(json_t *to, const struct span *counters)
{
	double sum = 0;
	json_t *reasons = failures(counters, &sum);

	copy(to, counters->now, "live_flows");
	add(to, "connections_per_s", counters, "accepted");
	add(to, "bits_in_per_s", counters, "bytes_in");
	add(to, "bits_out_per_s", counters, "bytes_out");
	add(to, "datagrams_in_per_s", counters, "datagrams_in");
	add(to, "datagrams_out_per_s", counters, "datagrams_out");
	json_object_set_new(to, "failures_per_s", counters->before ? json_real(sum) : json_null());
	json_object_set_new(to, "failures", reasons);
}

json_t *ctl_top_rates(const json_t *first, const json_t *before, const json_t *now, double seconds)
{
	static const char *const as_they_are[] = { "version", "pid", "state", "uptime_s" };
	const struct span whole = { before, now, seconds };
	const struct span counters = { get(before, "counters"), get(now, "counters"), seconds };
	json_t *made = json_object();

	for (size_t i = 0; i < sizeof(as_they_are) / sizeof(as_they_are[0]); i++)
		copy(made, now, as_they_are[i]);
	json_object_set_new(made, "interval_s", before ? json_real(seconds) : json_null());
	add_workers(made, get(now, "workers"));
	add_totals(made, &counters);
	json_object_set_new(made, "listeners",
		each(get(before, "listeners"), get(now, "listeners"), seconds, "name",
			listener_rates));
	json_object_set_new(made, "pools",
		each(get(before, "pools"), get(now, "pools"), seconds, "name", pool_rates));
	json_object_set_new(made, "moved", all_moved(first, &whole));
	return made;
}
