#include "nft_guard.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <libnftnl/object.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>
#include <unistd.h>

#include "nft_guard_elements.h"
#include "nft_guard_encode.h"

/* ---- the table ---- */

static int take_any(void *userdata, const struct nlmsghdr *message, size_t len)
{
	(void)userdata;
	(void)message;
	(void)len;
	return 0;
}

/* Whether there is a table of our name, whoever made it. */
static bool is_there(struct nl_channel *channel)
{
	_Alignas(8) char buf[256] = { 0 };
	struct nlmsghdr *message = nftnl_nlmsg_build_hdr(
		buf, NFT_MSG_GETTABLE, NFPROTO_INET, 0, nl_channel_next_seq(channel));

	mnl_attr_put_strz(message, NFTA_TABLE_NAME, NFT_GUARD_TABLE);
	return nl_channel_query(channel, buf, message->nlmsg_len, take_any, NULL, NULL) == 0;
}

static int send_table(struct nl_channel *channel, bool remove)
{
	struct nft_batch batch;
	int err;

	nft_batch_begin(&batch, nl_channel_next_seq(channel));
	if (remove)
		nft_guard_put_removal(&batch);
	nft_guard_put_table(&batch);
	err = nft_batch_send(&batch, channel);
	nft_batch_destroy(&batch);
	return err;
}

/*
 * The kernel says EEXIST of a table that anybody may change, and EPERM of one that another socket
 * owns as well as of a lack of rights: only with rights can it be asked for.
 */
static int make_table(struct nl_channel *channel)
{
	int err = send_table(channel, false);

	if (err == -EEXIST) /* restored from a file, perhaps: it has no owner */
		err = send_table(channel, true);
	if (err == -EPERM && is_there(channel))
		return -EBUSY;
	/* What is not known, is refused: the flag, or all of nftables. */
	if (err == -EINVAL || err == -EOPNOTSUPP || err == -ENOSYS)
		return -EPROTONOSUPPORT;
	return err;
}

int nft_guard_open(struct nft_guard *guard)
{
	struct nft_guard opened = { .channel.fd = -1 };
	int err = nl_channel_open(&opened.channel, NETLINK_NETFILTER, 0);

	if (!err)
		err = make_table(&opened.channel);
	if (err)
		nft_guard_close(&opened);
	else
		*guard = opened;
	return err;
}

int nft_guard_adopt(struct nft_guard *guard, int fd, unsigned hooks)
{
	struct nft_guard adopted = { .hooks = hooks };
	int err = nl_channel_adopt(&adopted.channel, fd, NETLINK_NETFILTER);

	if (!err && !is_there(&adopted.channel))
		err = -ENOENT;
	if (err)
		close(fd);
	else
		*guard = adopted;
	return err;
}

void nft_guard_close(struct nft_guard *guard)
{
	nl_channel_close(&guard->channel);
	guard->hooks = 0;
}

int nft_guard_set_rules(struct nft_guard *guard, const struct nft_guard_wanted *wanted)
{
	struct nft_batch batch;
	unsigned hooks;
	int err;

	nft_batch_begin(&batch, nl_channel_next_seq(&guard->channel));
	hooks = nft_guard_put_rules(&batch, wanted, guard->hooks);
	err = nft_batch_send(&batch, &guard->channel);
	nft_batch_destroy(&batch);
	if (!err)
		guard->hooks = hooks;
	return err;
}

int nft_guard_change(struct nft_guard *guard, const struct nft_guard_element *remove,
	size_t n_remove, const struct nft_guard_element *add, size_t n_add)
{
	struct nft_batch batch;
	int err;

	nft_batch_begin(&batch, nl_channel_next_seq(&guard->channel));
	nft_guard_elements_remove(&batch, remove, n_remove);
	nft_guard_elements_add(&batch, add, n_add);
	err = nft_batch_send(&batch, &guard->channel);
	nft_batch_destroy(&batch);
	return err;
}

int nft_guard_replace(struct nft_guard *guard, const struct nft_guard_element *elements, size_t n)
{
	struct nft_batch batch;
	int err;

	nft_batch_begin(&batch, nl_channel_next_seq(&guard->channel));
	nft_guard_elements_clear(&batch);
	nft_guard_elements_add(&batch, elements, n);
	err = nft_batch_send(&batch, &guard->channel);
	nft_batch_destroy(&batch);
	return err;
}

/* ---- counters ---- */

static int take_counter(void *userdata, const struct nlmsghdr *message, size_t len)
{
	struct nft_guard_counters *counters = userdata;
	struct nftnl_obj *object = nftnl_obj_alloc();
	const char *name;
	uint64_t packets;

	(void)len;
	if (!object)
		return -ENOMEM;
	if (nftnl_obj_nlmsg_parse(message, object) == 0 &&
		nftnl_obj_is_set(object, NFTNL_OBJ_NAME) &&
		nftnl_obj_is_set(object, NFTNL_OBJ_CTR_PKTS)) {
		name = nftnl_obj_get_str(object, NFTNL_OBJ_NAME);
		packets = nftnl_obj_get_u64(object, NFTNL_OBJ_CTR_PKTS);
		if (strcmp(name, NFT_GUARD_COUNTER_BANNED) == 0)
			counters->banned = packets;
		else if (strcmp(name, NFT_GUARD_COUNTER_REFUSED) == 0)
			counters->refused = packets;
	}
	nftnl_obj_free(object);
	return 0;
}

/* By a socket of its own: the one that owns the table may not be lost over a question. */
int nft_guard_read_counters(struct nft_guard_counters *ret_counters)
{
	struct nft_guard_counters counters = { 0 };
	struct nl_channel channel = { .fd = -1 };
	_Alignas(8) char buf[256] = { 0 };
	struct nlmsghdr *message;
	int err = nl_channel_open(&channel, NETLINK_NETFILTER, 0);

	if (err)
		return err;
	message = nftnl_nlmsg_build_hdr(
		buf, NFT_MSG_GETOBJ, NFPROTO_INET, NLM_F_DUMP, nl_channel_next_seq(&channel));
	mnl_attr_put_strz(message, NFTA_OBJ_TABLE, NFT_GUARD_TABLE);
	err = nl_channel_query(&channel, buf, message->nlmsg_len, take_counter, NULL, &counters);
	nl_channel_close(&channel);
	if (!err)
		*ret_counters = counters;
	return err;
}
