#include "nft_table.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/rule.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>

#include "nft_chain.h"
#include "nft_image.h"

/* What one message may take at most; the longest rule has some 700 bytes. */
#define MESSAGE_MAX 1024U

/* ---- the batch ---- */

struct batch {
	char *buf;
	size_t len;
	uint32_t seq;
	struct nlmsghdr *last;
};

static struct nlmsghdr *put(struct batch *batch, uint16_t type, uint16_t flags)
{
	batch->last = nftnl_nlmsg_build_hdr(
		batch->buf + batch->len, type, NFPROTO_INET, flags, batch->seq++);
	return batch->last;
}

/* Counts the message that was built last. */
static void close_message(struct batch *batch)
{
	batch->len += NLMSG_ALIGN(batch->last->nlmsg_len);
}

static int put_table(struct batch *batch, uint16_t type)
{
	struct nftnl_table *table = nftnl_table_alloc();

	if (!table || nftnl_table_set_str(table, NFTNL_TABLE_NAME, NFT_TABLE_NAME) < 0) {
		if (table)
			nftnl_table_free(table);
		return -ENOMEM;
	}
	nftnl_table_set_u32(table, NFTNL_TABLE_FAMILY, NFPROTO_INET);
	nftnl_table_nlmsg_build_payload(
		put(batch, type, type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0), table);
	close_message(batch);
	nftnl_table_free(table);
	return 0;
}

static int put_chain(struct batch *batch, size_t chain)
{
	struct nftnl_chain *object = NULL;
	int err = nft_chain_make(chain, &object);

	if (err)
		return err;
	nftnl_chain_nlmsg_build_payload(put(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE), object);
	close_message(batch);
	nftnl_chain_free(object);
	return 0;
}

/* Without NLM_F_APPEND a rule would be put in front of those that there are. */
static int put_rule(struct batch *batch, size_t chain, const struct nft_rule *rule)
{
	struct nftnl_rule *object = NULL;
	int err = nft_chain_make_rule(chain, rule, &object);

	if (err)
		return err;
	nftnl_rule_nlmsg_build_payload(
		put(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND), object);
	close_message(batch);
	nftnl_rule_free(object);
	return 0;
}

static int put_contents(struct batch *batch, const struct nft_wanted *wanted)
{
	int err = put_table(batch, NFT_MSG_NEWTABLE);

	for (size_t chain = 0; chain < NFT_CHAINS && !err; chain++) {
		if (!nft_chain_is_used(chain, wanted))
			continue;
		err = put_chain(batch, chain);
		for (size_t i = 0; i < wanted->n_rules && !err; i++)
			if (nft_chain_has(chain, &wanted->rules[i]))
				err = put_rule(batch, chain, &wanted->rules[i]);
	}
	return err;
}

int nft_table_encode(const struct nft_wanted *wanted, uint32_t seq, void **ret_buf, size_t *ret_len,
	uint32_t *ret_last)
{
	/* Begin, end, three of the table, three chains; a rule is in two chains at most. */
	struct batch batch = {
		.buf = calloc(8 + 2 * wanted->n_rules, MESSAGE_MAX),
		.seq = seq,
	};
	int err;

	if (!batch.buf)
		return -ENOMEM;
	batch.len = NLMSG_ALIGN(nftnl_batch_begin(batch.buf, batch.seq++)->nlmsg_len);
	/* A table that is not there cannot be deleted, so it is made first: without NLM_F_EXCL, so
	 * that one that is there will do. */
	err = put_table(&batch, NFT_MSG_NEWTABLE);
	if (!err)
		err = put_table(&batch, NFT_MSG_DELTABLE);
	if (!err && wanted->n_rules > 0)
		err = put_contents(&batch, wanted);
	if (err) {
		free(batch.buf);
		return err;
	}
	batch.last->nlmsg_flags |= NLM_F_ACK;
	*ret_last = batch.last->nlmsg_seq;
	batch.len += NLMSG_ALIGN(nftnl_batch_end(batch.buf + batch.len, batch.seq)->nlmsg_len);
	*ret_buf = batch.buf;
	*ret_len = batch.len;
	return 0;
}

int nft_table_replace(struct nl_channel *channel, const struct nft_wanted *wanted)
{
	uint32_t first = nl_channel_next_seq(channel), last = 0;
	void *buf = NULL;
	size_t len = 0;
	int err;

	err = nft_table_encode(wanted, first, &buf, &len, &last);
	if (err)
		return err;
	channel->seq = last + 1; /* that of the batch's end */
	err = nl_channel_request(channel, buf, len, last);
	free(buf);
	return err;
}

/* ---- images ---- */

/* In the order of the kernel's dumps: table, chains, then rules chain by chain. */
int nft_table_image(const struct nft_wanted *wanted, char **ret_image)
{
	struct nft_image image = { 0 };
	size_t used = 0;

	for (size_t chain = 0; chain < NFT_CHAINS; chain++)
		used += nft_chain_is_used(chain, wanted);
	if (used > 0)
		nft_image_say_table(&image, 0, (uint32_t)used);
	for (size_t chain = 0; chain < NFT_CHAINS && !image.err; chain++) {
		struct nftnl_chain *object = NULL;

		if (!nft_chain_is_used(chain, wanted))
			continue;
		image.err = nft_chain_make(chain, &object);
		if (image.err)
			break;
		nft_image_say_chain(&image, object);
		nftnl_chain_free(object);
	}
	for (size_t chain = 0; chain < NFT_CHAINS; chain++)
		for (size_t i = 0; i < wanted->n_rules && !image.err; i++) {
			struct nftnl_rule *object = NULL;

			if (!nft_chain_has(chain, &wanted->rules[i]))
				continue;
			image.err = nft_chain_make_rule(chain, &wanted->rules[i], &object);
			if (image.err)
				break;
			nft_image_say_rule(&image, object);
			nftnl_rule_free(object);
		}
	return nft_image_finish(&image, ret_image);
}

/* One dump that adds to an image, and how long that was before. */
struct reading {
	struct nft_image *image;
	size_t before;
};

static int take(void *userdata, const struct nlmsghdr *message, size_t len)
{
	struct reading *reading = userdata;

	return nft_image_feed(reading->image, message, len);
}

static void restart(void *userdata)
{
	struct reading *reading = userdata;

	nft_image_cut(reading->image, reading->before);
}

static int read_kind(
	struct nl_channel *channel, uint16_t type, uint16_t attr, struct nft_image *image)
{
	struct reading reading = { .image = image, .before = image->len };
	_Alignas(8) char buf[256] = { 0 };
	struct nlmsghdr *message = nftnl_nlmsg_build_hdr(
		buf, type, NFPROTO_INET, NLM_F_DUMP, nl_channel_next_seq(channel));

	if (attr)
		mnl_attr_put_strz(message, attr, NFT_TABLE_NAME);
	return nl_channel_query(channel, buf, message->nlmsg_len, take, restart, &reading);
}

int nft_table_read(struct nl_channel *channel, char **ret_image)
{
	struct nft_image image = { 0 };
	int err;

	err = read_kind(channel, NFT_MSG_GETTABLE, 0, &image);
	if (!err && image.len > 0)
		err = read_kind(channel, NFT_MSG_GETCHAIN, 0, &image);
	if (!err && image.len > 0)
		err = read_kind(channel, NFT_MSG_GETRULE, NFTA_RULE_TABLE, &image);
	if (err == -EOPNOTSUPP || err == -ENOSYS)
		err = -EPROTONOSUPPORT;
	if (err)
		image.err = err;
	return nft_image_finish(&image, ret_image);
}
