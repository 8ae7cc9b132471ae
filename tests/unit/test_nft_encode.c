/*
 * The batch byte by byte (linux/netfilter/nf_tables.h): headers of messages and attributes in the
 * order of a little-endian host, values in network order. 0x8000 in a type is NLA_F_NESTED. A rule
 * is a list of expressions, which stand in nft_bytes.h.
 */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "nft_bytes.h"
#include "nft_table.h"

/* ---- the messages before the rules; the first has sequence number 100 ---- */

static const uint8_t batch_begin[] = {
	0x14, 0, 0, 0, 0x10, 0, 0x01, 0, /* length, NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST */
	0x64, 0, 0, 0, 0, 0, 0, 0,	 /* sequence number, port */
	0, 0, 0, 0x0a,			 /* AF_UNSPEC, version 0, NFNL_SUBSYS_NFTABLES */
};

static const uint8_t new_table[] = {
	0x20, 0, 0, 0,		   /* length */
	0, 0x0a, 0x01, 0x04,	   /* NFT_MSG_NEWTABLE, NLM_F_REQUEST, NLM_F_CREATE */
	0x65, 0, 0, 0, 0, 0, 0, 0, /* sequence number, port */
	0x01, 0, 0, 0,		   /* NFPROTO_INET, version 0 */
	0x0c, 0, 0x01, 0, 's', 'i', 'x', 'g', 'a', 't', 'e', 0, /* NFTA_TABLE_NAME */
};

static const uint8_t delete_table[] = {
	0x20, 0, 0, 0, 0x02, 0x0a, 0x01, 0, /* length, NFT_MSG_DELTABLE, NLM_F_REQUEST */
	0x66, 0, 0, 0, 0, 0, 0, 0,	    /* sequence number, port */
	0x01, 0, 0, 0,			    /* NFPROTO_INET, version 0 */
	0x0c, 0, 0x01, 0, 's', 'i', 'x', 'g', 'a', 't', 'e', 0, /* NFTA_TABLE_NAME */
};

static const uint8_t empty_end[] = {
	0x14, 0, 0, 0, 0x11, 0, 0x01, 0, /* length, NFNL_MSG_BATCH_END, NLM_F_REQUEST */
	0x67, 0, 0, 0, 0, 0, 0, 0,	 /* sequence number, port */
	0, 0, 0, 0x0a,			 /* AF_UNSPEC, version 0, NFNL_SUBSYS_NFTABLES */
};

/* Sequence numbers are put in later, at 8. */
static const uint8_t chain_divert[] = {
	0x54, 0, 0, 0,			       /* length */
	0x03, 0x0a, 0x01, 0x04,		       /* NFT_MSG_NEWCHAIN, NLM_F_REQUEST, NLM_F_CREATE */
	0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0, 0, 0, /* sequence number, port, NFPROTO_INET, version 0 */
	0x0c, 0, 0x01, 0, 's', 'i', 'x', 'g', 'a', 't', 'e', 0, /* NFTA_CHAIN_TABLE */
	0x0b, 0, 0x03, 0, 'd', 'i', 'v', 'e', 'r', 't', 0, 0,	/* NFTA_CHAIN_NAME */
	0x14, 0, 0x04, 0x80,					/* NFTA_CHAIN_HOOK */
	0x08, 0, 0x01, 0, 0, 0, 0, 0,				/* NFTA_HOOK_HOOKNUM: PRE_ROUTING */
	0x08, 0, 0x02, 0, 0xff, 0xff, 0xff, 0x6a,		/* NFTA_HOOK_PRIORITY: -150 */
	0x08, 0, 0x05, 0, 0, 0, 0, 0x01,			/* NFTA_CHAIN_POLICY: NF_ACCEPT */
	0x0b, 0, 0x07, 0, 'f', 'i', 'l', 't', 'e', 'r', 0, 0,	/* NFTA_CHAIN_TYPE */
};

static const uint8_t chain_track[] = {
	0x54, 0, 0, 0,			       /* length */
	0x03, 0x0a, 0x01, 0x04,		       /* NFT_MSG_NEWCHAIN, NLM_F_REQUEST, NLM_F_CREATE */
	0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0, 0, 0, /* sequence number, port, NFPROTO_INET, version 0 */
	0x0c, 0, 0x01, 0, 's', 'i', 'x', 'g', 'a', 't', 'e', 0, /* NFTA_CHAIN_TABLE */
	0x0a, 0, 0x03, 0, 't', 'r', 'a', 'c', 'k', 0, 0, 0,	/* NFTA_CHAIN_NAME */
	0x14, 0, 0x04, 0x80,					/* NFTA_CHAIN_HOOK */
	0x08, 0, 0x01, 0, 0, 0, 0, 0,				/* NFTA_HOOK_HOOKNUM: PRE_ROUTING */
	0x08, 0, 0x02, 0, 0xff, 0xff, 0xfe, 0xd4,		/* NFTA_HOOK_PRIORITY: -300 */
	0x08, 0, 0x05, 0, 0, 0, 0, 0x01,			/* NFTA_CHAIN_POLICY: NF_ACCEPT */
	0x0b, 0, 0x07, 0, 'f', 'i', 'l', 't', 'e', 'r', 0, 0,	/* NFTA_CHAIN_TYPE */
};

static const uint8_t chain_answer[] = {
	0x54, 0, 0, 0,			       /* length */
	0x03, 0x0a, 0x01, 0x04,		       /* NFT_MSG_NEWCHAIN, NLM_F_REQUEST, NLM_F_CREATE */
	0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0, 0, 0, /* sequence number, port, NFPROTO_INET, version 0 */
	0x0c, 0, 0x01, 0, 's', 'i', 'x', 'g', 'a', 't', 'e', 0, /* NFTA_CHAIN_TABLE */
	0x0b, 0, 0x03, 0, 'a', 'n', 's', 'w', 'e', 'r', 0, 0,	/* NFTA_CHAIN_NAME */
	0x14, 0, 0x04, 0x80,					/* NFTA_CHAIN_HOOK */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x03,			/* NFTA_HOOK_HOOKNUM: LOCAL_OUT */
	0x08, 0, 0x02, 0, 0xff, 0xff, 0xfe, 0xd4,		/* NFTA_HOOK_PRIORITY: -300 */
	0x08, 0, 0x05, 0, 0, 0, 0, 0x01,			/* NFTA_CHAIN_POLICY: NF_ACCEPT */
	0x0b, 0, 0x07, 0, 'f', 'i', 'l', 't', 'e', 'r', 0, 0,	/* NFTA_CHAIN_TYPE */
};

/* What a rule begins with. Put in later: the length at 0, flags at 6, sequence number at 8, the
 * chain's length at 32 and name at 36, the expressions' length at 44. */
static const uint8_t rule_head[] = {
	0, 0, 0, 0, 0x06, 0x0a, 0, 0,	       /* length, NFT_MSG_NEWRULE */
	0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0, 0, 0, /* sequence number, port, NFPROTO_INET, version 0 */
	0x0c, 0, 0x01, 0, 's', 'i', 'x', 'g', 'a', 't', 'e', 0, /* NFTA_RULE_TABLE */
	0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* NFTA_RULE_CHAIN, "divert", "track" or "answer" */
	0, 0, 0x04, 0x80,		       /* NFTA_RULE_EXPRESSIONS */
};

/* ---- rules ---- */

#define EXPRS_MAX 16

/* One NEWRULE message. */
struct expected {
	uint32_t len;
	const char *chain;
	struct piece exprs[EXPRS_MAX];
};

#define DIVERT_TO_IP6 PIECE(to_address), PIECE(to_port), PIECE(to_ip6), PIECE(accept_it)
#define FROM_OUTSIDE  PIECE(load_iiftype), PIECE(is_no_loopback)
#define RESET_SYN     PIECE(load_tcp_flags), PIECE(mask_flags), PIECE(is_2), PIECE(reset_it)
#define L4_TCP	      PIECE(load_l4proto), PIECE(is_tcp)
#define L4_UDP	      PIECE(load_l4proto), PIECE(is_udp)
#define DPORT_443     PIECE(load_dport), PIECE(is_443)
#define SPORT_443     PIECE(load_sport), PIECE(is_443)

static struct nft_rule make(enum nft_rule_kind kind, const char *addr, uint8_t prefix_len)
{
	struct nft_rule rule = { .kind = kind,
		.family = strchr(addr, ':') ? AF_INET6 : AF_INET,
		.l4proto = IPPROTO_TCP,
		.prefix_len = prefix_len,
		.port_min = 443,
		.port_max = 443 };

	assert_int_equal(inet_pton(rule.family, addr, rule.addr), 1);
	if (kind == NFT_RULE_DIVERT) {
		rule.to_port = 8443;
		assert_int_equal(inet_pton(rule.family,
					 rule.family == AF_INET6 ? "::1" : "127.0.0.1", rule.to),
			1);
	}
	return rule;
}

static struct nft_rule make_udp(enum nft_rule_kind kind, const char *addr, uint8_t prefix_len)
{
	struct nft_rule rule = make(kind, addr, prefix_len);

	rule.l4proto = IPPROTO_UDP;
	return rule;
}

struct encoded {
	uint8_t *bytes;
	size_t len;
	uint32_t last;
};

static struct encoded encode(struct nft_rule *rules, size_t n, uint32_t seq)
{
	struct nft_wanted wanted = { .rules = rules, .n_rules = n };
	struct encoded encoded = { 0 };
	void *buf = NULL;

	assert_int_equal(nft_table_encode(&wanted, seq, &buf, &encoded.len, &encoded.last), 0);
	encoded.bytes = buf;
	return encoded;
}

static void put_u32(uint8_t *at, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static void put_u16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

/* Compares what comes next with the bytes, and goes on behind it. */
static void next_is(const struct encoded *encoded, size_t *at, const uint8_t *bytes, size_t len)
{
	assert_true(encoded->len - *at >= len);
	assert_memory_equal(encoded->bytes + *at, bytes, len);
	*at += len;
}

static void next_is_begin(const struct encoded *encoded, size_t *at)
{
	uint8_t again[sizeof(new_table)];

	next_is(encoded, at, batch_begin, sizeof(batch_begin));
	next_is(encoded, at, new_table, sizeof(new_table));
	next_is(encoded, at, delete_table, sizeof(delete_table));
	memcpy(again, new_table, sizeof(again));
	put_u32(again + 8, 103);
	next_is(encoded, at, again, sizeof(again));
}

static void next_is_chain(
	const struct encoded *encoded, size_t *at, const uint8_t *chain, uint32_t seq)
{
	uint8_t bytes[sizeof(chain_divert)];

	memcpy(bytes, chain, sizeof(bytes));
	put_u32(bytes + 8, seq);
	next_is(encoded, at, bytes, sizeof(bytes));
}

static void next_is_rule(const struct encoded *encoded, size_t *at, const struct expected *expected,
	uint32_t seq, bool last)
{
	uint8_t head[sizeof(rule_head)];
	size_t len = strlen(expected->chain), end = *at + expected->len;

	memcpy(head, rule_head, sizeof(head));
	put_u32(head, expected->len);
	/* NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE, NLM_F_APPEND */
	put_u16(head + 6, last ? 0x0c05 : 0x0c01);
	put_u32(head + 8, seq);
	put_u16(head + 32, (uint32_t)len + 5);
	memcpy(head + 36, expected->chain, len);
	put_u16(head + 44, expected->len - 44);
	next_is(encoded, at, head, sizeof(head));
	for (size_t i = 0; i < EXPRS_MAX && expected->exprs[i].bytes; i++)
		next_is(encoded, at, expected->exprs[i].bytes, expected->exprs[i].len);
	assert_int_equal(*at, end);
}

static void next_is_end(const struct encoded *encoded, size_t *at, uint32_t seq)
{
	uint8_t end[sizeof(empty_end)];

	memcpy(end, empty_end, sizeof(end));
	put_u32(end + 8, seq);
	next_is(encoded, at, end, sizeof(end));
	assert_int_equal(*at, encoded->len);
}

/* The rule alone in chain "divert". */
static void check_divert(struct nft_rule rule, const struct expected *expected)
{
	struct encoded encoded = encode(&rule, 1, 100);
	size_t at = 0;

	next_is_begin(&encoded, &at);
	next_is_chain(&encoded, &at, chain_divert, 104);
	next_is_rule(&encoded, &at, expected, 105, true);
	next_is_end(&encoded, &at, 106);
	assert_int_equal(encoded.last, 105);
	free(encoded.bytes);
}

/* The rule alone in chains "track" and "answer". */
static void check_notrack(struct nft_rule rule, const struct expected expected[2])
{
	struct encoded encoded = encode(&rule, 1, 100);
	size_t at = 0;

	next_is_begin(&encoded, &at);
	next_is_chain(&encoded, &at, chain_track, 104);
	next_is_rule(&encoded, &at, &expected[0], 105, false);
	next_is_chain(&encoded, &at, chain_answer, 106);
	next_is_rule(&encoded, &at, &expected[1], 107, true);
	next_is_end(&encoded, &at, 108);
	assert_int_equal(encoded.last, 107);
	free(encoded.bytes);
}

/* ---- tests ---- */

static void test_no_rules_is_no_table(void **state)
{
	struct encoded encoded = encode(NULL, 0, 100);
	uint8_t last[sizeof(delete_table)];
	size_t at = 0;

	(void)state;
	next_is(&encoded, &at, batch_begin, sizeof(batch_begin));
	next_is(&encoded, &at, new_table, sizeof(new_table));
	memcpy(last, delete_table, sizeof(last));
	last[6] |= NLM_F_ACK;
	next_is(&encoded, &at, last, sizeof(last));
	next_is(&encoded, &at, empty_end, sizeof(empty_end));
	assert_int_equal(at, encoded.len);
	assert_int_equal(encoded.last, 102);
	free(encoded.bytes);
}

static void test_pass(void **state)
{
	static const struct expected expected = { 460, "divert",
		{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(load_ip6_daddr), PIECE(is_7), L4_TCP,
			DPORT_443, PIECE(accept_it) } };

	(void)state;
	check_divert(make(NFT_RULE_PASS, "2001:db8:64::7", 128), &expected);
}

static void test_pass_udp(void **state)
{
	static const struct expected expected = { 460, "divert",
		{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(load_ip6_daddr), PIECE(is_7), L4_UDP,
			DPORT_443, PIECE(accept_it) } };

	(void)state;
	check_divert(make_udp(NFT_RULE_PASS, "2001:db8:64::7", 128), &expected);
}

static const struct expected divert_64 = { 704, "divert",
	{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(load_ip6_daddr), PIECE(mask_64),
		PIECE(is_prefix_64), L4_TCP, DPORT_443, DIVERT_TO_IP6 } };

static void test_divert_prefix(void **state)
{
	(void)state;
	check_divert(make(NFT_RULE_DIVERT, "2001:db8:64::", 64), &divert_64);
}

static void test_divert_prefix_within_a_byte(void **state)
{
	static const struct expected expected = { 704, "divert",
		{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(load_ip6_daddr), PIECE(mask_61),
			PIECE(is_prefix_61), L4_TCP, DPORT_443, DIVERT_TO_IP6 } };

	(void)state;
	check_divert(make(NFT_RULE_DIVERT, "2001:db8:64:8::", 61), &expected);
}

static void test_divert_ipv4_prefix(void **state)
{
	static const struct expected expected = { 656, "divert",
		{ PIECE(load_nfproto), PIECE(is_2), PIECE(load_ip_daddr), PIECE(mask_24),
			PIECE(is_prefix_24), L4_UDP, DPORT_443, PIECE(to_address_ipv4),
			PIECE(to_port), PIECE(to_ip), PIECE(accept_it) } };

	(void)state;
	check_divert(make_udp(NFT_RULE_DIVERT, "203.0.113.0", 24), &expected);
}

static void test_divert_udp(void **state)
{
	static const struct expected prefix = { 704, "divert",
		{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(load_ip6_daddr), PIECE(mask_64),
			PIECE(is_prefix_64), L4_UDP, DPORT_443, DIVERT_TO_IP6 } };
	static const struct expected range = { 648, "divert",
		{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(load_ip6_daddr), PIECE(is_7), L4_UDP,
			PIECE(load_dport), PIECE(is_8000_or_more), PIECE(is_8080_or_less),
			DIVERT_TO_IP6 } };
	static const struct expected any_port = { 508, "divert",
		{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(load_ip6_daddr), PIECE(is_7), L4_UDP,
			DIVERT_TO_IP6 } };
	struct nft_rule rule = make_udp(NFT_RULE_DIVERT, "2001:db8:64::7", 128);

	(void)state;
	check_divert(make_udp(NFT_RULE_DIVERT, "2001:db8:64::", 64), &prefix);
	rule.port_min = 8000;
	rule.port_max = 8080;
	check_divert(rule, &range);
	rule.port_min = 1;
	rule.port_max = 65535;
	check_divert(rule, &any_port);
}

static void test_divert_address_with_port_range(void **state)
{
	static const struct expected expected = { 648, "divert",
		{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(load_ip6_daddr), PIECE(is_7), L4_TCP,
			PIECE(load_dport), PIECE(is_8000_or_more), PIECE(is_8080_or_less),
			DIVERT_TO_IP6 } };
	struct nft_rule rule = make(NFT_RULE_DIVERT, "2001:db8:64::7", 128);

	(void)state;
	rule.port_min = 8000;
	rule.port_max = 8080;
	check_divert(rule, &expected);
}

static void test_divert_any_port(void **state)
{
	static const struct expected expected = { 508, "divert",
		{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(load_ip6_daddr), PIECE(is_7), L4_TCP,
			DIVERT_TO_IP6 } };
	struct nft_rule rule = make(NFT_RULE_DIVERT, "2001:db8:64::7", 128);

	(void)state;
	rule.port_min = 1;
	rule.port_max = 65535;
	check_divert(rule, &expected);
}

static void test_divert_any_address(void **state)
{
	static const struct expected expected = { 660, "divert",
		{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(fib_daddr), PIECE(is_local),
			FROM_OUTSIDE, L4_TCP, DPORT_443, DIVERT_TO_IP6 } };

	(void)state;
	check_divert(make(NFT_RULE_DIVERT, "::", 0), &expected);
}

static void test_refuse(void **state)
{
	static const struct expected address = { 620, "divert",
		{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(load_ip6_daddr), PIECE(is_7), L4_TCP,
			DPORT_443, RESET_SYN } };
	static const struct expected any = { 676, "divert",
		{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(fib_daddr), PIECE(is_local),
			FROM_OUTSIDE, L4_TCP, DPORT_443, RESET_SYN } };

	(void)state;
	check_divert(make(NFT_RULE_REFUSE, "2001:db8:64::7", 128), &address);
	check_divert(make(NFT_RULE_REFUSE, "::", 0), &any);
}

/* Every datagram, whatever is in it. */
static void test_refuse_udp(void **state)
{
	static const struct expected address = { 448, "divert",
		{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(load_ip6_daddr), PIECE(is_7), L4_UDP,
			DPORT_443, PIECE(unreachable_it) } };
	static const struct expected any = { 504, "divert",
		{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(fib_daddr), PIECE(is_local),
			FROM_OUTSIDE, L4_UDP, DPORT_443, PIECE(unreachable_it) } };
	static const struct expected ipv4 = { 512, "divert",
		{ PIECE(load_nfproto), PIECE(is_2), PIECE(load_ip_daddr), PIECE(mask_24),
			PIECE(is_prefix_24), L4_UDP, DPORT_443, PIECE(unreachable_it) } };

	(void)state;
	check_divert(make_udp(NFT_RULE_REFUSE, "2001:db8:64::7", 128), &address);
	check_divert(make_udp(NFT_RULE_REFUSE, "::", 0), &any);
	check_divert(make_udp(NFT_RULE_REFUSE, "203.0.113.0", 24), &ipv4);
}

static void test_transparent(void **state)
{
	static const struct expected expected = { 436, "divert",
		{ PIECE(load_nfproto), PIECE(is_2), L4_TCP, PIECE(load_transparent), PIECE(is_one),
			PIECE(load_mark), PIECE(set_bits), PIECE(set_mark) } };
	static const struct expected wildcard = { 516, "divert",
		{ PIECE(load_nfproto), PIECE(is_2), L4_TCP, PIECE(load_transparent), PIECE(is_one),
			PIECE(load_wildcard), PIECE(is_one), PIECE(load_mark), PIECE(clear_bits),
			PIECE(set_mark) } };
	struct nft_rule rule = { .kind = NFT_RULE_TRANSPARENT,
		.family = AF_INET,
		.l4proto = IPPROTO_TCP,
		.mark = 0x1000,
		.mask = 0x3000 };

	(void)state;
	check_divert(rule, &expected);
	/* Bits beyond the mask are nobody's to set. */
	rule.mark = 0x41000;
	check_divert(rule, &expected);
	rule.kind = NFT_RULE_WILDCARD;
	check_divert(rule, &wildcard);
}

static void test_notrack_ipv4(void **state)
{
	static const struct expected expected[2] = {
		{ 492, "track",
			{ PIECE(load_nfproto), PIECE(is_2), PIECE(load_ip_daddr), PIECE(mask_24),
				PIECE(is_prefix_24), L4_TCP, DPORT_443, PIECE(notrack_it) } },
		{ 492, "answer",
			{ PIECE(load_nfproto), PIECE(is_2), PIECE(load_ip_saddr), PIECE(mask_24),
				PIECE(is_prefix_24), L4_TCP, SPORT_443, PIECE(notrack_it) } },
	};

	(void)state;
	check_notrack(make(NFT_RULE_NOTRACK, "203.0.113.0", 24), expected);
}

static void test_notrack_ipv6(void **state)
{
	static const struct expected expected[2] = {
		{ 528, "track",
			{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(load_ip6_daddr),
				PIECE(mask_64), PIECE(is_prefix_64), L4_TCP, DPORT_443,
				PIECE(notrack_it) } },
		{ 528, "answer",
			{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(load_ip6_saddr),
				PIECE(mask_64), PIECE(is_prefix_64), L4_TCP, SPORT_443,
				PIECE(notrack_it) } },
	};

	(void)state;
	check_notrack(make(NFT_RULE_NOTRACK, "2001:db8:64::", 64), expected);
}

static void test_notrack_udp(void **state)
{
	static const struct expected prefix[2] = {
		{ 528, "track",
			{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(load_ip6_daddr),
				PIECE(mask_64), PIECE(is_prefix_64), L4_UDP, DPORT_443,
				PIECE(notrack_it) } },
		{ 528, "answer",
			{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(load_ip6_saddr),
				PIECE(mask_64), PIECE(is_prefix_64), L4_UDP, SPORT_443,
				PIECE(notrack_it) } },
	};
	static const struct expected any[2] = {
		{ 404, "track",
			{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(fib_daddr), PIECE(is_local),
				L4_UDP, DPORT_443, PIECE(notrack_it) } },
		{ 404, "answer",
			{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(fib_saddr), PIECE(is_local),
				L4_UDP, SPORT_443, PIECE(notrack_it) } },
	};

	(void)state;
	check_notrack(make_udp(NFT_RULE_NOTRACK, "2001:db8:64::", 64), prefix);
	check_notrack(make_udp(NFT_RULE_NOTRACK, "::", 0), any);
}

static void test_notrack_any_address(void **state)
{
	static const struct expected expected[2] = {
		{ 404, "track",
			{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(fib_daddr), PIECE(is_local),
				L4_TCP, DPORT_443, PIECE(notrack_it) } },
		{ 404, "answer",
			{ PIECE(load_nfproto), PIECE(is_ipv6), PIECE(fib_saddr), PIECE(is_local),
				L4_TCP, SPORT_443, PIECE(notrack_it) } },
	};

	(void)state;
	check_notrack(make(NFT_RULE_NOTRACK, "::", 0), expected);
}

/* Chains in their order, and the rules of each in the order given. */
static void test_rules_are_sorted_into_chains(void **state)
{
	struct nft_rule rules[] = {
		make(NFT_RULE_NOTRACK, "203.0.113.0", 24),
		make(NFT_RULE_DIVERT, "2001:db8:64::", 64),
		make(NFT_RULE_NOTRACK, "2001:db8:64::", 64),
		make(NFT_RULE_PASS, "2001:db8:64::7", 128),
	};
	static const uint32_t lens[] = { 20, 32, 32, 32, 84, 704, 460, 84, 492, 528, 84, 492, 528,
		20 };
	struct encoded encoded = encode(rules, 4, 0xfffffff8);
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct nlmsghdr header;

		assert_true(encoded.len - at >= sizeof(header));
		memcpy(&header, encoded.bytes + at, sizeof(header));
		assert_int_equal(header.nlmsg_len, lens[i]);
		assert_int_equal(header.nlmsg_seq, (uint32_t)(0xfffffff8 + i));
		assert_int_equal(header.nlmsg_flags & NLM_F_ACK, i == 12 ? NLM_F_ACK : 0);
		at += lens[i];
	}
	assert_int_equal(at, encoded.len);
	assert_int_equal(encoded.last, 4);
	free(encoded.bytes);
}

static void refuse(struct nft_rule bad)
{
	struct nft_rule rules[2] = { make(NFT_RULE_PASS, "2001:db8:64::7", 128), bad };
	struct nft_wanted wanted = { .rules = rules, .n_rules = 2 };
	uint8_t mine;
	void *buf = &mine;
	char text[] = "mine", *image = text;
	size_t len = 77;
	uint32_t last = 78;

	assert_int_equal(nft_table_encode(&wanted, 100, &buf, &len, &last), -EINVAL);
	assert_ptr_equal(buf, &mine);
	assert_int_equal(len, 77);
	assert_int_equal(last, 78);
	assert_int_equal(nft_table_image(&wanted, &image), -EINVAL);
	assert_ptr_equal(image, text);
}

static void test_what_cannot_be_said_is_refused(void **state)
{
	static const enum nft_rule_kind kinds[] = { NFT_RULE_DIVERT, NFT_RULE_PASS, NFT_RULE_REFUSE,
		NFT_RULE_NOTRACK };
	struct nft_rule rule;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		rule = make(kinds[i], "2001:db8:64::", 64);
		rule.family = 0;
		refuse(rule);
		refuse(make(kinds[i], "2001:db8:64::7", 129));
		refuse(make(kinds[i], "203.0.113.7", 33));
		rule = make(kinds[i], "2001:db8:64::7", 128);
		rule.port_min = 444;
		refuse(rule);
	}
	for (unsigned kind = NFT_RULE_TRANSPARENT; kind <= NFT_RULE_WILDCARD; kind++) {
		rule = (struct nft_rule){ .kind = kind, .l4proto = IPPROTO_TCP };
		refuse(rule);
		rule.family = AF_INET6;
		refuse(rule);
	}
}

static void test_500_rules(void **state)
{
	struct nft_rule rules[500];
	struct encoded encoded;
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < 500; i++)
		rules[i] = make(NFT_RULE_DIVERT, "2001:db8:64::", 64);
	encoded = encode(rules, 500, 100);
	next_is_begin(&encoded, &at);
	next_is_chain(&encoded, &at, chain_divert, 104);
	for (uint32_t i = 0; i < 500; i++)
		next_is_rule(&encoded, &at, &divert_64, 105 + i, i == 499);
	next_is_end(&encoded, &at, 605);
	assert_int_equal(encoded.last, 604);
	free(encoded.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_rules_is_no_table),
		cmocka_unit_test(test_pass),
		cmocka_unit_test(test_pass_udp),
		cmocka_unit_test(test_divert_prefix),
		cmocka_unit_test(test_divert_prefix_within_a_byte),
		cmocka_unit_test(test_divert_ipv4_prefix),
		cmocka_unit_test(test_divert_udp),
		cmocka_unit_test(test_divert_address_with_port_range),
		cmocka_unit_test(test_divert_any_port),
		cmocka_unit_test(test_divert_any_address),
		cmocka_unit_test(test_refuse),
		cmocka_unit_test(test_refuse_udp),
		cmocka_unit_test(test_transparent),
		cmocka_unit_test(test_notrack_ipv4),
		cmocka_unit_test(test_notrack_ipv6),
		cmocka_unit_test(test_notrack_udp),
		cmocka_unit_test(test_notrack_any_address),
		cmocka_unit_test(test_rules_are_sorted_into_chains),
		cmocka_unit_test(test_what_cannot_be_said_is_refused),
		cmocka_unit_test(test_500_rules),
	};

	if (htons(1) == 1)
		return 0; /* the bytes are those of a little-endian host */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
