/*
 * session_limits - how many UDP sessions there may be, and how fast new ones may come: of a
 * listener, and of each of its clients.
 *
 * The counts are shared by all workers, in memory made before they fork, without a lock: a limit
 * holds for the gateway, not for a process. A client is an IPv6 /64 or an IPv4 address. When a
 * worker dies, its successor takes back what it held.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "config.h"

struct session_limits;

enum session_verdict {
	SESSION_OK,
	SESSION_FULL, /* the listener has as many as it may */
	SESSION_CLIENT_FULL,
	SESSION_RATE,
	SESSION_CLIENT_RATE,
};

/* A client that the table, at its fullest, had no room for: only the listener's limits hold. */
#define SESSION_NO_SLOT UINT32_MAX

/* NULL without memory. */
struct session_limits *session_limits_create(size_t n_workers, size_t n_listeners);
/* Takes NULL. */
void session_limits_destroy(struct session_limits *limits);

/* What a new worker does first: nothing is held by its predecessor any more. */
void session_limits_clear(struct session_limits *limits, size_t worker);

/*
 * Takes a place for a session of the client; SESSION_OK and the place, which the caller gives back
 * at the session's end. listener: its index. Unless it is SESSION_OK nothing has changed.
 */
enum session_verdict session_limits_take(struct session_limits *limits, size_t worker,
	size_t listener, const struct config_sessions *config, const struct sockaddr_any *client,
	uint64_t now_us, uint32_t *ret_slot);
void session_limits_give(
	struct session_limits *limits, size_t worker, size_t listener, uint32_t slot);
