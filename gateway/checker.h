/*
 * checker - asks the backends of all pools with a "check", again and again, and says in pool_state
 * which are up.
 *
 * The supervisor's, in its loop: nothing waits, and a check costs a socket while it lasts. The
 * workers see a change at once, and without a lock. A pool without "check" is not touched; its
 * backends are up unless it is known better (circuit, orders, names).
 */
#pragma once

#include "config.h"
#include "estate.h"
#include "loop.h"
#include "pool_state.h"

struct checker;

/*
 * Before anybody asks who is up, and before checker_start(): backends that were down according to
 * the estate are down until a check has found them up; they go by pool and address, whatever their
 * place.
 */
void checker_inherit(
	const struct config *config, struct pool_state *state, const struct estate *estate);
/*
 * Begins. The first three must outlive it. The first checks are spread over a tenth of the
 * interval. 0 or -ENOMEM, and ret_checker is untouched.
 */
int checker_start(struct loop *loop, const struct config *config, struct pool_state *state,
	struct checker **ret_checker);
/* Into the estate for the next image, which are down. Takes NULL. 0 or a negative errno. */
int checker_bequeath(const struct checker *checker, struct estate *estate);
/* Takes NULL, like the next two. */
void checker_stop(struct checker *checker);
/* In a child: lets go of the sockets, which go on in the parent. */
void checker_abandon(struct checker *checker);

/* Counters, into the log. */
void checker_log(const struct checker *checker);
