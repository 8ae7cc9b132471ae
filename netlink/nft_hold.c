#include "nft_hold.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/xt_NFQUEUE.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "nft_expr.h"

/* What one message may take at most; the longest rule has some 600 bytes. */
#define MESSAGE_MAX  1024U
#define CHAIN_HOLD   "hold"
#define CHAIN_ANSWER "answer"
/* Behind the filters (0), the security table (50) and source NAT (100). */
#define PRIORITY_HOLD	200
#define PRIORITY_ANSWER 201

/* ---- rules ---- */

/*
 * A packet that nobody reads (BYPASS: no socket has the queue) goes on at the next chain. As a
 * target of xtables the same is a struct in the machine's own byte order, which libnftnl hands to
 * the kernel as it is, and frees with the expression.
 */
static void queue_packet(struct nft_expr *to, const struct nft_hold *hold)
{
	const struct xt_NFQ_info_v3 info = {
		.queuenum = hold->queue,
		.queues_total = 1,
		.flags = NFQ_FLAG_BYPASS,
	};
	struct nftnl_expr *expr = nft_expr_add(to, hold->native ? "queue" : "target");
	void *copy;

	if (hold->native) {
		if (expr) {
			nftnl_expr_set_u16(expr, NFTNL_EXPR_QUEUE_NUM, hold->queue);
			nftnl_expr_set_u16(expr, NFTNL_EXPR_QUEUE_TOTAL, 1);
			nftnl_expr_set_u16(expr, NFTNL_EXPR_QUEUE_FLAGS, NFT_QUEUE_FLAG_BYPASS);
		}
		return;
	}
	copy = malloc(sizeof(info));
	if (!expr || !copy) {
		to->err = -ENOMEM;
		free(copy);
		return;
	}
	memcpy(copy, &info, sizeof(info));
	nft_expr_set_text(to, expr, NFTNL_EXPR_TG_NAME, "NFQUEUE");
	nft_expr_set_u32(expr, NFTNL_EXPR_TG_REV, 3);
	nft_expr_set_data(to, expr, NFTNL_EXPR_TG_INFO, copy, sizeof(info));
} /* NOLINT(clang-analyzer-unix.Malloc): the expression owns the copy now */

/* Packets that begin a connection to the bind. */
static void fill_hold(
	struct nft_expr *expr, const struct nft_hold *hold, const struct nft_hold_bind *bind)
{
	const bool v6 = bind->family == AF_INET6;

	nft_expr_match_family(expr, bind->family);
	if (!bind->any)
		nft_expr_match_prefix(expr, v6 ? NFT_EXPR_IP6_DADDR : NFT_EXPR_IP4_DADDR,
			v6 ? 16 : 4, bind->addr, v6 ? 128 : 32);
	nft_expr_match_meta(expr, NFT_META_L4PROTO, IPPROTO_TCP);
	nft_expr_match_ports(expr, NFT_EXPR_DPORT, bind->port, bind->port);
	nft_expr_match_tcp_flags(expr, TH_FIN | TH_SYN | TH_RST | TH_ACK, TH_SYN);
	queue_packet(expr, hold);
}

/*
 * The mark has done its work, and is no business of the answer's, to which the kernel may copy it
 * (net.ipv4.fwmark_reflect): so it is cleared before.
 */
static void fill_answer(struct nft_expr *expr, enum nft_hold_refusal refusal)
{
	static const uint8_t codes[NFT_HOLD_REFUSALS] = {
		[NFT_HOLD_HOST_UNREACHABLE] = NFT_REJECT_ICMPX_HOST_UNREACH,
		[NFT_HOLD_NET_UNREACHABLE] = NFT_REJECT_ICMPX_NO_ROUTE,
		[NFT_HOLD_PROHIBITED] = NFT_REJECT_ICMPX_ADMIN_PROHIBITED,
	};
	const uint32_t mark = NFT_HOLD_MARK_REFUSAL + (uint32_t)refusal, zero = 0;
	struct nftnl_expr *set_mark;

	nft_expr_load_meta(expr, NFT_META_MARK);
	nft_expr_compare(expr, NFT_CMP_EQ, &mark, sizeof(mark));
	nft_expr_load_data(expr, NFT_REG_1, &zero, sizeof(zero));
	set_mark = nft_expr_add(expr, "meta");
	nft_expr_set_u32(set_mark, NFTNL_EXPR_META_KEY, NFT_META_MARK);
	nft_expr_set_u32(set_mark, NFTNL_EXPR_META_SREG, NFT_REG_1);
	nft_expr_reject(expr,
		refusal == NFT_HOLD_RESET ? NFT_REJECT_TCP_RST : NFT_REJECT_ICMPX_UNREACH,
		codes[refusal]);
}

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

static int put_table(struct batch *batch, const char *name, uint16_t type)
{
	struct nftnl_table *table = nftnl_table_alloc();

	if (!table || nftnl_table_set_str(table, NFTNL_TABLE_NAME, name) < 0) {
		if (table)
			nftnl_table_free(table);
		return -ENOMEM;
	}
	nftnl_table_set_u32(table, NFTNL_TABLE_FAMILY, NFPROTO_INET);
	if (type == NFT_MSG_NEWTABLE)
		nftnl_table_set_u32(table, NFTNL_TABLE_FLAGS, NFT_TABLE_F_OWNER);
	nftnl_table_nlmsg_build_payload(
		put(batch, type, type == NFT_MSG_NEWTABLE ? NLM_F_CREATE | NLM_F_EXCL : 0), table);
	close_message(batch);
	nftnl_table_free(table);
	return 0;
}

static int put_chain(struct batch *batch, const char *table, const char *name, int32_t priority)
{
	struct nftnl_chain *chain = nftnl_chain_alloc();

	if (!chain || nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, table) < 0 ||
		nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, name) < 0 ||
		nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, "filter") < 0) {
		if (chain)
			nftnl_chain_free(chain);
		return -ENOMEM;
	}
	nftnl_chain_set_u32(chain, NFTNL_CHAIN_FAMILY, NFPROTO_INET);
	nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, NF_INET_LOCAL_IN);
	nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, priority);
	nftnl_chain_set_u32(chain, NFTNL_CHAIN_POLICY, NF_ACCEPT);
	nftnl_chain_nlmsg_build_payload(put(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE), chain);
	close_message(batch);
	nftnl_chain_free(chain);
	return 0;
}

/* A rule of the bind's or, without one, of the refusal's. */
static int put_rule(struct batch *batch, const struct nft_hold *hold,
	const struct nft_hold_bind *bind, enum nft_hold_refusal refusal)
{
	struct nft_expr builder = { .rule = nftnl_rule_alloc() };

	if (!builder.rule)
		return -ENOMEM;
	if (nftnl_rule_set_str(builder.rule, NFTNL_RULE_TABLE, hold->table) < 0 ||
		nftnl_rule_set_str(
			builder.rule, NFTNL_RULE_CHAIN, bind ? CHAIN_HOLD : CHAIN_ANSWER) < 0)
		builder.err = -ENOMEM;
	nftnl_rule_set_u32(builder.rule, NFTNL_RULE_FAMILY, NFPROTO_INET);
	if (bind)
		fill_hold(&builder, hold, bind);
	else
		fill_answer(&builder, refusal);
	if (!builder.err) {
		nftnl_rule_nlmsg_build_payload(
			put(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND), builder.rule);
		close_message(batch);
	}
	nftnl_rule_free(builder.rule);
	return builder.err;
}

static int put_contents(struct batch *batch, const struct nft_hold *hold)
{
	int err = put_table(batch, hold->table, NFT_MSG_NEWTABLE);

	if (!err)
		err = put_chain(batch, hold->table, CHAIN_HOLD, PRIORITY_HOLD);
	if (!err)
		err = put_chain(batch, hold->table, CHAIN_ANSWER, PRIORITY_ANSWER);
	for (size_t i = 0; i < hold->n_binds && !err; i++)
		err = put_rule(batch, hold, &hold->binds[i], NFT_HOLD_RESET);
	for (unsigned i = 0; i < NFT_HOLD_REFUSALS && !err; i++)
		err = put_rule(batch, hold, NULL, (enum nft_hold_refusal)i);
	return err;
}

static bool is_sayable(const struct nft_hold *hold)
{
	for (size_t i = 0; i < hold->n_binds; i++)
		if (hold->binds[i].family != AF_INET && hold->binds[i].family != AF_INET6)
			return false;
	return strlen(hold->table) < NFT_HOLD_TABLE_MAX;
}

static int batch_begin(struct batch *batch, size_t messages, uint32_t seq)
{
	*batch = (struct batch){ .buf = calloc(messages + 2, MESSAGE_MAX), .seq = seq };
	if (!batch->buf)
		return -ENOMEM;
	batch->len = NLMSG_ALIGN(nftnl_batch_begin(batch->buf, batch->seq++)->nlmsg_len);
	return 0;
}

static void batch_end(struct batch *batch, void **ret_buf, size_t *ret_len, uint32_t *ret_last)
{
	batch->last->nlmsg_flags |= NLM_F_ACK;
	*ret_last = batch->last->nlmsg_seq;
	batch->len += NLMSG_ALIGN(nftnl_batch_end(batch->buf + batch->len, batch->seq)->nlmsg_len);
	*ret_buf = batch->buf;
	*ret_len = batch->len;
}

int nft_hold_encode(const struct nft_hold *hold, uint32_t seq, void **ret_buf, size_t *ret_len,
	uint32_t *ret_last)
{
	struct batch batch;
	int err;

	if (!is_sayable(hold))
		return -EINVAL;
	err = batch_begin(&batch, 3 + hold->n_binds + NFT_HOLD_REFUSALS, seq);
	if (err)
		return err;
	err = put_contents(&batch, hold);
	if (err) {
		free(batch.buf);
		return err;
	}
	batch_end(&batch, ret_buf, ret_len, ret_last);
	return 0;
}

/* ---- the kernel ---- */

static int send_batch(struct nl_channel *channel, void *buf, size_t len, uint32_t last)
{
	int err;

	channel->seq = last + 1; /* that of the batch's end */
	err = nl_channel_request(channel, buf, len, last);
	free(buf);
	return err;
}

static int install(struct nl_channel *channel, const struct nft_hold *hold, bool native)
{
	struct nft_hold way = *hold;
	uint32_t last = 0;
	void *buf = NULL;
	size_t len = 0;
	int err;

	way.native = native;
	err = nft_hold_encode(&way, nl_channel_next_seq(channel), &buf, &len, &last);
	return err ? err : send_batch(channel, buf, len, last);
}

/*
 * The kernel cannot be asked what it knows. Of an expression that it does not, it says ENOENT, and
 * as a batch is taken whole or not at all, nothing of the first is in the way of the second.
 */
int nft_hold_install(struct nl_channel *channel, const struct nft_hold *hold)
{
	int err = install(channel, hold, true);

	if (err == -ENOENT || err == -EOPNOTSUPP)
		err = install(channel, hold, false);
	return err == -ENOENT ? -EOPNOTSUPP : err;
}

int nft_hold_remove(struct nl_channel *channel, const char *table)
{
	struct batch batch;
	uint32_t last = 0;
	void *buf = NULL;
	size_t len = 0;
	int err = batch_begin(&batch, 1, nl_channel_next_seq(channel));

	if (err)
		return err;
	err = put_table(&batch, table, NFT_MSG_DELTABLE);
	if (err) {
		free(batch.buf);
		return err;
	}
	batch_end(&batch, &buf, &len, &last);
	return send_batch(channel, buf, len, last);
}
