#include "nft_batch.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* What a batch's begin or end takes, or the two headers of a message: 20 bytes each. */
#define FRAME_MAX 64U
#define SIZE_MIN  4096U

/* Zeroes it, so that no byte of the heap gets to the kernel as padding. */
static bool make_room(struct nft_batch *batch, size_t room)
{
	size_t size = batch->size ? batch->size : SIZE_MIN;
	char *bigger;

	if (batch->err)
		return false;
	while (size - batch->len < room)
		size *= 2;
	if (size > batch->size) {
		bigger = realloc(batch->buf, size);
		if (!bigger) {
			batch->err = -ENOMEM;
			return false;
		}
		batch->buf = bigger;
		batch->size = size;
	}
	memset(batch->buf + batch->len, 0, room);
	return true;
}

void nft_batch_begin(struct nft_batch *batch, uint32_t seq)
{
	*batch = (struct nft_batch){ .seq = seq };
	if (make_room(batch, FRAME_MAX))
		batch->len = NLMSG_ALIGN(nftnl_batch_begin(batch->buf, batch->seq++)->nlmsg_len);
}

struct nlmsghdr *nft_batch_put(struct nft_batch *batch, uint16_t type, uint16_t flags, size_t room)
{
	/* The end has its place already. */
	if (!make_room(batch, FRAME_MAX + room + FRAME_MAX))
		return NULL;
	batch->last = batch->len;
	return nftnl_nlmsg_build_hdr(
		batch->buf + batch->len, type, NFPROTO_INET, flags, batch->seq++);
}

void nft_batch_close(struct nft_batch *batch)
{
	const struct nlmsghdr *message;

	if (batch->err)
		return;
	message = (const void *)(batch->buf + batch->last);
	batch->len += NLMSG_ALIGN(message->nlmsg_len);
	batch->n_added++;
}

void nft_batch_fail(struct nft_batch *batch, int err)
{
	if (!batch->err)
		batch->err = err;
}

int nft_batch_finish(struct nft_batch *batch, uint32_t *ret_last)
{
	struct nlmsghdr *last;

	if (batch->err)
		return batch->err;
	last = (void *)(batch->buf + batch->last);
	last->nlmsg_flags |= NLM_F_ACK;
	batch->len +=
		NLMSG_ALIGN(nftnl_batch_end(batch->buf + batch->len, batch->seq++)->nlmsg_len);
	*ret_last = last->nlmsg_seq;
	return 0;
}

void nft_batch_destroy(struct nft_batch *batch)
{
	free(batch->buf);
	*batch = (struct nft_batch){ 0 };
}

int nft_batch_send(struct nft_batch *batch, struct nl_channel *channel)
{
	uint32_t last = 0;
	int err;

	if (batch->err || batch->n_added == 0)
		return batch->err;
	err = nft_batch_finish(batch, &last);
	if (err)
		return err;
	channel->seq = last + 1; /* that of the batch's end */
	return nl_channel_request(channel, batch->buf, batch->len, last);
}
