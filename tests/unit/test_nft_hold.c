/*
 * The batch message by message; of the rules' expressions those byte by byte that no other table
 * has (linux/netfilter/nf_tables.h, xt_NFQUEUE.h). Little-endian.
 */
#include "unit.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "nft_hold.h"

static const struct nft_hold_bind binds[] = {
	{ .family = AF_INET6, .any = true, .port = 80 },
	{ .family = AF_INET, .addr = { 203, 0, 113, 80 }, .port = 443 },
};
static const struct nft_hold wanted = {
	.table = "sixgate-hold-16600",
	.queue = 16600,
	.native = true,
	.binds = binds,
	.n_binds = 2,
};

static const uint8_t native_queue[] = {
	'q', 'u', 'e', 'u', 'e', 0, 0, 0, 0x1c, 0, 0x02, 0x80, /* NFTA_EXPR_DATA */
	0x06, 0, 0x01, 0, 0x40, 0xd8, 0, 0,		       /* NFTA_QUEUE_NUM: 16600 */
	0x06, 0, 0x02, 0, 0, 1, 0, 0,			       /* NFTA_QUEUE_TOTAL: 1 */
	0x06, 0, 0x03, 0, 0, 1, 0, 0,			       /* NFTA_QUEUE_FLAGS: bypass */
};

static const uint8_t compat_queue[] = {
	't', 'a', 'r', 'g', 'e', 't', 0, 0, 0x24, 0, 0x02, 0x80, /* NFTA_EXPR_DATA */
	0x0c, 0, 0x01, 0, 'N', 'F', 'Q', 'U', 'E', 'U', 'E', 0,	 /* NFTA_TARGET_NAME */
	0x08, 0, 0x02, 0, 0, 0, 0, 3,				 /* NFTA_TARGET_REV */
	0x0a, 0, 0x03, 0, 0xd8, 0x40, 1, 0, 1, 0, 0, 0,		 /* struct xt_NFQ_info_v3 */
};

static const uint8_t syn_only[] = {
	0x05, 0, 0x01, 0, 0x17, 0, 0, 0, /* of FIN, SYN, RST and ACK */
};

static bool contains(const void *message, size_t len, const void *bytes, size_t n)
{
	return memmem(message, len, bytes, n) != NULL;
}

struct batch {
	char *buf;
	size_t len;
	uint32_t last;
};

static struct batch encode(const struct nft_hold *hold)
{
	struct batch batch = { 0 };
	void *buf = NULL;

	assert_int_equal(nft_hold_encode(hold, 100, &buf, &batch.len, &batch.last), 0);
	batch.buf = buf;
	return batch;
}

/* Messages are aligned, as the batch is. */
static const struct nlmsghdr *message_at(const struct batch *batch, size_t at)
{
	assert_true(at + sizeof(struct nlmsghdr) <= batch->len);
	return (const struct nlmsghdr *)(const void *)(batch->buf + at);
}

static const struct nlmsghdr *nth(const struct batch *batch, size_t n)
{
	size_t at = 0;

	for (; n > 0; n--)
		at += NLMSG_ALIGN(message_at(batch, at)->nlmsg_len);
	return message_at(batch, at);
}

static void test_messages(void **state)
{
	static const uint16_t types[] = { NFT_MSG_NEWTABLE, NFT_MSG_NEWCHAIN, NFT_MSG_NEWCHAIN,
		NFT_MSG_NEWRULE, NFT_MSG_NEWRULE, NFT_MSG_NEWRULE, NFT_MSG_NEWRULE, NFT_MSG_NEWRULE,
		NFT_MSG_NEWRULE };
	static const uint8_t owner[] = { 0x08, 0, 0x02, 0, 0, 0, 0, NFT_TABLE_F_OWNER };
	struct batch batch = encode(&wanted);
	size_t n = sizeof(types) / sizeof(types[0]);

	(void)state;
	assert_int_equal(nth(&batch, 0)->nlmsg_type, NFNL_MSG_BATCH_BEGIN);
	for (size_t i = 0; i < n; i++) {
		const struct nlmsghdr *message = nth(&batch, i + 1);

		assert_int_equal(message->nlmsg_type, NFNL_SUBSYS_NFTABLES << 8 | types[i]);
		assert_int_equal(message->nlmsg_seq, 101 + i);
		assert_true(
			contains(message, message->nlmsg_len, wanted.table, strlen(wanted.table)));
	}
	assert_true(contains(nth(&batch, 1), nth(&batch, 1)->nlmsg_len, owner, sizeof(owner)));
	/* A table that is there already is somebody else's. */
	assert_true(nth(&batch, 1)->nlmsg_flags & NLM_F_EXCL);
	assert_int_equal(batch.last, 100 + n);
	assert_true(nth(&batch, n)->nlmsg_flags & NLM_F_ACK);
	assert_int_equal(nth(&batch, n + 1)->nlmsg_type, NFNL_MSG_BATCH_END);
	free(batch.buf);
}

static void test_both_ways_to_the_queue(void **state)
{
	for (int native = 0; native < 2; native++) {
		struct nft_hold hold = wanted;
		struct batch batch;

		hold.native = native;
		batch = encode(&hold);
		for (size_t i = 0; i < 2; i++) {
			const struct nlmsghdr *rule = nth(&batch, 4 + i);

			assert_int_equal(
				contains(rule, rule->nlmsg_len, native_queue, sizeof(native_queue)),
				native);
			assert_int_equal(
				contains(rule, rule->nlmsg_len, compat_queue, sizeof(compat_queue)),
				!native);
			assert_true(contains(rule, rule->nlmsg_len, syn_only, sizeof(syn_only)));
			assert_int_equal(contains(rule, rule->nlmsg_len, binds[1].addr, 4), i == 1);
		}
		free(batch.buf);
	}
	(void)state;
}

static void test_refusals(void **state)
{
	/* NFTA_REJECT_TYPE and NFTA_REJECT_ICMP_CODE. */
	static const uint8_t ways[NFT_HOLD_REFUSALS][16] = {
		{ 0x08, 0, 0x01, 0, 0, 0, 0, NFT_REJECT_TCP_RST, 0x05, 0, 0x02, 0, 0 },
		{ 0x08, 0, 0x01, 0, 0, 0, 0, NFT_REJECT_ICMPX_UNREACH, 0x05, 0, 0x02, 0,
			NFT_REJECT_ICMPX_HOST_UNREACH },
		{ 0x08, 0, 0x01, 0, 0, 0, 0, NFT_REJECT_ICMPX_UNREACH, 0x05, 0, 0x02, 0,
			NFT_REJECT_ICMPX_NO_ROUTE },
		{ 0x08, 0, 0x01, 0, 0, 0, 0, NFT_REJECT_ICMPX_UNREACH, 0x05, 0, 0x02, 0,
			NFT_REJECT_ICMPX_ADMIN_PROHIBITED },
	};
	struct batch batch = encode(&wanted);

	(void)state;
	for (uint32_t i = 0; i < NFT_HOLD_REFUSALS; i++) {
		const struct nlmsghdr *rule = nth(&batch, 6 + i);
		const uint32_t mark = NFT_HOLD_MARK_REFUSAL + i;

		assert_true(contains(rule, rule->nlmsg_len, "answer", 7));
		assert_true(contains(rule, rule->nlmsg_len, &mark, sizeof(mark)));
		/* A reset has no code. */
		assert_true(contains(rule, rule->nlmsg_len, ways[i], i == 0 ? 8 : 13));
	}
	free(batch.buf);
}

static void test_many_and_bad_binds(void **state)
{
	struct nft_hold_bind many[1000];
	struct nft_hold hold = wanted;
	void *buf = NULL;
	uint32_t last;
	size_t len;

	(void)state;
	for (size_t i = 0; i < 1000; i++)
		many[i] = binds[i % 2];
	hold.native = false;
	hold.binds = many;
	hold.n_binds = 1000;
	assert_int_equal(nft_hold_encode(&hold, 1, &buf, &len, &last), 0);
	assert_int_equal(last, 1 + 3 + 1000 + NFT_HOLD_REFUSALS);
	free(buf);
	many[7].family = AF_UNIX;
	assert_int_equal(nft_hold_encode(&hold, 1, &buf, &len, &last), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_both_ways_to_the_queue),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_many_and_bad_binds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
