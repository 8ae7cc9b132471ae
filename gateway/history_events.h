/*
 * history_events - what has happened between two answers to "status": who was turned away and why,
 * what went down and came up. A part of history.
 *
 * What happens again within a minute is one event that happened more often, so that a client who is
 * turned away a thousand times a second does not push everything else out of the list.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_EVENTS	 50U
#define HISTORY_TEXT_MAX 200U

enum history_kind { HISTORY_NEWS, HISTORY_BAD, HISTORY_GOOD };

struct history_event {
	int64_t first_s, last_s;     /* since 1970, of the wall clock */
	uint64_t count;		     /* how often; 0 where that means nothing: up, down, drained */
	uint32_t kind;		     /* enum history_kind */
	char text[HISTORY_TEXT_MAX]; /* UTF-8 */
};

/* Lies in the shared file, newest first. */
struct history_events {
	uint64_t
		n; /* not to be trusted, like all of it: history_events_n(), history_events_get() */
	struct history_event list[HISTORY_EVENTS];
};

/*
 * Adds what differs between two answers to "status"; both stay the caller's. Listeners, pools and
 * workers are matched by name or number and backends by address, so what only one of them has (a
 * reload in between) is no event. A full list loses its oldest one.
 */
void history_events_find(
	struct history_events *events, const json_t *before, const json_t *now, int64_t now_s);

/* A time that can be reckoned with, whatever the memory holds. */
static inline int64_t history_events_time(int64_t time_s)
{
	return time_s >= 0 && time_s < INT64_C(1) << 40 ? time_s : 0;
}

/* Whatever the memory holds: at most HISTORY_EVENTS, and texts that are UTF-8 and end. */
size_t history_events_n(const struct history_events *events);
void history_events_get(
	const struct history_events *events, size_t i, struct history_event *ret_event);
