/*
 * nft_guard_wanted - what the gateway wants in the guard table (nft_guard.h), as plain data.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define NFT_GUARD_TABLE "sixgate-guard"

/* What is done to packets, and by which chain. */
enum nft_guard_kind {
	NFT_GUARD_BAN,		    /* bans: dropped */
	NFT_GUARD_PASS,		    /* refuse: these are not refused, whatever comes after */
	NFT_GUARD_RESET,	    /* refuse: by a TCP reset */
	NFT_GUARD_PORT_UNREACHABLE, /* refuse: by that error of ICMP or ICMPv6, like the next */
	NFT_GUARD_ADMIN_PROHIBITED,
};

struct nft_guard_rule {
	enum nft_guard_kind kind;
	uint8_t family;	    /* AF_INET or AF_INET6 */
	uint8_t l4proto;    /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t prefix_len; /* 0: any address of this machine */
	uint8_t addr[16];   /* network order; bits beyond prefix_len are zero */
	uint16_t port_min;  /* 1 to 65535, host order */
	uint16_t port_max;
	uint32_t ifindex; /* came in by this interface; 0: by any */
};

/* In the order in which the kernel tries them, of each chain. The caller's. */
struct nft_guard_wanted {
	struct nft_guard_rule *rules;
	size_t n_rules;
};

#define NFT_GUARD_COMMENT_MAX 120 /* bytes; the rest is not shown */

/* Who is banned: a prefix. Of those in the table no two overlap. */
struct nft_guard_element {
	uint8_t family;	     /* AF_INET or AF_INET6 */
	uint8_t prefix_len;  /* 1 to 32 or 128 */
	uint8_t addr[16];    /* network order; bits beyond prefix_len are zero */
	uint64_t timeout_ms; /* when the kernel lets it go; 0: never */
	const char *comment; /* NULL: none. Not looked at for removal, nor is the timeout */
};
