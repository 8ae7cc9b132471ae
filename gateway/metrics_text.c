#include "metrics_text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stats.h"
#include "wall_time.h"

/*
 * Theory of operation
 *
 * Both formats want all samples of a family in one piece, after lines that say what it is. Hence
 * every family walks over the listeners, pools or workers anew; its lines are written when the
 * first sample is there, so that a family without samples is not mentioned.
 *
 * Where the formats differ: a counter's family has no "_total" in OpenMetrics, and has it in the
 * other; only OpenMetrics has units and an end.
 *
 * Two samples of the same name and labels make a scraper refuse the whole text, so what could come
 * twice (backends with one address) is looked for. Keys become names only if they can be, as an
 * answer may be of another release; values of labels may be anything, and are escaped.
 */
enum type { GAUGE, COUNTER, HISTOGRAM };

struct family {
	const char *name; /* without "sixgate_" and "_total" */
	const char *unit; /* the name's end, NULL: none */
	const char *help;
	enum type type;
};

struct label {
	const char *name;
	const char *value; /* NULL: the label is left out */
};

struct text {
	FILE *out;
	bool openmetrics;
	const struct family *begun; /* its lines are there; by its address, NULL: none */
};

static void begin(struct text *text, const struct family *family)
{
	static const char *const types[] = { "gauge", "counter", "histogram" };
	const char *suffix = family->type == COUNTER && !text->openmetrics ? "_total" : "";

	if (text->begun == family)
		return;
	text->begun = family;
	fprintf(text->out, "# HELP sixgate_%s%s %s\n", family->name, suffix, family->help);
	fprintf(text->out, "# TYPE sixgate_%s%s %s\n", family->name, suffix, types[family->type]);
	if (text->openmetrics && family->unit)
		fprintf(text->out, "# UNIT sixgate_%s %s\n", family->name, family->unit);
}

static void put_escaped(FILE *out, const char *value)
{
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", out);
		else if (*value == '\\' || *value == '"')
			fprintf(out, "\\%c", *value);
		else
			fputc(*value, out);
	}
}

/* Up to the value. labels: ends at a name of NULL. */
static void put_name(struct text *text, const struct family *family, const char *suffix,
	const struct label *labels)
{
	const char *before = "{";

	begin(text, family);
	fprintf(text->out, "sixgate_%s%s", family->name, suffix);
	for (; labels->name; labels++) {
		if (!labels->value)
			continue;
		fprintf(text->out, "%s%s=\"", before, labels->name);
		put_escaped(text->out, labels->value);
		fputc('"', text->out);
		before = ",";
	}
	fputs(*before == ',' ? "} " : " ", text->out);
}

static bool is_number(const json_t *value)
{
	return json_is_number(value) || json_is_boolean(value);
}

static void put(struct text *text, const struct family *family, const struct label *labels,
	const json_t *value)
{
	if (!is_number(value))
		return;
	put_name(text, family, family->type == COUNTER ? "_total" : "", labels);
	if (json_is_real(value))
		fprintf(text->out, "%.15g\n", json_real_value(value));
	else if (json_is_integer(value))
		fprintf(text->out, "%lld\n", (long long)json_integer_value(value));
	else
		fprintf(text->out, "%d\n", json_is_true(value));
}

/* ---- histograms ---- */

/* As OpenMetrics writes numbers in labels: with a point. */
static const char *bound_text(double bound, char *buf, size_t size)
{
	snprintf(buf, size, "%.15g", bound);
	if (!strpbrk(buf, ".e"))
		snprintf(buf, size, "%.1f", bound);
	return buf;
}

/* Buckets are cumulative here, and not in "status"; the count is the last one of them. */
static void put_histogram(struct text *text, const struct family *family, const char *listener,
	const json_t *histogram)
{
	const json_t *bounds = json_object_get(histogram, "bounds_s");
	const json_t *counts = json_object_get(histogram, "counts");
	const json_t *sum = json_object_get(histogram, "sum_s");
	struct label labels[] = { { "listener", listener }, { "le", NULL }, { NULL, NULL } };
	json_int_t total = 0;
	char bound[32];

	if (!json_is_array(bounds) || !json_is_number(sum) ||
		json_array_size(counts) != json_array_size(bounds) + 1)
		return;
	for (size_t i = 0; i < json_array_size(counts); i++) {
		total += json_integer_value(json_array_get(counts, i));
		labels[1].value = i < json_array_size(bounds)
					  ? bound_text(json_number_value(json_array_get(bounds, i)),
						    bound, sizeof(bound))
					  : "+Inf";
		put_name(text, family, "_bucket", labels);
		fprintf(text->out, "%lld\n", (long long)total);
	}
	labels[1].value = NULL;
	put_name(text, family, "_sum", labels);
	fprintf(text->out, "%.15g\n", json_number_value(sum));
	put_name(text, family, "_count", labels);
	fprintf(text->out, "%lld\n", (long long)total);
}

/* ---- listeners, pools, workers ---- */

struct row {
	const char *key; /* in the JSON */
	struct family family;
};

static const char *string_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static const struct row listener_rows[] = {
	{ "live", { "live_flows", NULL, "Connections and sessions that are live.", GAUGE } },
	{ "accepted", { "accepted", NULL, "Connections and sessions taken on.", COUNTER } },
	{ "bytes_in",
		{ "received_bytes", "bytes", "Bytes from clients, without headers.", COUNTER } },
	{ "bytes_out", { "sent_bytes", "bytes", "Bytes to clients.", COUNTER } },
	{ "max_flows", { "listener_max_flows", NULL, "Flows that the listener may have.", GAUGE } },
};

static const struct row listener_histograms[] = {
	{ "connect",
		{ "connect_duration_seconds", "seconds",
			"Time from the client's arrival to the server's answer.", HISTOGRAM } },
	{ "duration", { "flow_duration_seconds", "seconds",
			      "Time from the client's arrival to the flow's end.", HISTOGRAM } },
};

static const struct row backend_rows[] = {
	{ "up", { "backend_up", NULL,
			"Whether the server has an address and no check finds it down.", GAUGE } },
	{ "circuit_open", { "backend_circuit_open", NULL,
				  "Whether the server is left out for its failures.", GAUGE } },
	{ "draining", { "backend_draining", NULL,
			      "Whether the server gets no new clients, as it was told to drain.",
			      GAUGE } },
	{ "weight", { "backend_weight", NULL, "The server's share of new clients, against others'.",
			    GAUGE } },
	{ "live", { "backend_live_flows", NULL, "Flows that the server has.", GAUGE } },
	{ "connects",
		{ "backend_connects", NULL, "Flows that the server has answered.", COUNTER } },
	{ "connect_failures", { "backend_connect_failures", NULL,
				      "Attempts that did not reach the server.", COUNTER } },
};

static const struct row worker_rows[] = {
	{ "ready", { "worker_up", NULL, "Whether the worker serves.", GAUGE } },
	{ "live_flows", { "worker_live_flows", NULL, "Flows that the worker has.", GAUGE } },
	{ "accepted", { "worker_accepted", NULL, "Flows that the worker has taken on.", COUNTER } },
	{ "bytes_in", { "worker_received_bytes", "bytes",
			      "Bytes from clients, of the worker's flows.", COUNTER } },
	{ "bytes_out", { "worker_sent_bytes", "bytes", "Bytes to clients, of the worker's flows.",
			       COUNTER } },
	{ "replaced", { "worker_deaths", NULL, "Workers in this place that have died.", COUNTER } },
	{ "records_lost", { "worker_records_lost", NULL,
				  "Log lines and access records that came too fast to be written.",
				  COUNTER } },
};

#define N(array) (sizeof(array) / sizeof((array)[0]))

static void put_ended(struct text *text, const json_t *listener)
{
	static const struct family ended = { "ended", NULL, "Flows, by how they ended.", COUNTER };
	json_t *value;
	const char *reason;

	json_object_foreach(json_object_get(listener, "ended"), reason, value)
	{
		const struct label labels[] = { { "listener", string_of(listener, "name") },
			{ "reason", reason }, { NULL, NULL } };

		put(text, &ended, labels, value);
	}
}

static void put_listeners(struct text *text, const json_t *listeners)
{
	static const struct family info = { "listener_info", NULL, "What there is of a listener.",
		GAUGE };
	const json_t *listener;
	size_t i;

	json_array_foreach(listeners, i, listener)
	{
		const struct label labels[] = { { "listener", string_of(listener, "name") },
			{ "protocol", string_of(listener, "protocol") },
			{ "pool", string_of(listener, "pool") },
			{ "identity", string_of(listener, "identity") }, { NULL, NULL } };

		put(text, &info, labels, json_true());
	}
	for (size_t row = 0; row < N(listener_rows); row++)
		json_array_foreach(listeners, i, listener)
		{
			const struct label labels[] = { { "listener", string_of(listener, "name") },
				{ NULL, NULL } };

			put(text, &listener_rows[row].family, labels,
				json_object_get(listener, listener_rows[row].key));
		}
	json_array_foreach(listeners, i, listener)
	{
		put_ended(text, listener);
	}
	for (size_t row = 0; row < N(listener_histograms); row++)
		json_array_foreach(listeners, i, listener)
		{
			put_histogram(text, &listener_histograms[row].family,
				string_of(listener, "name"),
				json_object_get(listener, listener_histograms[row].key));
		}
}

static bool same_string(const json_t *one, const json_t *other, const char *key)
{
	const char *a = string_of(one, key), *b = string_of(other, key);

	return a && b ? strcmp(a, b) == 0 : !a && !b;
}

/* The address was there before: two samples of one name are not allowed. */
static bool is_repeated(const json_t *backends, size_t index)
{
	const json_t *backend = json_array_get(backends, index);

	for (size_t i = 0; i < index; i++) {
		const json_t *other = json_array_get(backends, i);

		if (same_string(other, backend, "address") && same_string(other, backend, "name"))
			return true;
	}
	return false;
}

static void put_backends(struct text *text, const json_t *pool, const struct row *row)
{
	const json_t *backends = json_object_get(pool, "backends"), *backend;
	size_t i;

	json_array_foreach(backends, i, backend)
	{
		const struct label labels[] = { { "pool", string_of(pool, "name") },
			{ "backend", string_of(backend, "address") },
			{ "name", string_of(backend, "name") }, { NULL, NULL } };

		if (!is_repeated(backends, i))
			put(text, &row->family, labels, json_object_get(backend, row->key));
	}
}

static void put_pools(struct text *text, const json_t *pools)
{
	static const struct family up = { "pool_up", NULL, "Whether a server with a weight is up.",
		GAUGE };
	const json_t *pool;
	size_t i;

	json_array_foreach(pools, i, pool)
	{
		const struct label labels[] = { { "pool", string_of(pool, "name") },
			{ NULL, NULL } };

		put(text, &up, labels, json_object_get(pool, "up"));
	}
	for (size_t row = 0; row < N(backend_rows); row++)
		json_array_foreach(pools, i, pool)
		{
			put_backends(text, pool, &backend_rows[row]);
		}
}

static void put_workers(struct text *text, const json_t *workers)
{
	const json_t *worker;
	char number[24];
	size_t i;

	for (size_t row = 0; row < N(worker_rows); row++)
		json_array_foreach(workers, i, worker)
		{
			const struct label labels[] = { { "worker", number }, { NULL, NULL } };

			snprintf(number, sizeof(number), "%lld",
				(long long)json_integer_value(json_object_get(worker, "worker")));
			put(text, &worker_rows[row].family, labels,
				json_object_get(worker, worker_rows[row].key));
		}
}

/* ---- counters ---- */

/* Counters whose names have this beginning are one family; the rest of the name is a label. */
struct group {
	const char *prefix;
	const char *label; /* NULL: the counter is a family of its own */
	const char *value; /* of the label; NULL: the rest of the name */
	struct family family;
};

/*
 * Groups of one family are neighbours, and the first of them has its help; of those whose prefix
 * fits, the first one counts, so longer ones stand before shorter ones.
 */
static const struct group groups[] = {
	{ "limit_untracked", NULL, NULL,
		{ "untracked", NULL,
			"Clients let in without limits of their own, as the table of clients was "
			"full.",
			COUNTER } },
	{ "limit_", "reason", NULL,
		{ "limited", NULL, "Connections reset, as a limit was reached.", COUNTER } },
	{ "dropped_", "reason", NULL,
		{ "dropped_datagrams", NULL, "Datagrams that were not passed on.", COUNTER } },
	{ "paused_", "reason", NULL,
		{ "paused", NULL,
			"Times that workers stopped accepting, or had to wait for a socket.",
			COUNTER } },
	{ "starved", "reason", "sockets", { "paused", NULL, "", COUNTER } },
	{ "hold_held", NULL, NULL,
		{ "held", NULL, "Clients whose first packet was held until the server answered.",
			COUNTER } },
	{ "hold_claimed", "outcome", NULL,
		{ "held_outcomes", NULL, "What became of clients that were held, or not.",
			COUNTER } },
	{ "hold_unheld", "outcome", NULL, { "held_outcomes", NULL, "", COUNTER } },
	{ "hold_refused", "outcome", NULL, { "held_outcomes", NULL, "", COUNTER } },
	{ "hold_silent", "outcome", NULL, { "held_outcomes", NULL, "", COUNTER } },
	{ "hold_repeated", "outcome", NULL, { "held_outcomes", NULL, "", COUNTER } },
	{ "hold_", "reason", NULL,
		{ "not_held", NULL, "Clients that should have been held and were not.", COUNTER } },
	{ "datagrams_in", "direction", "in",
		{ "datagrams", NULL, "Datagrams handed on: in to servers, out to clients.",
			COUNTER } },
	{ "datagrams_out", "direction", "out", { "datagrams", NULL, "", COUNTER } },
	{ "icmp_sent", "outcome", "sent",
		{ "icmp_errors", NULL, "ICMP errors for UDP clients.", COUNTER } },
	{ "icmp_limited", "outcome", "limited", { "icmp_errors", NULL, "", COUNTER } },
	{ "headers_read", "direction", "read",
		{ "headers", NULL, "PROXY headers: written to servers, read from proxies in front.",
			COUNTER } },
	{ "headers", "direction", "written", { "headers", NULL, "", COUNTER } },
	{ "who_", "reason", NULL,
		{ "who_entries_lost", NULL,
			"Entries of who that are missing or were overwritten before their time.",
			COUNTER } },
	{ "tlvs_left_out", NULL, NULL,
		{ "tlvs_left_out", NULL, "TLVs that had no room in a header.", COUNTER } },
	{ "retried", NULL, NULL,
		{ "retried", NULL, "Connections that went on to another server.", COUNTER } },
	{ "circuit_opened", NULL, NULL,
		{ "circuit_opened", NULL, "Times that a server was left out for its failures.",
			COUNTER } },
	{ "buffer_misses", NULL, NULL,
		{ "buffer_misses", NULL, "Reads without a buffer, as all were held.", COUNTER } },
	{ "pipe_misses", NULL, NULL,
		{ "pipe_misses", NULL, "Bulk that was copied, as no pipe was free.", COUNTER } },
	{ "bulk_entered", NULL, NULL,
		{ "bulk_entered", NULL, "Directions that went over to splice.", COUNTER } },
};

static const struct group *group_of(const char *name)
{
	for (size_t i = 0; i < N(groups); i++)
		if (strncmp(name, groups[i].prefix, strlen(groups[i].prefix)) == 0 &&
			(groups[i].label || strcmp(name, groups[i].prefix) == 0))
			return &groups[i];
	return NULL;
}

/* All groups of the family of this one. */
static void put_group(struct text *text, const json_t *counters, const struct group *group)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)counters, key, value)
	{
		const struct group *own = group_of(key);
		struct label labels[] = { { NULL, NULL }, { NULL, NULL } };

		if (!own || strcmp(own->family.name, group->family.name) != 0)
			continue;
		if (own->label)
			labels[0] = (struct label){ own->label,
				own->value ? own->value
					   : key + (own->prefix[strlen(own->prefix) - 1] == '_'
								   ? strlen(own->prefix)
								   : strcspn(key, "_") + 1) };
		put(text, &group->family, labels, value);
	}
}

/* What listeners have already. */
static bool is_told(const char *name)
{
	static const enum stats_counter told[] = { STATS_ACCEPTED, STATS_BYTES_IN, STATS_BYTES_OUT,
		STATS_LIVE_FLOWS };

	for (size_t i = 0; i < N(told); i++)
		if (strcmp(name, stats_name(told[i])) == 0)
			return true;
	for (int i = STATS_ENDED_CLOSED; i <= STATS_ENDED_ERROR; i++)
		if (strcmp(name, stats_name((enum stats_counter)i)) == 0)
			return true;
	return false;
}

static bool is_name(const char *name)
{
	return *name && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

/* Those that have no group: each a family. */
static void put_others(
	struct text *text, const char *section, const char *help, const json_t *counters)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)counters, key, value)
	{
		const struct label labels[] = { { NULL, NULL } };
		struct family family = { .help = help, .type = COUNTER };
		char name[128];

		if (!is_name(key) || !json_is_integer(value) ||
			(!*section && (group_of(key) || is_told(key))))
			continue;
		snprintf(name, sizeof(name), "%s%s", section, key);
		family.name = name;
		/* It is at the same address as the one before, and yet another. */
		text->begun = NULL;
		put(text, &family, labels, value);
		text->begun = NULL;
	}
}

static void put_counters(struct text *text, const json_t *counters)
{
	for (size_t i = 0; i < N(groups); i++)
		if (i == 0 || strcmp(groups[i].family.name, groups[i - 1].family.name) != 0)
			put_group(text, counters, &groups[i]);
	put_others(text, "", "A counter of sixgatectl status.", counters);
}

static void put_guard(struct text *text, const json_t *guard)
{
	static const struct family in_place = { "guard_up", NULL,
		"Whether the packet filter table for bans and refusals is in place.", GAUGE };
	static const struct family bans = { "bans", NULL, "Bans that hold.", GAUGE };
	static const struct family packets = { "guard_packets", NULL,
		"Packets that the packet filter table kept out.", COUNTER };
	static const struct family refusals = { "guard_refusals", NULL,
		"Times that clients of a pool that is down began to be refused, and no more.",
		COUNTER };
	const char *table = string_of(guard, "table");
	const struct label none[] = { { NULL, NULL } };
	const struct label kinds[][2] = { { { "reason", "pool_down" } }, { { "reason", "banned" } },
		{ { "change", "begun" } }, { { "change", "ended" } } };

	if (table)
		put(text, &in_place, none, json_boolean(strcmp(table, "in place") == 0));
	put(text, &bans, none, json_object_get(guard, "bans"));
	put(text, &packets, kinds[0], json_object_get(guard, "packets_refused"));
	put(text, &packets, kinds[1], json_object_get(guard, "packets_banned"));
	put(text, &refusals, kinds[2], json_object_get(guard, "refusals_begun"));
	put(text, &refusals, kinds[3], json_object_get(guard, "refusals_ended"));
}

static void put_gateway(struct text *text, const json_t *status)
{
	static const struct family build = { "build_info", NULL, "The gateway's version.", GAUGE };
	static const struct family state = { "state", NULL,
		"1 for the state that the gateway is in.", GAUGE };
	static const struct family start = { "start_time_seconds", "seconds",
		"When the gateway was started, since 1970.", GAUGE };
	static const char *const states[] = { "starting", "running", "draining", "failed" };
	const struct label version[] = { { "version", string_of(status, "version") },
		{ NULL, NULL } };
	const struct label none[] = { { NULL, NULL } };
	const char *started = string_of(status, "started"), *reason;
	struct wall_time_span span;
	json_t *at;

	if (version[0].value)
		put(text, &build, version, json_true());
	if (started && wall_time_parse(started, 0, &span, &reason) == 0) {
		at = json_real((double)span.from_us / 1e6);
		put(text, &start, none, at);
		json_decref(at);
	}
	for (size_t i = 0; i < N(states) && string_of(status, "state"); i++) {
		const struct label labels[] = { { "state", states[i] }, { NULL, NULL } };

		put(text, &state, labels,
			json_boolean(strcmp(states[i], string_of(status, "state")) == 0));
	}
}

char *metrics_text(const json_t *status, bool openmetrics, size_t *ret_len)
{
	struct text text = { .openmetrics = openmetrics };
	char *made = NULL;
	size_t len = 0;
	bool failed;

	text.out = open_memstream(&made, &len);
	if (!text.out)
		return NULL;
	put_gateway(&text, status);
	put_listeners(&text, json_object_get(status, "listeners"));
	put_pools(&text, json_object_get(status, "pools"));
	put_workers(&text, json_object_get(status, "workers"));
	put_counters(&text, json_object_get(status, "counters"));
	put_others(&text, "control_", "A counter of sixgatectl status.",
		json_object_get(status, "control"));
	put_others(&text, "observer_", "A counter of these answers by HTTP.",
		json_object_get(status, "observer"));
	put_guard(&text, json_object_get(status, "guard"));
	if (openmetrics)
		fputs("# EOF\n", text.out);
	failed = ferror(text.out);
	if (fclose(text.out) != 0 || failed) {
		free(made);
		return NULL;
	}
	*ret_len = len;
	return made;
}
