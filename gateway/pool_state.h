/*
 * pool_state - what all processes know of the backends, in shared memory: which are up, how many
 * connections each has, which have failed lately.
 *
 * Made before the workers are forked. "up_ms" and "down" have one writer, the supervisor; "live"
 * has one for each worker's row. The circuit's two fields are written by all workers, without a
 * lock: a count that is off by one does no harm.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

struct pool_state_backend {
	uint64_t up_ms;	       /* when it came back; 0: it has been up from the start */
	uint64_t closed_at_ms; /* the circuit: until then it is open */
	uint32_t down;	       /* 1: a check has found it down */
	uint32_t failures;     /* connections to it that failed, in a row */
};

struct pool_state {
	size_t n_workers;
	size_t n_backends; /* of all pools */
	size_t *first;	   /* of each pool: the index of its first backend */
	struct pool_state_backend *backends;
	uint32_t *live; /* a row of n_backends for each worker */
};

/* config must outlive it. NULL without memory. */
struct pool_state *pool_state_create(const struct config *config, size_t n_workers);
/* Takes NULL. */
void pool_state_destroy(struct pool_state *state);

/* What a worker does when it begins: its predecessor's connections are gone. */
void pool_state_clear_worker(struct pool_state *state, size_t worker);

/* By the supervisor, when a check has changed its mind. */
void pool_state_set_up(
	struct pool_state *state, size_t pool, size_t backend, bool up, uint64_t now_ms);
bool pool_state_is_up(const struct pool_state *state, size_t pool, size_t backend);

/* Connections of all workers. */
uint64_t pool_state_live(const struct pool_state *state, size_t pool, size_t backend);
