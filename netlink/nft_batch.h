/*
 * nft_batch - messages to nftables that the kernel takes or refuses as one.
 *
 * Sticky: once something could not be added, the rest is left out and nft_batch_finish() says so.
 * Source: linux/netfilter/nfnetlink.h.
 */
#pragma once

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

#include "nl_channel.h"

/* Zeroed or begun; to be destroyed either way. Grows as it needs. */
struct nft_batch {
	char *buf;
	size_t len;
	size_t size;
	uint32_t seq;	  /* of the next message */
	size_t last;	  /* where the last message begins, 0: there is none */
	uint32_t n_added; /* messages between begin and end */
	int err;	  /* 0 or a negative errno */
};

/* seq: the sequence number of the first message. */
void nft_batch_begin(struct nft_batch *batch, uint32_t seq);

/*
 * The header of a new message to family inet, behind which there is room for so many bytes; NULL:
 * no memory. type: NFT_MSG_*, flags: NLM_F_*. Good until the next call of a function here.
 */
struct nlmsghdr *nft_batch_put(struct nft_batch *batch, uint16_t type, uint16_t flags, size_t room);
/* Counts the message that was put last, now that it is whole. */
void nft_batch_close(struct nft_batch *batch);

/* From outside: what was to be added could not be made. err: a negative errno; the first counts. */
void nft_batch_fail(struct nft_batch *batch, int err);

/* Ends it. ret_last: the sequence number that nl_channel_request() waits for. 0 or batch->err. */
int nft_batch_finish(struct nft_batch *batch, uint32_t *ret_last);
/* Takes a zeroed one. */
void nft_batch_destroy(struct nft_batch *batch);

/*
 * Finishes the batch, which was begun with the channel's next sequence number, sends it and waits.
 * Nothing is sent if nothing was added. 0 or a negative errno, see nl_channel_request().
 */
int nft_batch_send(struct nft_batch *batch, struct nl_channel *channel);
