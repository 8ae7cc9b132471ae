/*
 * pool_state - what all processes know of the backends, in shared memory: where they are, which are
 * up, what weight they have, which are drained, how many connections each has, which have failed
 * lately.
 *
 * Made before the workers are forked. "where", "up_ms", "down", "weight", "drained_ms" and the
 * generations have one writer, the supervisor; "live" has one for each worker's row. The circuit's
 * two fields are written by all workers, without a lock: a count that is off by one does no harm.
 *
 * pool and backend are indices of config.pools and of its backends. Times are milliseconds of the
 * monotonic clock, which is the same in all processes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "drain_state.h"
#include "list.h"
#include "shared_count.h"

/* In shared memory; only atomic access once there are workers. */
struct pool_state_backend {
	uint64_t where;	       /* of pool_state_address(): all of it in one word */
	uint64_t up_ms;	       /* when it came back; 0: it has been up from the start */
	uint64_t closed_at_ms; /* the circuit: until then it is open */
	uint64_t drained_ms;   /* until when its flows may go on; DRAIN_NONE: it is not drained */
	uint32_t down;	       /* 1: a check has found it down */
	uint32_t failures;     /* connections to it that failed, in a row */
	uint32_t weight;       /* in force: the configuration's, or an operator's */
};

/* Each process's own view: the pointers lead into memory that all share. */
struct pool_state {
	const struct config *config;
	size_t n_workers;
	size_t n_backends; /* of all pools */
	size_t *first;	   /* of each pool: the index of its first backend */
	size_t n_pools;
	struct pool_state_backend *backends;
	uint32_t *live;	       /* a row of n_backends for each worker */
	uint32_t *generations; /* of each pool */
	struct shared_count
		*places;	  /* that limits leave: backends', then pools'; NULL: no limits */
	struct list_node watches; /* the supervisor's */
};

/* Who wants to know at once. */
struct pool_state_watch {
	struct list_node node;
	/* It has another address or weight, is drained or no more, has lost its address, or was
	 * found up or down. */
	void (*on_change)(struct pool_state_watch *watch, size_t pool, size_t backend);
};

/* config must outlive it. NULL without memory. */
struct pool_state *pool_state_create(const struct config *config, size_t n_workers);
/* Takes NULL. */
void pool_state_destroy(struct pool_state *state);

/* What a worker does when it begins: its predecessor's connections are gone. */
void pool_state_clear_worker(struct pool_state *state, size_t worker);

/*
 * In the supervisor, which alone makes changes. list_remove(&watch->node) ends it. on_change is
 * called after the change, from within the call that makes it, and may make others.
 */
void pool_state_add_watch(struct pool_state *state, struct pool_state_watch *watch);

/*
 * By the supervisor, when a check has changed its mind. One that comes up has a closed circuit and
 * no failures, and slow-start begins. Watches are told also if it changes nothing.
 */
void pool_state_set_up(
	struct pool_state *state, size_t pool, size_t backend, bool up, uint64_t now_ms);
/* Whether it has an address and no check has found it down. */
bool pool_state_is_up(const struct pool_state *state, size_t pool, size_t backend);

/* By the supervisor: from now on, until the backend gets another address. */
void pool_state_set_weight(struct pool_state *state, size_t pool, size_t backend, uint32_t weight);
uint32_t pool_state_weight(const struct pool_state *state, size_t pool, size_t backend);
/* By the supervisor, likewise: drained, DRAIN_NO_DEADLINE or until then; or DRAIN_NONE. */
void pool_state_set_drained(
	struct pool_state *state, size_t pool, size_t backend, uint64_t until_ms);
uint64_t pool_state_drained(const struct pool_state *state, size_t pool, size_t backend);
/* Whether it may get new clients: it is up, has a weight, and is not drained. */
bool pool_state_serves(const struct pool_state *state, size_t pool, size_t backend);

/*
 * Where the backend is: AF_INET, and port 0 for the one that the client connected to. False: it has
 * no address now; ret_addr is then the last one, or of family 0 if there never was any.
 */
bool pool_state_address(
	const struct pool_state *state, size_t pool, size_t backend, struct sockaddr_any *ret_addr);
/* Whether this is the last address of the backend; the port does not count. */
bool pool_state_is_at(const struct pool_state *state, size_t pool, size_t backend,
	const struct sockaddr_any *addr);

/*
 * By the supervisor: the backend has this address from now on, and begins anew; with the weight of
 * the configuration and not drained, if it is not the last address. up: it may have
 * clients at once, or else when a check has found it up. NULL: it has none.
 */
void pool_state_set_address(struct pool_state *state, size_t pool, size_t backend,
	const struct sockaddr_any *addr, bool up, uint64_t now_ms);
/* Another one whenever addresses or weights of the pool have changed; never 0. */
uint32_t pool_state_generation(const struct pool_state *state, size_t pool);

/* Connections of all workers. */
uint64_t pool_state_live(const struct pool_state *state, size_t pool, size_t backend);
