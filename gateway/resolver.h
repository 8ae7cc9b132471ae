/*
 * resolver - looks up the backends that are names, again and again, and says in pool_state where
 * they are.
 *
 * The supervisor's. Nothing waits for it: until a name has its first answer, its backends are
 * nowhere, and so down. What it finds out is in pool_state alone; it calls nobody back.
 */
#pragma once

#include "config.h"
#include "loop.h"
#include "pool_state.h"

struct resolver;

/*
 * Begins. All three must outlive it. 0 or a negative errno; ret_resolver is NULL, which the others
 * take, if there is no name.
 */
int resolver_start(struct loop *loop, const struct config *config, struct pool_state *state,
	struct resolver **ret_resolver);
/* Gives up what is under way; addresses stay as they are. Takes NULL, as all of these. */
void resolver_stop(struct resolver *resolver);
/* In a child: lets go of the sockets, which go on in the parent. */
void resolver_abandon(struct resolver *resolver);

/* Counters, into the log. */
void resolver_log(const struct resolver *resolver);
