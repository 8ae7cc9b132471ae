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
	uint32_t hook; /* NF_INET_* */
	int32_t priority;
};

extern const struct nft_chain nft_chains[NFT_CHAINS];

bool nft_chain_has(size_t chain, const struct nft_rule *rule);
bool nft_chain_is_used(size_t chain, const struct nft_wanted *wanted);

/* The objects as they are sent. The caller frees them. 0, -ENOMEM, -EINVAL. */
int nft_chain_make(size_t chain, struct nftnl_chain **ret_object);
int nft_chain_make_rule(size_t chain, const struct nft_rule *rule, struct nftnl_rule **ret_object);

/* The name of the rule's chain ("divert"), and of a second one for NOTRACK ("answer"), else NULL.
 */
const char *nft_chain_of(const struct nft_rule *rule, const char **ret_second);
