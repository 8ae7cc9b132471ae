/*
 * The guard table's batches byte by byte (linux/netfilter/nf_tables.h): headers of messages and
 * attributes in the order of a little-endian host, values in network order. 0x8000 in a type is
 * NLA_F_NESTED.
 */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <string.h>

#include "nft_bytes.h"
#include "nft_guard_elements.h"
#include "nft_guard_encode.h"

#define PIECES_MAX 20

enum message {
	BATCH_BEGIN = 0x0010,
	BATCH_END = 0x0011,
	NEW_TABLE = 0x0a00,
	DELETE_TABLE = 0x0a02,
	NEW_CHAIN = 0x0a03,
	DELETE_CHAIN = 0x0a05,
	NEW_RULE = 0x0a06,
	DELETE_RULE = 0x0a08,
	NEW_SET = 0x0a09,
	NEW_ELEMENTS = 0x0a0c,
	DELETE_ELEMENTS = 0x0a0e,
	NEW_OBJECT = 0x0a12,
};

enum flags {
	REQUEST = 0x0001, /* NLM_F_REQUEST */
	CREATE = 0x0601,  /* ... NLM_F_CREATE, NLM_F_EXCL */
	ADD = 0x0401,	  /* ... NLM_F_CREATE */
	APPEND = 0x0c01,  /* ... NLM_F_CREATE, NLM_F_APPEND */
};

/* ---- attributes ---- */

static const uint8_t of_table[] = {
	0x01,
	0,
	0,
	0, /* NFPROTO_INET, version 0 */
	0x12,
	0,
	0x01,
	0, /* NFTA_TABLE_NAME, NFTA_RULE_TABLE, ...: all are 1 */
	's',
	'i',
	'x',
	'g',
	'a',
	't',
	'e',
	'-',
	'g',
	'u',
	'a',
	'r',
	'd',
	0,
	0,
	0,
};

static const uint8_t owned[] = {
	0x08, 0, 0x02, 0, 0, 0, 0, 0x02, /* NFTA_TABLE_FLAGS: NFT_TABLE_F_OWNER */
};

static const uint8_t counter_banned[] = {
	0x0b, 0, 0x02, 0, 'b', 'a', 'n', 'n', 'e', 'd', 0, 0, /* NFTA_OBJ_NAME */
};

static const uint8_t counter_refused[] = {
	0x0c, 0, 0x02, 0, 'r', 'e', 'f', 'u', 's', 'e', 'd', 0, /* NFTA_OBJ_NAME */
};

static const uint8_t is_counter[] = {
	0x08, 0, 0x03, 0, 0, 0, 0, 0x01,	  /* NFTA_OBJ_TYPE: NFT_OBJECT_COUNTER */
	0x1c, 0, 0x04, 0x80,			  /* NFTA_OBJ_DATA */
	0x0c, 0, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* NFTA_COUNTER_BYTES */
	0x0c, 0, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* NFTA_COUNTER_PACKETS */
};

static const uint8_t set_banned4[] = {
	0x0c, 0, 0x02, 0, 'b', 'a', 'n', 'n', 'e', 'd', '4', 0, /* NFTA_SET_NAME */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x14, /* NFTA_SET_FLAGS: INTERVAL, TIMEOUT */
	0x08, 0, 0x04, 0, 0, 0, 0, 0x07, /* NFTA_SET_KEY_TYPE: ipv4_addr of nft */
	0x08, 0, 0x05, 0, 0, 0, 0, 0x04, /* NFTA_SET_KEY_LEN */
	0x08, 0, 0x0a, 0, 0, 0, 0, 0x01, /* NFTA_SET_ID */
};

static const uint8_t set_banned6[] = {
	0x0c, 0, 0x02, 0, 'b', 'a', 'n', 'n', 'e', 'd', '6', 0, /* NFTA_SET_NAME */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x14, /* NFTA_SET_FLAGS: INTERVAL, TIMEOUT */
	0x08, 0, 0x04, 0, 0, 0, 0, 0x08, /* NFTA_SET_KEY_TYPE: ipv6_addr of nft */
	0x08, 0, 0x05, 0, 0, 0, 0, 0x10, /* NFTA_SET_KEY_LEN */
	0x08, 0, 0x0a, 0, 0, 0, 0, 0x02, /* NFTA_SET_ID */
};

static const uint8_t chain_bans[] = {
	0x09, 0, 0x03, 0, 'b', 'a', 'n', 's', 0, 0, 0, 0, /* NFTA_CHAIN_NAME */
};

static const uint8_t chain_refuse[] = {
	0x0b, 0, 0x03, 0, 'r', 'e', 'f', 'u', 's', 'e', 0, 0, /* NFTA_CHAIN_NAME */
};

static const uint8_t chain_admit[] = {
	0x0a, 0, 0x03, 0, 'a', 'd', 'm', 'i', 't', 0, 0, 0, /* NFTA_CHAIN_NAME */
};

static const uint8_t hook_admit[] = {
	0x14, 0, 0x04, 0x80,				      /* NFTA_CHAIN_HOOK */
	0x08, 0, 0x01, 0, 0, 0, 0, 0,			      /* HOOKNUM: PRE_ROUTING */
	0x08, 0, 0x02, 0, 0xff, 0xff, 0xfe, 0xca,	      /* NFTA_HOOK_PRIORITY: -310 */
	0x08, 0, 0x05, 0, 0, 0, 0, 0x01,		      /* NFTA_CHAIN_POLICY: NF_ACCEPT */
	0x0b, 0, 0x07, 0, 'f', 'i', 'l', 't', 'e', 'r', 0, 0, /* NFTA_CHAIN_TYPE */
};

static const uint8_t in_bans[] = {
	0x09, 0, 0x02, 0, 'b', 'a', 'n', 's', 0, 0, 0, 0, /* NFTA_RULE_CHAIN */
};

static const uint8_t in_refuse[] = {
	0x0b, 0, 0x02, 0, 'r', 'e', 'f', 'u', 's', 'e', 0, 0, /* NFTA_RULE_CHAIN */
};

static const uint8_t in_admit[] = {
	0x0a, 0, 0x02, 0, 'a', 'd', 'm', 'i', 't', 0, 0, 0, /* NFTA_RULE_CHAIN */
};

/* ---- comparing ---- */

struct reader {
	struct nft_batch batch;
	size_t at;
	uint32_t seq;
	uint32_t last;
};

static uint32_t get_u16(const uint8_t *at)
{
	return at[0] | (uint32_t)at[1] << 8;
}

static uint32_t get_u32(const uint8_t *at)
{
	return get_u16(at) | get_u16(at + 2) << 16;
}

static void next_is(struct reader *reader, enum message type, uint32_t flags,
	const struct piece *pieces, size_t n)
{
	const uint8_t *message = (const uint8_t *)reader->batch.buf + reader->at;
	size_t at = 16;

	assert_in_range(reader->at + 20, 20, reader->batch.len);
	assert_int_equal(get_u16(message + 4), type);
	if (reader->seq == reader->last)
		flags |= NLM_F_ACK;
	assert_int_equal(get_u16(message + 6), flags);
	assert_int_equal(get_u32(message + 8), reader->seq);
	assert_int_equal(get_u32(message + 12), 0);
	for (size_t i = 0; i < n && pieces[i].bytes; i++) {
		assert_in_range(at + pieces[i].len, 0, get_u32(message));
		assert_memory_equal(message + at, pieces[i].bytes, pieces[i].len);
		at += pieces[i].len;
	}
	assert_int_equal(get_u32(message), at);
	reader->at += at;
	reader->seq++;
}

/* A rule: the list of its expressions has a header of its own. */
static void next_is_rule(struct reader *reader, struct piece chain, const struct piece *exprs)
{
	uint8_t header[4] = { 0, 0, 0x04, 0x80 }; /* NFTA_RULE_EXPRESSIONS */
	struct piece pieces[PIECES_MAX] = { PIECE(of_table), chain, PIECE(header) };
	size_t len = sizeof(header);

	for (size_t i = 0; exprs[i].bytes; i++) {
		assert_in_range(i + 3, 0, PIECES_MAX - 1);
		pieces[i + 3] = exprs[i];
		len += exprs[i].len;
	}
	header[0] = (uint8_t)len;
	header[1] = (uint8_t)(len >> 8);
	next_is(reader, NEW_RULE, APPEND, pieces, PIECES_MAX);
}

#define NEXT_IS(reader, type, flags, ...) \
	next_is(reader, type, flags, (const struct piece[]){ __VA_ARGS__, { 0 } }, PIECES_MAX)
#define NEXT_IS_RULE(reader, chain, ...) \
	next_is_rule(                    \
		reader, (struct piece)PIECE(chain), (const struct piece[]){ __VA_ARGS__, { 0 } })

static void begin(struct reader *reader)
{
	*reader = (struct reader){ .seq = 100 };
	nft_batch_begin(&reader->batch, 100);
}

static void finish(struct reader *reader)
{
	static const uint8_t nftables[] = { 0, 0, 0, 0x0a }; /* NFNL_SUBSYS_NFTABLES */

	assert_int_equal(nft_batch_finish(&reader->batch, &reader->last), 0);
	NEXT_IS(reader, BATCH_BEGIN, REQUEST, PIECE(nftables));
}

static void end(struct reader *reader)
{
	static const uint8_t nftables[] = { 0, 0, 0, 0x0a };

	assert_int_equal(reader->seq, reader->last + 1);
	NEXT_IS(reader, BATCH_END, REQUEST, PIECE(nftables));
	assert_int_equal(reader->at, reader->batch.len);
	nft_batch_destroy(&reader->batch);
}

static struct nft_guard_rule make(enum nft_guard_kind kind, const char *addr, uint8_t prefix_len)
{
	struct nft_guard_rule rule = { .kind = kind,
		.family = strchr(addr, ':') ? AF_INET6 : AF_INET,
		.l4proto = IPPROTO_TCP,
		.prefix_len = prefix_len,
		.port_min = 443,
		.port_max = 443 };

	assert_int_equal(inet_pton(rule.family, addr, rule.addr), 1);
	return rule;
}

/* ---- tests ---- */

static void test_table(void **state)
{
	struct reader reader;

	(void)state;
	begin(&reader);
	nft_guard_put_table(&reader.batch);
	finish(&reader);
	NEXT_IS(&reader, NEW_TABLE, CREATE, PIECE(of_table), PIECE(owned));
	NEXT_IS(&reader, NEW_OBJECT, CREATE, PIECE(of_table), PIECE(counter_banned),
		PIECE(is_counter));
	NEXT_IS(&reader, NEW_OBJECT, CREATE, PIECE(of_table), PIECE(counter_refused),
		PIECE(is_counter));
	NEXT_IS(&reader, NEW_SET, CREATE, PIECE(of_table), PIECE(set_banned4));
	NEXT_IS(&reader, NEW_SET, CREATE, PIECE(of_table), PIECE(set_banned6));
	NEXT_IS(&reader, NEW_CHAIN, CREATE, PIECE(of_table), PIECE(chain_bans));
	NEXT_IS(&reader, NEW_CHAIN, CREATE, PIECE(of_table), PIECE(chain_refuse));
	end(&reader);
}

static void test_removal(void **state)
{
	struct reader reader;

	(void)state;
	begin(&reader);
	nft_guard_put_removal(&reader.batch);
	finish(&reader);
	NEXT_IS(&reader, DELETE_TABLE, REQUEST, PIECE(of_table));
	end(&reader);
}

#define L4_TCP	  PIECE(load_l4proto), PIECE(is_tcp)
#define L4_UDP	  PIECE(load_l4proto), PIECE(is_udp)
#define DPORT_443 PIECE(load_dport), PIECE(is_443)
#define SYN_ONLY  PIECE(load_tcp_flags), PIECE(mask_all_flags), PIECE(is_2)
#define IPV6	  PIECE(load_nfproto), PIECE(is_ipv6)
#define IPV4	  PIECE(load_nfproto), PIECE(is_2)
#define SIX_7	  PIECE(load_ip6_daddr), PIECE(is_7)

static void test_refusals(void **state)
{
	struct nft_guard_rule rules[] = {
		make(NFT_GUARD_PASS, "2001:db8:64::7", 128),
		make(NFT_GUARD_RESET, "2001:db8:64::7", 128),
		make(NFT_GUARD_PORT_UNREACHABLE, "203.0.113.0", 24),
		make(NFT_GUARD_ADMIN_PROHIBITED, "::", 0),
	};
	const struct nft_guard_wanted wanted = { .rules = rules, .n_rules = 4 };
	struct reader reader;

	(void)state;
	rules[1].ifindex = 3;
	begin(&reader);
	assert_int_equal(nft_guard_put_rules(&reader.batch, &wanted, 0), 1);
	finish(&reader);
	NEXT_IS(&reader, NEW_CHAIN, CREATE, PIECE(of_table), PIECE(chain_admit), PIECE(hook_admit));
	NEXT_IS(&reader, DELETE_RULE, REQUEST, PIECE(of_table), PIECE(in_bans));
	NEXT_IS(&reader, DELETE_RULE, REQUEST, PIECE(of_table), PIECE(in_refuse));
	NEXT_IS_RULE(&reader, in_admit, L4_TCP, SYN_ONLY, PIECE(jump_to_refuse));
	NEXT_IS_RULE(&reader, in_refuse, IPV6, SIX_7, L4_TCP, DPORT_443, PIECE(return_it));
	NEXT_IS_RULE(&reader, in_refuse, IPV6, PIECE(load_iif), PIECE(is_interface_3), SIX_7,
		L4_TCP, DPORT_443, PIECE(count_refused), PIECE(reset_it));
	NEXT_IS_RULE(&reader, in_refuse, IPV4, PIECE(load_ip_daddr), PIECE(mask_24),
		PIECE(is_prefix_24), L4_TCP, DPORT_443, PIECE(count_refused),
		PIECE(unreachable_it));
	NEXT_IS_RULE(&reader, in_refuse, IPV6, PIECE(fib_daddr), PIECE(is_local), L4_TCP, DPORT_443,
		PIECE(count_refused), PIECE(prohibited_it));
	end(&reader);
}

static void test_bans(void **state)
{
	struct nft_guard_rule rules[] = {
		make(NFT_GUARD_BAN, "2001:db8:64::7", 128),
		make(NFT_GUARD_BAN, "203.0.113.0", 24),
	};
	const struct nft_guard_wanted wanted = { .rules = rules, .n_rules = 2 };
	struct reader reader;

	(void)state;
	rules[1].l4proto = IPPROTO_UDP;
	begin(&reader);
	/* The chain is there: it is emptied. */
	assert_int_equal(nft_guard_put_rules(&reader.batch, &wanted, 1), 1);
	finish(&reader);
	NEXT_IS(&reader, DELETE_RULE, REQUEST, PIECE(of_table), PIECE(in_admit));
	NEXT_IS(&reader, DELETE_RULE, REQUEST, PIECE(of_table), PIECE(in_bans));
	NEXT_IS(&reader, DELETE_RULE, REQUEST, PIECE(of_table), PIECE(in_refuse));
	NEXT_IS_RULE(&reader, in_admit, IPV6, PIECE(load_ip6_saddr), PIECE(look_up_banned6),
		PIECE(jump_to_bans));
	NEXT_IS_RULE(&reader, in_admit, IPV4, PIECE(load_ip_saddr), PIECE(look_up_banned4),
		PIECE(jump_to_bans));
	NEXT_IS_RULE(&reader, in_bans, IPV6, SIX_7, L4_TCP, DPORT_443, PIECE(count_banned),
		PIECE(drop_it));
	NEXT_IS_RULE(&reader, in_bans, IPV4, PIECE(load_ip_daddr), PIECE(mask_24),
		PIECE(is_prefix_24), L4_UDP, DPORT_443, PIECE(count_banned), PIECE(drop_it));
	end(&reader);
}

/* Packets of a family without listeners are not looked up: servers' are many. */
static void test_bans_of_one_family(void **state)
{
	static const char *const addresses[] = { "2001:db8:64::7", "203.0.113.0" };
	struct reader reader;

	(void)state;
	for (int v4 = 0; v4 < 2; v4++) {
		struct nft_guard_rule rule = make(NFT_GUARD_BAN, addresses[v4], v4 ? 24 : 128);
		const struct nft_guard_wanted wanted = { .rules = &rule, .n_rules = 1 };

		begin(&reader);
		assert_int_equal(nft_guard_put_rules(&reader.batch, &wanted, 1), 1);
		finish(&reader);
		NEXT_IS(&reader, DELETE_RULE, REQUEST, PIECE(of_table), PIECE(in_admit));
		NEXT_IS(&reader, DELETE_RULE, REQUEST, PIECE(of_table), PIECE(in_bans));
		NEXT_IS(&reader, DELETE_RULE, REQUEST, PIECE(of_table), PIECE(in_refuse));
		if (v4) {
			NEXT_IS_RULE(&reader, in_admit, IPV4, PIECE(load_ip_saddr),
				PIECE(look_up_banned4), PIECE(jump_to_bans));
			NEXT_IS_RULE(&reader, in_bans, IPV4, PIECE(load_ip_daddr), PIECE(mask_24),
				PIECE(is_prefix_24), L4_TCP, DPORT_443, PIECE(count_banned),
				PIECE(drop_it));
		} else {
			NEXT_IS_RULE(&reader, in_admit, IPV6, PIECE(load_ip6_saddr),
				PIECE(look_up_banned6), PIECE(jump_to_bans));
			NEXT_IS_RULE(&reader, in_bans, IPV6, SIX_7, L4_TCP, DPORT_443,
				PIECE(count_banned), PIECE(drop_it));
		}
		end(&reader);
	}
}

/* What has nothing to do costs no packet anything. */
static void test_no_rules_is_no_hook(void **state)
{
	const struct nft_guard_wanted wanted = { 0 };
	struct reader reader;

	(void)state;
	begin(&reader);
	assert_int_equal(nft_guard_put_rules(&reader.batch, &wanted, 1), 0);
	finish(&reader);
	NEXT_IS(&reader, DELETE_RULE, REQUEST, PIECE(of_table), PIECE(in_admit));
	NEXT_IS(&reader, DELETE_CHAIN, REQUEST, PIECE(of_table), PIECE(chain_admit));
	NEXT_IS(&reader, DELETE_RULE, REQUEST, PIECE(of_table), PIECE(in_bans));
	NEXT_IS(&reader, DELETE_RULE, REQUEST, PIECE(of_table), PIECE(in_refuse));
	end(&reader);
}

/* ---- elements ---- */

static const uint8_t in_banned4[] = {
	0x0c, 0, 0x02, 0, 'b', 'a', 'n', 'n', 'e', 'd', '4', 0, /* NFTA_SET_ELEM_LIST_SET */
};

static const uint8_t in_banned6[] = {
	0x0c, 0, 0x02, 0, 'b', 'a', 'n', 'n', 'e', 'd', '6', 0, /* NFTA_SET_ELEM_LIST_SET */
};

static const uint8_t with_timeout_and_comment[] = {
	0x60, 0, 0x03, 0x80,		       /* NFTA_SET_ELEM_LIST_ELEMENTS */
	0x38, 0, 0x01, 0x80,		       /* NFTA_LIST_ELEM */
	0x18, 0, 0x01, 0x80, 0x14, 0, 0x01, 0, /* NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE */
	0x20, 0x01, 0x0d, 0xb8, 0, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0c, 0, 0x04, 0, 0, 0, 0, 0,
	0, 0x36, 0xee, 0x80,				       /* TIMEOUT: 3600000 */
	0x0e, 0, 0x06, 0,				       /* NFTA_SET_ELEM_USERDATA */
	0, 0x08, 'a', ' ', '\'', 'b', '\'', ' ', 'c', 0, 0, 0, /* the comment, with its NUL */
	0x24, 0, 0x01, 0x80,				       /* NFTA_LIST_ELEM: the end */
	0x18, 0, 0x01, 0x80, 0x14, 0, 0x01, 0, /* NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE */
	0x20, 0x01, 0x0d, 0xb8, 0, 0x01, 0, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0, 0x03, 0, 0, 0, 0,
	0x01, /* NFTA_SET_ELEM_FLAGS: INTERVAL_END */
};

static const uint8_t plain_ipv4[] = {
	0x2c, 0, 0x03, 0x80, /* NFTA_SET_ELEM_LIST_ELEMENTS */
	0x10, 0, 0x01, 0x80, /* NFTA_LIST_ELEM */
	0x0c, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 0xcb, 0, 0x71, 0xff, /* 203.0.113.255 */
	0x18, 0, 0x01, 0x80,					    /* NFTA_LIST_ELEM: the end */
	0x0c, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 0xcb, 0, 0x72, 0,    /* 203.0.114.0 */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x01, /* NFTA_SET_ELEM_FLAGS: INTERVAL_END */
};

/* Up to the last address that there is: there is no end. */
static const uint8_t upper_half[] = {
	0x14, 0, 0x03, 0x80, 0x10, 0, 0x01, 0x80,	      /* LIST_ELEMENTS, NFTA_LIST_ELEM */
	0x0c, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 0x80, 0, 0, 0, /* 128.0.0.0 */
};

static struct nft_guard_element make_element(const char *addr, uint8_t prefix_len)
{
	struct nft_guard_element element = {
		.family = strchr(addr, ':') ? AF_INET6 : AF_INET,
		.prefix_len = prefix_len,
	};

	assert_int_equal(inet_pton(element.family, addr, element.addr), 1);
	return element;
}

static void test_elements(void **state)
{
	struct nft_guard_element six = make_element("2001:db8:1::", 64);
	struct nft_guard_element both[] = { six, make_element("203.0.113.255", 32) };
	struct nft_guard_element half = make_element("128.0.0.0", 1);
	struct reader reader;

	(void)state;
	both[0].timeout_ms = 3600000;
	both[0].comment = "a \"b\" c";
	begin(&reader);
	nft_guard_elements_clear(&reader.batch);
	nft_guard_elements_remove(&reader.batch, &half, 1);
	nft_guard_elements_add(&reader.batch, both, 2);
	finish(&reader);
	NEXT_IS(&reader, DELETE_ELEMENTS, REQUEST, PIECE(of_table), PIECE(in_banned4));
	NEXT_IS(&reader, DELETE_ELEMENTS, REQUEST, PIECE(of_table), PIECE(in_banned6));
	NEXT_IS(&reader, DELETE_ELEMENTS, REQUEST, PIECE(of_table), PIECE(in_banned4),
		PIECE(upper_half));
	NEXT_IS(&reader, NEW_ELEMENTS, ADD, PIECE(of_table), PIECE(in_banned4), PIECE(plain_ipv4));
	NEXT_IS(&reader, NEW_ELEMENTS, ADD, PIECE(of_table), PIECE(in_banned6),
		PIECE(with_timeout_and_comment));
	end(&reader);
}

/* A list is an attribute, whose length has 16 bits: many take several messages. */
static void test_thousands_of_elements(void **state)
{
	enum { N = 20000 };
	struct nft_guard_element *elements = test_calloc(N, sizeof(*elements));
	struct reader reader;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		elements[i] = make_element("2001:db8::", 64);
		elements[i].addr[6] = (uint8_t)(i >> 8);
		elements[i].addr[7] = (uint8_t)i;
	}
	begin(&reader);
	nft_guard_elements_add(&reader.batch, elements, N);
	finish(&reader);
	while (get_u16((const uint8_t *)reader.batch.buf + reader.at + 4) == NEW_ELEMENTS) {
		const uint8_t *message = (const uint8_t *)reader.batch.buf + reader.at;
		uint32_t list = get_u16(message + 16 + sizeof(of_table) + sizeof(in_banned6));

		assert_int_equal(
			get_u32(message), 16 + sizeof(of_table) + sizeof(in_banned6) + list);
		/* Each has 28 bytes, and 36 for its end. */
		assert_int_equal((list - 4) % 64, 0);
		n += (list - 4) / 64;
		reader.at += get_u32(message);
		reader.seq++;
	}
	end(&reader);
	assert_int_equal(n, N);
	test_free(elements);
}

static void test_elements_that_cannot_be_said_are_refused(void **state)
{
	struct nft_guard_element good = make_element("203.0.113.1", 32);
	struct nft_guard_element bad[] = { good, good, good };

	(void)state;
	bad[0].family = AF_UNIX;
	bad[1].prefix_len = 33;
	bad[2].prefix_len = 0;
	for (size_t i = 0; i < 3; i++) {
		struct nft_batch batch;
		uint32_t last = 77;

		nft_batch_begin(&batch, 1);
		nft_guard_elements_add(&batch, &bad[i], 1);
		assert_int_equal(nft_batch_finish(&batch, &last), -EINVAL);
		assert_int_equal(last, 77);
		nft_batch_destroy(&batch);
	}
}

static void test_thousands_of_rules(void **state)
{
	enum { N = 5000 };
	struct nft_guard_rule *rules = test_calloc(N, sizeof(*rules));
	const struct nft_guard_wanted wanted = { .rules = rules, .n_rules = N };
	struct nft_batch batch;
	uint32_t last = 0;

	(void)state;
	for (size_t i = 0; i < N; i++)
		rules[i] = make(NFT_GUARD_RESET, "2001:db8:64::7", 128);
	nft_batch_begin(&batch, 1);
	(void)nft_guard_put_rules(&batch, &wanted, 0);
	assert_int_equal(nft_batch_finish(&batch, &last), 0);
	/* Before them: the begin, the chain, two that are emptied, and the jump. */
	assert_int_equal(last, 5 + N);
	nft_batch_destroy(&batch);
	test_free(rules);
}

static void test_what_cannot_be_said_is_refused(void **state)
{
	struct nft_guard_rule good = make(NFT_GUARD_RESET, "203.0.113.1", 32);
	struct nft_guard_rule bad[] = { good, good, good };

	(void)state;
	bad[0].family = AF_UNIX;
	bad[1].prefix_len = 33;
	bad[2].port_min = 444;
	for (size_t i = 0; i < 3; i++) {
		const struct nft_guard_wanted wanted = { .rules = &bad[i], .n_rules = 1 };
		struct nft_batch batch;
		uint32_t last = 77;

		nft_batch_begin(&batch, 1);
		(void)nft_guard_put_rules(&batch, &wanted, 0);
		assert_int_equal(nft_batch_finish(&batch, &last), -EINVAL);
		assert_int_equal(last, 77);
		nft_batch_destroy(&batch);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_removal),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_bans),
		cmocka_unit_test(test_bans_of_one_family),
		cmocka_unit_test(test_no_rules_is_no_hook),
		cmocka_unit_test(test_elements),
		cmocka_unit_test(test_thousands_of_elements),
		cmocka_unit_test(test_elements_that_cannot_be_said_are_refused),
		cmocka_unit_test(test_thousands_of_rules),
		cmocka_unit_test(test_what_cannot_be_said_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
