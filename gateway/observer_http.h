/*
 * observer_http - what is answered to whom asks for metrics: libmicrohttpd without threads or
 * sockets of its own.
 *
 * Limits: OBSERVER_HTTP_CONNECTIONS at a time, of these OBSERVER_HTTP_PER_CLIENT of one address;
 * one request for each, within OBSERVER_HTTP_LIFE_MS.
 *
 * The observer's, in one thread; it keeps no clock, and is told the time (now_ms, monotonic).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "history.h"
#include "sockaddr.h"

#define OBSERVER_HTTP_CONNECTIONS 64U
/* Less than there are, so that one address alone cannot keep all others out. */
#define OBSERVER_HTTP_PER_CLIENT 48U
/* Long enough for a large page over a slow way, and for a supervisor that takes its time. */
#define OBSERVER_HTTP_LIFE_MS 15000U

enum observer_http_counter {
	OBSERVER_HTTP_CROWDED, /* times that clients had to wait, as there were too many */
	OBSERVER_HTTP_REFUSED, /* closed, as their address had too many */
	OBSERVER_HTTP_SLOW,    /* closed, as they took too long */
	OBSERVER_HTTP_STARVED, /* times that there was no descriptor or memory for one */
	OBSERVER_HTTP_COUNTERS
};

struct observer_http;

/* The gateway's "status", borrowed until the next call; NULL: the supervisor does not answer. */
typedef const json_t *observer_http_ask(void *userdata);

/* history, for the status page, may be NULL. NULL without memory. */
struct observer_http *observer_http_new(
	observer_http_ask *ask, void *userdata, const struct history *history);
/* Closes all connections. Takes NULL. */
void observer_http_free(struct observer_http *http);

/* Readable when observer_http_run() has something to do; the latter is also due after a time. */
int observer_http_fd(const struct observer_http *http);
/* In ms; -1: none. */
int observer_http_timeout(const struct observer_http *http, uint64_t now_ms);
void observer_http_run(struct observer_http *http, uint64_t now_ms);

/* Counts it, and says it in the log. peer: whose connection it is about; NULL: nobody's. */
void observer_http_note(struct observer_http *http, enum observer_http_counter counter,
	const struct sockaddr_any *peer, uint64_t now_ms);
/* The counters as an object. */
json_t *observer_http_json(const struct observer_http *http);

size_t observer_http_connections(const struct observer_http *http);
/* Takes the nonblocking socket over, also if it is closed at once. There must be room. */
void observer_http_add(
	struct observer_http *http, int fd, const struct sockaddr_any *peer, uint64_t now_ms);
