/*
 * history - the last hour as samples of what the gateway counts, and what has happened lately.
 *
 * Both are made of "status" (status.h) as it is asked for again and again: a key that is missing is
 * 0, and what differs from the answer before is an event. It lives in an anonymous shared file of
 * fixed layout, so that it survives a reload as a descriptor; whatever another image, or a damaged
 * one, has written there is read without harm. One writer.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "history_events.h"

#define HISTORY_SAMPLES	   360U
#define HISTORY_INTERVAL_S 10 /* between samples */
#define HISTORY_BOUNDS_MAX 31U

/* Totals since the gateway has started, but for HISTORY_LIVE: how many there are. */
enum history_value {
	HISTORY_ACCEPTED,
	HISTORY_REFUSED,      /* flows that ended badly: by the backend */
	HISTORY_UNREACHABLE,  /* ... */
	HISTORY_TIMEOUTS,     /* ... backend or proxy silent */
	HISTORY_OVER_LIMIT,   /* ... */
	HISTORY_DENIED,	      /* ... by a list or a ban */
	HISTORY_OTHER,	      /* ... no source port, bad header, our own error */
	HISTORY_RESET,	      /* by client or backend, while they were relayed */
	HISTORY_TURNED_AWAY,  /* packets refused before they were accepted, as a pool was down */
	HISTORY_BYTES_IN,     /* from clients */
	HISTORY_BYTES_OUT,    /* to clients */
	HISTORY_DATAGRAMS_IN, /* from clients */
	HISTORY_DATAGRAMS_OUT,
	HISTORY_DROPPED, /* datagrams, for whatever reason */
	HISTORY_LIVE,
	HISTORY_VALUES
};

struct history_sample {
	int64_t time_s; /* since 1970 */
	uint64_t value[HISTORY_VALUES];
	/* TCP connections to backends by the time they took: [i] at most history_bounds()[i]. */
	uint64_t connect[HISTORY_BOUNDS_MAX + 1];
};

struct history;

/* In a new file; or in that of fd, which stays the caller's. 0, or a negative errno;
 * history_open(): -EPROTO for a file of another layout. */
int history_create(struct history **ret_history);
int history_open(int fd, struct history **ret_history);
/* Takes NULL. */
void history_close(struct history *history);
/* Of its file, for those who come after; it stays the history's. */
int history_fd(const struct history *history);

/* A sample, and what is an event of it. */
void history_take(struct history *history, const json_t *status, int64_t now_s);
/* The events alone: of an answer between two samples. */
void history_note(struct history *history, const json_t *status, int64_t now_s);

/* 0 is the oldest sample, and the newest event. Copies: others may write at any time. */
size_t history_n_samples(const struct history *history);
void history_sample(const struct history *history, size_t i, struct history_sample *ret_sample);
size_t history_n_events(const struct history *history);
void history_event(const struct history *history, size_t i, struct history_event *ret_event);

/* Ascending, in seconds; how many there are is returned. */
size_t history_bounds(const struct history *history, double ret_bounds[HISTORY_BOUNDS_MAX]);

/* How much a total grew; one that has started anew has grown from 0. */
uint64_t history_growth(uint64_t before, uint64_t now);
/* Flows that were accepted and then not served, between two samples. */
uint64_t history_failed(const struct history_sample *before, const struct history_sample *now);
/* The time that a share of the connections between two samples took at most; NaN without any. */
double history_connect_time(const struct history *history, const struct history_sample *before,
	const struct history_sample *now, double share);
