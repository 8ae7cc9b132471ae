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
 * Adds the rule's expressions. answer: as chain "answer" needs them, for packets on their way back:
 * source instead of destination. 0, -ENOMEM, or -EINVAL for a rule that cannot be said (a family
 * that is none, a prefix longer than an address, ports the wrong way round, rules of sockets for
 * other than IPv4); after -ENOMEM the object has some of them and is to be freed.
 */
int nft_rule_fill(struct nftnl_rule *object, const struct nft_rule *rule, bool answer);

/*
 * The rule in the words of nft, without its chain, as packets that come in see it (net_text.c turns
 * it round for answers), into buf. The length as snprintf(3) counts it; cut off, but terminated, if
 * that is size or more. The rule must be one that can be said.
 */
int nft_rule_text(const struct nft_rule *rule, char *buf, size_t size);
