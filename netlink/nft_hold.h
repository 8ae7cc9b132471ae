/*
 * nft_hold - the nftables table that holds clients' SYNs in a packet queue, and refuses those that
 * come back from it with a mark that says so.
 *
 * The table belongs to the socket that made it (NFT_TABLE_F_OWNER, Linux 5.12): it is gone when
 * that is closed, and nobody else can change it. Its chains are at input, behind every filter of
 * the machine, so that what a firewall drops is not held: "hold" (priority 200) leads SYNs to the
 * queue, "answer" (201) is where they go on. See nft(8), linux/netfilter/nf_tables.h.
 *
 * A kernel without the expression "queue" (CONFIG_NFT_QUEUE) has the target NFQUEUE of xtables,
 * which nft_compat makes an expression.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nl_channel.h"

#define NFT_HOLD_TABLE_MAX 32

/*
 * Marks of packets that come out of the queue; the rest are left as they were. All 32 bits count:
 * what others had in the mark is gone, at a place where no more routing is decided by it.
 */
#define NFT_HOLD_MARK	      0x68010000U
#define NFT_HOLD_MARK_REFUSAL (NFT_HOLD_MARK + 1U)     /* plus enum nft_hold_refusal */
#define NFT_HOLD_MARK_WORKER  (NFT_HOLD_MARK + 0x100U) /* plus the worker's index */

/* What a refused client is told; by ICMP or ICMPv6, whichever it speaks. */
enum nft_hold_refusal {
	NFT_HOLD_RESET,
	NFT_HOLD_HOST_UNREACHABLE,
	NFT_HOLD_NET_UNREACHABLE,
	NFT_HOLD_PROHIBITED,
	NFT_HOLD_REFUSALS
};

struct nft_hold_bind {
	uint8_t family;	  /* AF_INET or AF_INET6 */
	bool any;	  /* any address of this machine: all that come to input */
	uint8_t addr[16]; /* network order, in the first 4 or 16 bytes; not looked at if any */
	uint16_t port;	  /* host order */
};

/* All of it is the caller's, and copied. */
struct nft_hold {
	const char *table; /* shorter than NFT_HOLD_TABLE_MAX */
	uint16_t queue;	   /* of nf_queue.h, which is to be open: else packets pass, unheld */
	bool native;	   /* the expression "queue", or else the target NFQUEUE */
	const struct nft_hold_bind *binds;
	size_t n_binds;
};

/*
 * The batch that makes the table, as nft_table_encode() does. *ret_buf is freed by the caller. 0,
 * -ENOMEM, or -EINVAL for a family that is none or a name that is too long. It fails, and does not
 * replace, if there is a table of that name.
 */
int nft_hold_encode(const struct nft_hold *hold, uint32_t seq, void **ret_buf, size_t *ret_len,
	uint32_t *ret_last);

/*
 * Makes the table, in the way that this kernel knows; hold->native is not looked at. channel:
 * NETLINK_NETFILTER, whose table it is from now on. 0; -EPERM: without CAP_NET_ADMIN, or it is
 * somebody else's; -EOPNOTSUPP, -EINVAL: this kernel lacks something (the latter: tables with an
 * owner); -EEXIST: there is such a table, or another negative errno. Called by the holder.
 */
int nft_hold_install(struct nl_channel *channel, const struct nft_hold *hold);

/* Takes it away again; who is in the queue stays there. 0 or a negative errno. */
int nft_hold_remove(struct nl_channel *channel, const char *table);
