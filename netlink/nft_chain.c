#include "nft_chain.h"

#include <errno.h>
#include <linux/netfilter.h>

#include "nft_rule.h"

/*
 * The priorities are those that nft(8) calls mangle and raw, and net_text.c writes: raw is before
 * conntrack (-200), which would have tracked the packet already. Type "filter" will do for all: a
 * chain of type "route", which looks for another route when the mark has changed, is of use at
 * output only.
 */
const struct nft_chain nft_chains[NFT_CHAINS] = {
	{ "divert", NF_INET_PRE_ROUTING, -150 },
	{ "track", NF_INET_PRE_ROUTING, -300 },
	{ "answer", NF_INET_LOCAL_OUT, -300 },
};

bool nft_chain_has(size_t chain, const struct nft_rule *rule)
{
	return rule->kind == NFT_RULE_NOTRACK ? chain > 0 : chain == 0;
}

bool nft_chain_is_used(size_t chain, const struct nft_wanted *wanted)
{
	for (size_t i = 0; i < wanted->n_rules; i++)
		if (nft_chain_has(chain, &wanted->rules[i]))
			return true;
	return false;
}

const char *nft_chain_of(const struct nft_rule *rule, const char **ret_second)
{
	bool notrack = rule->kind == NFT_RULE_NOTRACK;

	*ret_second = notrack ? nft_chains[2].name : NULL;
	return nft_chains[notrack ? 1 : 0].name;
}

int nft_chain_make(size_t chain, struct nftnl_chain **ret_object)
{
	struct nftnl_chain *object = nftnl_chain_alloc();
	int err = object ? 0 : -ENOMEM;

	if (!err &&
		(nftnl_chain_set_str(object, NFTNL_CHAIN_TABLE, NFT_TABLE_NAME) < 0 ||
			nftnl_chain_set_str(object, NFTNL_CHAIN_NAME, nft_chains[chain].name) < 0 ||
			nftnl_chain_set_str(object, NFTNL_CHAIN_TYPE, "filter") < 0))
		err = -ENOMEM;
	if (err) {
		if (object)
			nftnl_chain_free(object);
		return err;
	}
	nftnl_chain_set_u32(object, NFTNL_CHAIN_FAMILY, NFPROTO_INET);
	nftnl_chain_set_u32(object, NFTNL_CHAIN_HOOKNUM, nft_chains[chain].hook);
	nftnl_chain_set_s32(object, NFTNL_CHAIN_PRIO, nft_chains[chain].priority);
	nftnl_chain_set_u32(object, NFTNL_CHAIN_POLICY, NF_ACCEPT);
	*ret_object = object;
	return 0;
}

int nft_chain_make_rule(size_t chain, const struct nft_rule *rule, struct nftnl_rule **ret_object)
{
	struct nftnl_rule *object = nftnl_rule_alloc();
	int err = object ? 0 : -ENOMEM;

	if (!err &&
		(nftnl_rule_set_str(object, NFTNL_RULE_TABLE, NFT_TABLE_NAME) < 0 ||
			nftnl_rule_set_str(object, NFTNL_RULE_CHAIN, nft_chains[chain].name) < 0))
		err = -ENOMEM;
	if (!err) {
		nftnl_rule_set_u32(object, NFTNL_RULE_FAMILY, NFPROTO_INET);
		err = nft_rule_fill(object, rule, chain == 2);
	}
	if (err) {
		if (object)
			nftnl_rule_free(object);
		return err;
	}
	*ret_object = object;
	return 0;
}
