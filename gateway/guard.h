/*
 * guard - the supervisor's hand on the guard table (nft_guard.h): while a pool is down, new clients
 * of its listeners are refused before they are accepted.
 *
 * Where the table cannot be had, one line in the log says why, and workers accept such clients and
 * reset them.
 */
#pragma once

#include "config.h"
#include "loop.h"
#include "pool_state.h"

struct guard;

/* Begins. All three must outlive it. 0 or -ENOMEM; a table that cannot be had is no failure. */
int guard_start(struct loop *loop, const struct config *config, struct pool_state *pools,
	struct guard **ret_guard);
/* Takes the table away. Takes NULL, like the next two. */
void guard_stop(struct guard *guard);
/* In a child: lets go of the table, which goes on in the parent. */
void guard_abandon(struct guard *guard);

/* Counters, into the log. */
void guard_log(const struct guard *guard);
