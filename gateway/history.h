/*
 * history - the last hour as samples of what the gateway counts, and what has happened lately.
 *
 * Both are made of "status" (status.h) as it is asked for again and again: a key that is missing is
 * 0, and what differs from the answer before is an event. It lives in an anonymous shared file of
 * fixed layout, so that it survives a reload as a descriptor; whatever another image, or a damaged
 * one, has written there is read without harm. One writer.
 *
 * The supervisor makes the file and keeps its descriptor (supervisor_observer); the observer is the
 * one who takes samples and draws them. Samples are HISTORY_INTERVAL_S apart if whoever calls
 * history_take() keeps to it; nothing here has a timer. Each says its own time, so one that is
 * missing is a gap and no error.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "history_events.h"

#define HISTORY_SAMPLES	   360U /* that are kept: an hour of them */
#define HISTORY_INTERVAL_S 10	/* between samples */
#define HISTORY_BOUNDS_MAX 31U	/* of the histogram of connect times */

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
	int64_t time_s;			/* since 1970, of the wall clock; 0: not to be believed */
	uint64_t value[HISTORY_VALUES]; /* enum history_value */
	/*
	 * TCP connections to backends by the time they took: [i] at most history_bounds()[i] and
	 * more than the bound before; the one behind the last bound took longer than all. Totals,
	 * too.
	 */
	uint64_t connect[HISTORY_BOUNDS_MAX + 1];
};

struct history;

/*
 * In a new file; or in that of fd, which stays the caller's (it is duplicated). 0, or a negative
 * errno and ret_history untouched; history_open(): -EPROTO for a file of another layout or size, or
 * one that is not sealed against shrinking.
 */
int history_create(struct history **ret_history);
int history_open(int fd, struct history **ret_history);
/* Takes NULL. */
void history_close(struct history *history);
/* Of its file, for those who come after; it stays the history's. */
int history_fd(const struct history *history);

/*
 * A sample, and what is an event of it. status: an answer to "status", which stays the caller's and
 * is copied as far as it is needed; whatever it lacks, or has of another kind, counts as 0.
 */
void history_take(struct history *history, const json_t *status, int64_t now_s);
/* The events alone: of an answer between two samples. */
void history_note(struct history *history, const json_t *status, int64_t now_s);

/*
 * 0 is the oldest sample, and the newest event; i must be below the number that there are. Copies:
 * others may write at any time. Texts are UTF-8 and end, times are such that can be reckoned with.
 */
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
/*
 * The time in seconds that a share (0 to 1) of the connections between two samples took at most, as
 * if those of one bucket were spread evenly in it; NaN without any. Of those that took longer than
 * all bounds only that is known: the answer is the last bound then, and too small.
 */
double history_connect_time(const struct history *history, const struct history_sample *before,
	const struct history_sample *now, double share);
