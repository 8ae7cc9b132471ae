/*
 * guard_wanted - which rules the guard table is to hold: plain functions over plain data.
 *
 * Every rule concerns the binds of our own listeners, so nothing here keeps anybody from the other
 * services of this machine.
 */
#pragma once

#include <nft_guard.h>
#include <stdbool.h>

#include "config.h"
#include "drain_state.h"

struct guard_view {
	const bool *pool_down;		  /* one for each of config.pools */
	bool has_bans;			  /* somebody is banned */
	const struct drain_state *drains; /* NULL: no listener is drained */
};

/*
 * The rules in the order in which packets meet them, and the first that fits decides: first all
 * bans, then refusals. Of binds that overlap the narrower one comes first, and is spared if its
 * clients are let in. UDP has bans and no refusals: there is no handshake to refuse. The caller
 * frees ret_wanted->rules. 0 or -ENOMEM, and ret_wanted is untouched.
 */
int guard_wanted_make(const struct config *config, const struct guard_view *view,
	struct nft_guard_wanted *ret_wanted);
