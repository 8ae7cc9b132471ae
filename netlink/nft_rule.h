/*
 * nft_rule - one rule of ours as nftables expressions, and as text.
 *
 * Used by nft_table only. Source: linux/netfilter/nf_tables.h, nft(8).
 */
#pragma once

#include <libnftnl/rule.h>
#include <stdbool.h>

#include "nft_wanted.h"

/*
 * Adds the rule's expressions. answer: as chain "answer" needs them, for packets on their way back.
 * 0, -ENOMEM, or -EINVAL for a rule that cannot be said.
 */
int nft_rule_fill(struct nftnl_rule *object, const struct nft_rule *rule, bool answer);

/* The rule in the words of nft, without its chain, into buf. The length as snprintf(3) counts it.
 */
int nft_rule_text(const struct nft_rule *rule, char *buf, size_t size);
