/*
 * nft_guard - the table "inet sixgate-guard": who does not get as far as our sockets.
 *
 * The table has an owner (NFT_TABLE_F_OWNER, Linux 5.12): the netlink socket that made it. Nobody
 * else can change or flush it, and it is gone with the socket, however its process ends. So there
 * is nothing to watch and nothing to clean up.
 *
 *   chain admit (prerouting, -310)   who is in the set "banned4" or "banned6" goes to "bans"; what
 *                                    begins a TCP connection goes to "refuse"
 *   chain bans                       packets to our listeners are dropped
 *   chain refuse                     new connections to those whose servers are down are refused
 *
 * A chain with a hook is there only while it has something to do. The order of rules is the
 * caller's. Packets are counted in the named counters "banned" and "refused".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nl_channel.h"

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

struct nft_guard {
	struct nl_channel channel; /* owns the table; fd -1: there is none */
	unsigned hooks;		   /* a bit for each chain with a hook that there is */
};

struct nft_guard_counters {
	uint64_t banned; /* packets */
	uint64_t refused;
};

/*
 * Makes the table. 0; -EPERM without CAP_NET_ADMIN; -EBUSY: another process owns a table of this
 * name; -EPROTONOSUPPORT: the kernel has no nftables, or no tables with owners; or another negative
 * errno. A table of this name that nobody owns is replaced.
 */
int nft_guard_open(struct nft_guard *guard);
/* The table goes with it. Takes a closed one. In a child: only the descriptor goes. */
void nft_guard_close(struct nft_guard *guard);

/*
 * Puts the rules in place of those there are, as one. 0 or a negative errno: what the table holds
 * then is not known, and it has to be closed and made anew.
 */
int nft_guard_set_rules(struct nft_guard *guard, const struct nft_guard_wanted *wanted);

/*
 * Changes who is banned, as one: these go, then those come. The same for failures. A removal of
 * what the kernel has let go already is one.
 */
int nft_guard_change(struct nft_guard *guard, const struct nft_guard_element *remove,
	size_t n_remove, const struct nft_guard_element *add, size_t n_add);
/* Just these are banned, whoever was before; as one. */
int nft_guard_replace(struct nft_guard *guard, const struct nft_guard_element *elements, size_t n);

/* Packets since the table was made. 0 or a negative errno. */
int nft_guard_read_counters(struct nft_guard_counters *ret_counters);
