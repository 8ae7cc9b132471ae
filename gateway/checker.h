/*
 * checker - asks the backends of all pools with a "check", again and again, and says in pool_state
 * which are up.
 *
 * The supervisor's. The workers see a change at once, and without a lock.
 */
#pragma once

#include "config.h"
#include "loop.h"
#include "pool_state.h"

struct checker;

/* Begins. All three must outlive it. 0 or -ENOMEM. */
int checker_start(struct loop *loop, const struct config *config, struct pool_state *state,
	struct checker **ret_checker);
/* Takes NULL, like the next two. */
void checker_stop(struct checker *checker);
/* In a child: lets go of the sockets, which go on in the parent. */
void checker_abandon(struct checker *checker);

/* Counters, into the log. */
void checker_log(const struct checker *checker);
