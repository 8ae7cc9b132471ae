/*
 * nft_chain - the chains of our table, and which rules are in them. Used by nft_table only.
 */
#pragma once

#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <stdbool.h>

#include "nft_wanted.h"

#define NFT_CHAINS 3

struct nft_chain {
	const char *name;
	uint32_t hook;	  /* NF_INET_* */
	int32_t priority; /* the lower one is first at its hook */
};

/* "divert", "track", "answer": the chains are told by their index below. */
extern const struct nft_chain nft_chains[NFT_CHAINS];

/* Whether the rule has a part in the chain, or any of all rules has: else it is left out. */
bool nft_chain_has(size_t chain, const struct nft_rule *rule);
bool nft_chain_is_used(size_t chain, const struct nft_wanted *wanted);

/*
 * The objects as they are sent, and as the image of what is wanted is made of them, so that the two
 * cannot differ. The caller frees them. 0, -ENOMEM; -EINVAL for a rule that cannot be said; and
 * then ret_object is untouched.
 */
int nft_chain_make(size_t chain, struct nftnl_chain **ret_object);
int nft_chain_make_rule(size_t chain, const struct nft_rule *rule, struct nftnl_rule **ret_object);

/* The name of the rule's chain ("divert"), and of a second one for NOTRACK ("answer"), else NULL.
 */
const char *nft_chain_of(const struct nft_rule *rule, const char **ret_second);
