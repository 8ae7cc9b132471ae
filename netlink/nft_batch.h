/*
 * nft_batch - messages to nftables that the kernel takes or refuses as one.
 *
 * Sticky: once something could not be added, the rest is left out and nft_batch_finish() says so.
 * Source: linux/netfilter/nfnetlink.h.
 *
 * On the wire it is NFNL_MSG_BATCH_BEGIN, the messages, NFNL_MSG_BATCH_END, in one datagram, each
 * with the next sequence number. The kernel changes over from what was to what is told at one
 * moment, so no packet meets half of it. The last message alone asks for an acknowledgement; what
 * is wrong with another one is told under that one's number.
 */
#pragma once

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

#include "nl_channel.h"

/* Zeroed or begun; to be destroyed either way. Grows as it needs. */
struct nft_batch {
	char *buf;	  /* its own; may move with each message */
	size_t len;	  /* bytes that are whole messages */
	size_t size;	  /* bytes that there is room for */
	uint32_t seq;	  /* of the next message */
	size_t last;	  /* where the last message begins, 0: there is none */
	uint32_t n_added; /* messages between begin and end */
	int err;	  /* 0 or a negative errno */
};

/*
 * seq: the sequence number of the first message, that of the batch's begin. What batch held before
 * is overwritten, and not freed. Failure is kept for nft_batch_finish().
 */
void nft_batch_begin(struct nft_batch *batch, uint32_t seq);

/*
 * The header of a new message to family inet, behind which there is room for so many bytes, all
 * zero; NULL: no memory, or the batch has failed before. type: NFT_MSG_*, flags: NLM_F_* beside
 * REQUEST. Good until the next call of a function here. It is in the batch once it is closed;
 * another put before that overwrites it.
 */
struct nlmsghdr *nft_batch_put(struct nft_batch *batch, uint16_t type, uint16_t flags, size_t room);
/* Counts the message that was put last, now that it is whole. Nothing, if the batch has failed. */
void nft_batch_close(struct nft_batch *batch);

/* From outside: what was to be added could not be made. err: a negative errno; the first counts. */
void nft_batch_fail(struct nft_batch *batch, int err);

/*
 * Ends it, once; there must be a message in it. ret_last: the sequence number that
 * nl_channel_request() waits for; that of the batch's end is one more. 0 or batch->err.
 */
int nft_batch_finish(struct nft_batch *batch, uint32_t *ret_last);
/* Takes a zeroed one. */
void nft_batch_destroy(struct nft_batch *batch);

/*
 * Finishes the batch, which was begun with the channel's next sequence number, sends it and waits.
 * Nothing is sent if nothing was added. 0 or a negative errno, see nl_channel_request().
 */
int nft_batch_send(struct nft_batch *batch, struct nl_channel *channel);
