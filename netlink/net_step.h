/*
 * net_step - does one step in the kernel, and says whether it had to be done.
 */
#pragma once

#include "net_channels.h"
#include "net_plan.h"

/*
 * wanted: for NET_STEP_NFT. 0 and whether anything was changed; or a negative errno: what the
 * kernel says, -EEXIST if something else stands in the way.
 */
int net_step_run(struct net_channels *channels, const struct net_step *step,
	const struct net_wanted *wanted, bool *ret_changed);

/* Whether what an adding step is to add is there already, made by us or by somebody else. */
int net_step_is_done(struct net_channels *channels, const struct net_step *step, bool *ret_done);
