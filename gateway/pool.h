/*
 * pool - one worker's view of a configured pool: choice of backend and of source address.
 *
 * Nothing here knows of sockets. What other processes have to know, or say, is in pool_state.h.
 * Backends are known by their index in config->backends; of those that belong to a name, each is a
 * slot that has an address at times. An index that is handed in must be below config->n_backends.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance.h"
#include "config.h"
#include "pool_state.h"

struct pool_table;

struct pool {
	const struct config_pool *config;
	struct pool_state *state;
	size_t index;			/* in config.pools and in state */
	size_t worker;			/* row of state->live */
	struct balance_target *targets; /* one per config->backends */
	struct pool_table *table;	/* NULL unless the pool balances by maglev */
	size_t turn;			/* of balance_least(): who is first among equals */
	size_t next_source;		/* of config->sources: the one handed out last */
};

/* Whom a backend is sought for. */
struct pool_request {
	const struct sockaddr_any *client; /* maglev chooses by it, the others do not look */
	uint64_t now_ms;		   /* of the loop's clock, as pool_state's times */
	const uint16_t *tried;		   /* backends that this client was sent to already */
	size_t n_tried;			   /* 0: it is its first attempt */
};

/*
 * 0 or -ENOMEM, with nothing kept. config and state must outlive the pool, which is
 * config.pools[index]. worker: whose row of pool_state's live counts it writes.
 */
int pool_init(struct pool *pool, const struct config *config, size_t index,
	struct pool_state *state, size_t worker);
/* Takes a zeroed one. What flows have taken is not given back. */
void pool_destroy(struct pool *pool);

/*
 * The backend for a flow: of those with a weight that are up and not full, whose circuit is closed,
 * and that were not tried. If there are none, of the backups; if there are none either, of those
 * whose circuit is open. BALANCE_NONE if there are no others. Nothing is counted yet: pool_take()
 * does that, and may fail.
 */
size_t pool_pick(struct pool *pool, const struct pool_request *request);

/* Why there was none: the pool has all the flows that it may, or those that are up have. */
bool pool_is_full(const struct pool *pool);
bool pool_backends_full(const struct pool *pool, const struct pool_request *request);

/*
 * A flow counts as the backend's, and the pool's, from take to give. False: one of them has become
 * full meanwhile. moves: it comes from, or goes to, another backend of the pool.
 */
bool pool_take(struct pool *pool, size_t backend, bool moves);
/* The same for a flow that has counted in another process, whatever the limits say. */
void pool_keep(struct pool *pool, size_t backend);
/* Once for each take or keep. moves: the pool's own place is kept for the flow's next backend. */
void pool_give(struct pool *pool, size_t backend, bool moves);

/* Where the backend is, or was a moment ago; family 0 if it never was anywhere. */
struct sockaddr_any pool_address(const struct pool *pool, size_t backend);

/*
 * The backend did not answer at this address, or did. True if this opened its circuit, or has ended
 * its failures. If it has another address by now, the failure says nothing of it.
 */
bool pool_failed(
	struct pool *pool, size_t backend, const struct sockaddr_any *addr, uint64_t now_ms);
bool pool_answered(struct pool *pool, size_t backend);

/* The source address for the next attempt, in turn; NULL if the kernel is to choose. */
const struct sockaddr_any *pool_source(struct pool *pool);
