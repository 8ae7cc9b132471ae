/*
 * net_step - does one step in the kernel, and says whether it had to be done.
 *
 * Between the plan and a step others may have made or removed the same thing; who wins is decided
 * by the kernel, and by what it says of it. So a step may be done twice, and a second time changes
 * nothing.
 */
#pragma once

#include "net_channels.h"
#include "net_plan.h"

/*
 * wanted: for NET_STEP_NFT. Of what has a link the index must be set. 0 and whether anything was
 * changed; or a negative errno, and ret_changed is untouched: what the kernel says, -EEXIST if
 * something else stands in the way, -EPROTONOSUPPORT without nftables, -ETIMEDOUT if it is not
 * known whether it was done. What is to be removed and is not there, or not ours, is 0 and no
 * change.
 */
int net_step_run(struct net_channels *channels, const struct net_step *step,
	const struct net_wanted *wanted, bool *ret_changed);

/*
 * Whether what an adding step is to add is there already, made by us or by somebody else; of other
 * steps, and of nftables, false. Reads all of the kind in its family (of routes: in its table). 0
 * or a negative errno, and ret_done is untouched.
 */
int net_step_is_done(struct net_channels *channels, const struct net_step *step, bool *ret_done);
