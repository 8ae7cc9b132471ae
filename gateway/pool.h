/*
 * pool - one worker's view of a configured pool: choice of backend and of source address.
 *
 * Nothing here knows of sockets. What other processes have to know, or say, is in pool_state.h.
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
	size_t turn;			/* of balance_least() */
	size_t next_source;
};

struct pool_request {
	const struct sockaddr_any *client;
	uint64_t now_ms;
	const uint16_t *tried; /* backends that this client was sent to already */
	size_t n_tried;
};

/* 0 or -ENOMEM. config and state must outlive the pool, which is config.pools[index]. */
int pool_init(struct pool *pool, const struct config *config, size_t index,
	struct pool_state *state, size_t worker);
void pool_destroy(struct pool *pool);

/*
 * The backend for a flow: of those with a weight that are up and not full, whose circuit is closed,
 * and that were not tried. If there are none, of the backups; if there are none either, of those
 * whose circuit is open. BALANCE_NONE if there are no others.
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
void pool_give(struct pool *pool, size_t backend, bool moves);

/* Where the backend is, or was a moment ago. */
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
