/*
 * nft_table - our table of nftables, "inet sixgate": built from plain data, read back, compared.
 *
 * The table is always replaced as a whole, in one batch that the kernel takes or refuses as one.
 * What the kernel holds is compared by its image: a text that names every chain and every
 * expression of every rule in order, so that any change by somebody else shows. Built with libnftnl
 * and libmnl; see nft(8).
 *
 *   chain divert   prerouting, mangle: which packets go to which listening socket, and the mark by
 * which answers to transparent connections find theirs chain track    prerouting, raw: what
 * conntrack leaves alone coming in chain answer   output, raw: the same for what goes out
 *
 * A chain without rules is left out; without any rule no table is wanted at all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nl_channel.h"

#define NFT_TABLE_NAME "sixgate"

enum nft_rule_kind {
	NFT_RULE_DIVERT, /* divert: to the socket that is bound to (to, to_port) */
	NFT_RULE_PASS,	 /* divert: accept; the packet finds its socket by itself */
	/*
	 * divert: what the DIVERT of the same, before it, has found no socket for gets to nobody
	 * else: a new TCP connection is reset, every datagram is answered by ICMP port unreachable.
	 */
	NFT_RULE_REFUSE,
	NFT_RULE_TRANSPARENT, /* divert: IPv4 packets of sockets with IP_TRANSPARENT get the mark */
	/*
	 * divert: those of listeners on all addresses, which are found for packets that are on
	 * their way to somebody else, lose it again. A rule of its own, since a socket in TIME-WAIT
	 * cannot be asked for this and has to keep its mark.
	 */
	NFT_RULE_WILDCARD,
	NFT_RULE_NOTRACK, /* track and answer: not tracked, both ways */
};

struct nft_rule {
	enum nft_rule_kind kind;
	uint8_t family;	    /* AF_INET or AF_INET6 */
	uint8_t l4proto;    /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t prefix_len; /* 0: any address of this machine (fib daddr type local) */
	uint8_t addr[16];   /* network order; bits beyond prefix_len are zero */
	uint16_t port_min;  /* 1 to 65535, host order */
	uint16_t port_max;
	uint8_t to[16];
	uint16_t to_port;
	uint32_t mark; /* TRANSPARENT: these bits of mask are set; WILDCARD: all of mask cleared */
	uint32_t mask;
};

/* Rules in the order in which the kernel tries them. */
struct nft_wanted {
	struct nft_rule *rules;
	size_t n_rules;
};

/*
 * The batch that makes the kernel hold just these rules, or, without any, none of our table. seq is
 * the first sequence number used, ret_last the last: the one that nl_channel_request() waits for.
 * *ret_buf is freed by the caller. 0, -ENOMEM, or -EINVAL.
 */
int nft_table_encode(const struct nft_wanted *wanted, uint32_t seq, void **ret_buf, size_t *ret_len,
	uint32_t *ret_last);

/* The image of what is wanted; "" if no rule is. The caller frees it. 0 or -ENOMEM. */
int nft_table_image(const struct nft_wanted *wanted, char **ret_image);

/*
 * The image of what the kernel holds; "" if there is no such table. channel: NETLINK_NETFILTER. 0,
 * -EPERM without CAP_NET_ADMIN, -EPROTONOSUPPORT without nftables, or another negative errno.
 */
int nft_table_read(struct nl_channel *channel, char **ret_image);

/* Puts the rules in place of what there is, as one. 0 or a negative errno, and then nothing has
 * changed. */
int nft_table_replace(struct nl_channel *channel, const struct nft_wanted *wanted);

/* The rule in the words of nft, without its chain, into buf. The length as snprintf(3) counts it.
 */
int nft_table_rule_text(const struct nft_rule *rule, char *buf, size_t size);
/* The chain the rule is in ("divert"), and a second one for NOTRACK ("answer"), else NULL. */
const char *nft_table_chain(const struct nft_rule *rule, const char **ret_second);
