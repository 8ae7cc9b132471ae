#include "history_events.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/*
 * Theory of operation
 *
 * Events are found by difference and are not reported by those to whom they happen: then no module
 * needs to know of the history, a supervisor that was away for a while is seen through, and the
 * list says the same as the counters. What is down and up again between two looks is missed.
 *
 * The list is an array, newest first, moved along by memmove: it is short. A repetition goes to the
 * front and takes first time and count with it.
 */
#define TOGETHER_S 60 /* the same thing within this is one event */

struct finder {
	struct history_events *events;
	int64_t now_s;
};

size_t history_events_n(const struct history_events *events)
{
	return events->n <= HISTORY_EVENTS ? (size_t)events->n : HISTORY_EVENTS;
}

/*
 * A text that was cut may end within a character, and jansson refuses all of it then. Going back
 * over continuation bytes (10xxxxxx) finds where the last one begins; if the text was not cut it is
 * left alone.
 */
static void cut(char text[HISTORY_TEXT_MAX])
{
	size_t len = strnlen(text, HISTORY_TEXT_MAX - 1), start = len;

	text[len] = '\0';
	while (start > 0 && ((unsigned char)text[start - 1] & 0xc0U) == 0x80)
		start--;
	if (start > 0 && (unsigned char)text[start - 1] >= 0xc0 && len == HISTORY_TEXT_MAX - 1)
		text[start - 1] = '\0';
}

void history_events_get(
	const struct history_events *events, size_t i, struct history_event *ret_event)
{
	json_t *valid;

	*ret_event = events->list[i % HISTORY_EVENTS];
	ret_event->text[HISTORY_TEXT_MAX - 1] = '\0';
	/* jansson takes nothing but UTF-8. */
	valid = json_string(ret_event->text);
	if (!valid)
		ret_event->text[0] = '\0';
	json_decref(valid);
	ret_event->first_s = history_events_time(ret_event->first_s);
	ret_event->last_s = history_events_time(ret_event->last_s);
	if (ret_event->kind > HISTORY_GOOD)
		ret_event->kind = HISTORY_NEWS;
}

/* The index of the same event not long ago, or of the place that is given up. */
static size_t place_of(const struct finder *finder, const char *text)
{
	const struct history_events *events = finder->events;
	size_t n = history_events_n(events);

	for (size_t i = 0; i < n; i++)
		if (finder->now_s - history_events_time(events->list[i].last_s) <= TOGETHER_S &&
			strncmp(events->list[i].text, text, HISTORY_TEXT_MAX) == 0)
			return i;
	return n < HISTORY_EVENTS ? n : HISTORY_EVENTS - 1;
}

__attribute__((format(printf, 4, 5))) static void tell(const struct finder *finder,
	enum history_kind kind, uint64_t count, const char *format, ...)
{
	struct history_events *events = finder->events;
	struct history_event event = {
		.first_s = finder->now_s, .last_s = finder->now_s, .count = count, .kind = kind
	};
	size_t n = history_events_n(events), at;
	va_list args;

	va_start(args, format);
	vsnprintf(event.text, sizeof(event.text), format, args);
	va_end(args);
	cut(event.text);
	at = place_of(finder, event.text);
	if (at < n && count > 0 && strcmp(events->list[at].text, event.text) == 0) {
		event.first_s = events->list[at].first_s;
		event.count += events->list[at].count;
	}
	assert(at < HISTORY_EVENTS);
	memmove(&events->list[1], &events->list[0], at * sizeof(event));
	events->list[0] = event;
	events->n = at < n ? n : n + 1;
}

/* ---- who was turned away ---- */

static const struct {
	const char *name, *text;
} reasons[] = {
	{ "refused", "the backend refused the connection" },
	{ "unreachable", "the backend could not be reached" },
	{ "connect_timeout", "the backend did not answer in time" },
	{ "over_limit", "over a limit" },
	{ "denied", "not allowed by the lists of clients" },
	{ "banned", "the client is banned" },
	{ "not_allowed", "no server is allowed there" },
	{ "no_source_port", "no source port was free" },
	{ "bad_header", "the proxy in front sent a bad header" },
	{ "header_timeout", "the proxy in front sent no header in time" },
	{ "error", "an error of the gateway's own" },
};

static uint64_t growth(const json_t *before, const json_t *now, const char *key)
{
	json_int_t was = json_integer_value(json_object_get(before, key));
	json_int_t is = json_integer_value(json_object_get(now, key));

	/* What is less than it was has started anew. */
	return is <= 0 ? 0 : (uint64_t)(was > 0 && was <= is ? is - was : is);
}

static void find_ended(
	const struct finder *finder, const char *listener, const json_t *before, const json_t *now)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		uint64_t n = growth(before, now, reasons[i].name);

		if (n > 0)
			tell(finder, HISTORY_BAD, n, "%s%sturned away: %s", listener,
				listener[0] ? ": " : "", reasons[i].text);
	}
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "?";
}

/*
 * That element of a list which has the same value there as the one given; NULL: none. Of two
 * backends with one address the first stands for both.
 */
static json_t *same(const json_t *list, const char *key, const json_t *element)
{
	json_t *other;
	size_t i;

	json_array_foreach(list, i, other) if (json_equal(json_object_get(other, key),
						       json_object_get(element, key))) return other;
	return NULL;
}

static void find_turned_away(const struct finder *finder, const json_t *before, const json_t *now)
{
	json_t *listeners = json_object_get(now, "listeners"), *listener, *other;
	bool each = false;
	uint64_t n;
	size_t i;

	json_array_foreach(listeners, i, listener)
	{
		other = same(json_object_get(before, "listeners"), "name", listener);
		each = each || json_object_get(listener, "ended");
		if (other)
			find_ended(finder, text_of(listener, "name"),
				json_object_get(other, "ended"),
				json_object_get(listener, "ended"));
	}
	if (!each)
		find_ended(finder, "", json_object_get(before, "counters"),
			json_object_get(now, "counters"));
	n = growth(
		json_object_get(before, "guard"), json_object_get(now, "guard"), "packets_refused");
	if (n > 0)
		tell(finder, HISTORY_BAD, n, "turned away: no backend of the pool is up");
	n = growth(
		json_object_get(before, "guard"), json_object_get(now, "guard"), "packets_banned");
	if (n > 0)
		tell(finder, HISTORY_BAD, n, "packets of banned clients dropped");
}

/* ---- what went down and came up ---- */

static bool is(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static void find_backend(
	const struct finder *finder, const char *pool, const json_t *before, const json_t *now)
{
	const char *address = text_of(now, "address");
	json_int_t was = json_integer_value(json_object_get(before, "weight"));
	json_int_t weight = json_integer_value(json_object_get(now, "weight"));

	if (is(before, "up") != is(now, "up"))
		tell(finder, is(now, "up") ? HISTORY_GOOD : HISTORY_BAD, 0, "backend %s of %s: %s",
			address, pool, is(now, "up") ? "up again" : "down");
	if (!is(before, "circuit_open") && is(now, "circuit_open"))
		tell(finder, HISTORY_BAD, 0, "backend %s of %s: left out for its failures", address,
			pool);
	if (is(before, "draining") != is(now, "draining"))
		tell(finder, HISTORY_NEWS, 0, "backend %s of %s: %s", address, pool,
			is(now, "draining") ? "is drained" : "no longer drained");
	if (was != weight)
		tell(finder, HISTORY_NEWS, 0, "backend %s of %s: weight %lld, was %lld", address,
			pool, (long long)weight, (long long)was);
}

static void find_pool(const struct finder *finder, const json_t *before, const json_t *now)
{
	json_t *backends = json_object_get(now, "backends"), *backend, *other;
	const char *name = text_of(now, "name");
	size_t i;

	json_array_foreach(backends, i, backend)
	{
		other = same(json_object_get(before, "backends"), "address", backend);
		if (other)
			find_backend(finder, name, other, backend);
	}
	if (is(before, "up") != is(now, "up"))
		tell(finder, is(now, "up") ? HISTORY_GOOD : HISTORY_BAD, 0, "pool %s: %s", name,
			is(now, "up") ? "up again" : "down, no backend is left");
}

static void find_workers(const struct finder *finder, const json_t *before, const json_t *now)
{
	json_t *workers = json_object_get(now, "workers"), *worker, *other;
	size_t i;

	json_array_foreach(workers, i, worker)
	{
		uint64_t n;

		other = same(json_object_get(before, "workers"), "worker", worker);
		n = growth(other, worker, "replaced");
		if (other && n > 0)
			tell(finder, HISTORY_BAD, n, "worker %lld died and was replaced",
				(long long)json_integer_value(json_object_get(worker, "worker")));
	}
}

void history_events_find(
	struct history_events *events, const json_t *before, const json_t *now, int64_t now_s)
{
	const struct finder finder = { .events = events, .now_s = now_s };
	json_t *pools = json_object_get(now, "pools"), *pool, *other;
	size_t i;

	find_turned_away(&finder, before, now);
	find_workers(&finder, before, now);
	json_array_foreach(pools, i, pool)
	{
		other = same(json_object_get(before, "pools"), "name", pool);
		if (other)
			find_pool(&finder, other, pool);
	}
	if (json_object_get(before, "state") && json_object_get(now, "state") &&
		!json_equal(json_object_get(before, "state"), json_object_get(now, "state")))
		tell(&finder, HISTORY_NEWS, 0, "the gateway is %s", text_of(now, "state"));
}
