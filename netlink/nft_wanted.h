/*
 * nft_wanted - the rules that the gateway wants in its nftables table, as plain data.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

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
	uint8_t to[16];	  /* DIVERT: as addr, but whole */
	uint16_t to_port; /* DIVERT: host order */
	uint32_t mark; /* TRANSPARENT: these bits of mask are set; WILDCARD: all of mask cleared */
	uint32_t mask;
};

/* Rules in the order in which the kernel tries them. */
struct nft_wanted {
	struct nft_rule *rules;
	size_t n_rules;
};
