/*
 * nft_guard_encode - the batches of the guard table, as bytes. Used by nft_guard only.
 */
#pragma once

#include "nft_batch.h"
#include "nft_guard_wanted.h"

#define NFT_GUARD_SET4		  "banned4"
#define NFT_GUARD_SET6		  "banned6"
#define NFT_GUARD_COUNTER_BANNED  "banned"
#define NFT_GUARD_COUNTER_REFUSED "refused"

/*
 * The table, which must not be there yet, with its sets, counters and inner chains, which stay as
 * long as it does: rules refer to them.
 */
void nft_guard_put_table(struct nft_batch *batch);
/* A table of this name that nobody owns goes. In front of nft_guard_put_table(), in its batch. */
void nft_guard_put_removal(struct nft_batch *batch);

/*
 * These rules in place of what the chains hold. hooks: a bit for each chain with a hook that the
 * kernel has; what it will have then is returned, and is true once the batch was taken. A rule that
 * cannot be said fails the batch with -EINVAL.
 */
unsigned nft_guard_put_rules(
	struct nft_batch *batch, const struct nft_guard_wanted *wanted, unsigned hooks);
