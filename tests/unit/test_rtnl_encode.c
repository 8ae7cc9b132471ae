#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "rtnl.h"

/*
 * Every message that is sent, byte by byte, as linux/rtnetlink.h lays them out on a little-endian
 * machine: nlmsghdr is length, type, flags, sequence number, port; an attribute is length, type,
 * value, padded to 4.
 */
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the expected bytes below are little-endian"
#endif

#define SEQ 0x01020304

static _Alignas(8) uint8_t buf[RTNL_MESSAGE_MAX];

static void check(int err, size_t len, const uint8_t *expected, size_t expected_len)
{
	assert_int_equal(err, 0);
	assert_int_equal(len, expected_len);
	assert_memory_equal(buf, expected, expected_len);
}

#define CHECK(err, len, ...)                                 \
	do {                                                 \
		const uint8_t expected[] = { __VA_ARGS__ };  \
		check(err, len, expected, sizeof(expected)); \
	} while (0)

/* NLM_F_REQUEST 1, NLM_F_ACK 4, NLM_F_EXCL 0x200, NLM_F_CREATE 0x400, NLM_F_DUMP 0x300 */
#define ADD_FLAGS  0x05, 0x06
#define DEL_FLAGS  0x05, 0x00
#define DUMP_FLAGS 0x01, 0x03
#define SEQ_PORT   0x04, 0x03, 0x02, 0x01, 0, 0, 0, 0

#define VIP6	0x20, 0x01, 0x0d, 0xb8, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1
#define PREFIX6 0x20, 0x01, 0x0d, 0xb8, 0, 0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0

static struct net_addr addr_of(uint8_t family, const char *text, uint8_t prefix_len)
{
	struct net_addr addr = { .family = family, .prefix_len = prefix_len, .index = 7 };

	assert_int_equal(inet_pton(family, text, addr.addr), 1);
	return addr;
}

static void test_addr_v6_vip(void **state)
{
	struct net_addr addr = addr_of(AF_INET6, "2001:db8:80::1", 128);
	size_t len = 0;
	int err;

	(void)state;
	addr.unpreferred = true;
	err = rtnl_encode_addr(buf, RTNL_ADD, SEQ, &addr, &len);
	CHECK(err, len, 100, 0, 0, 0, 20, 0, ADD_FLAGS, SEQ_PORT, /* RTM_NEWADDR */
		10, 128, 0, 0, 7, 0, 0, 0, /* family, length, flags, scope, link */
		20, 0, 2, 0, VIP6,	   /* IFA_LOCAL */
		20, 0, 1, 0, VIP6,	   /* IFA_ADDRESS */
		8, 0, 8, 0, 2, 0, 0, 0,	   /* IFA_FLAGS: IFA_F_NODAD */
		5, 0, 11, 0, 166, 0, 0, 0, /* IFA_PROTO */
		20, 0, 6, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0,
		0); /* IFA_CACHEINFO: preferred 0, valid forever */
	err = rtnl_encode_addr(buf, RTNL_REMOVE, SEQ, &addr, &len);
	CHECK(err, len, 100, 0, 0, 0, 21, 0, DEL_FLAGS, SEQ_PORT, /* RTM_DELADDR */
		10, 128, 0, 0, 7, 0, 0, 0, 20, 0, 2, 0, VIP6, 20, 0, 1, 0, VIP6, 8, 0, 8, 0, 2, 0,
		0, 0, 5, 0, 11, 0, 166, 0, 0, 0, 20, 0, 6, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0,
		0, 0, 0, 0, 0, 0, 0);
}

static void test_addr_v4(void **state)
{
	struct net_addr vip = addr_of(AF_INET, "203.0.113.80", 32);
	struct net_addr source = addr_of(AF_INET, "192.0.2.77", 24);
	size_t len = 0;
	int err;

	(void)state;
	vip.scope = RT_SCOPE_HOST;
	err = rtnl_encode_addr(buf, RTNL_ADD, SEQ, &vip, &len);
	CHECK(err, len, 56, 0, 0, 0, 20, 0, ADD_FLAGS, SEQ_PORT, /* RTM_NEWADDR */
		2, 32, 0, 254, 7, 0, 0, 0,			 /* scope: host */
		8, 0, 2, 0, 203, 0, 113, 80,			 /* IFA_LOCAL */
		8, 0, 1, 0, 203, 0, 113, 80,			 /* IFA_ADDRESS */
		8, 0, 8, 0, 0, 0, 0, 0,				 /* IFA_FLAGS */
		5, 0, 11, 0, 166, 0, 0, 0);			 /* IFA_PROTO */
	err = rtnl_encode_addr(buf, RTNL_REMOVE, SEQ, &source, &len);
	CHECK(err, len, 56, 0, 0, 0, 21, 0, DEL_FLAGS, SEQ_PORT, /* RTM_DELADDR */
		2, 24, 0, 0, 7, 0, 0, 0, 8, 0, 2, 0, 192, 0, 2, 77, 8, 0, 1, 0, 192, 0, 2, 77, 8, 0,
		8, 0, 0, 0, 0, 0, 5, 0, 11, 0, 166, 0, 0, 0);
}

static void test_route_local_prefix(void **state)
{
	struct net_route route = { .family = AF_INET6,
		.type = RTN_LOCAL,
		.dst_len = 64,
		.dst = { PREFIX6 },
		.table = RT_TABLE_LOCAL,
		.index = 1 };
	size_t len = 0;
	int err;

	(void)state;
	err = rtnl_encode_route(buf, RTNL_ADD, SEQ, &route, &len);
	CHECK(err, len, 64, 0, 0, 0, 24, 0, ADD_FLAGS, SEQ_PORT, /* RTM_NEWROUTE */
		10, 64, 0, 0, 255, 166, 0, 2, 0, 0, 0, 0, /* family, lengths, tos, table, protocol,
							      scope, type RTN_LOCAL, flags */
		20, 0, 1, 0, PREFIX6,			  /* RTA_DST */
		8, 0, 15, 0, 255, 0, 0, 0,		  /* RTA_TABLE */
		8, 0, 4, 0, 1, 0, 0, 0);		  /* RTA_OIF */
	err = rtnl_encode_route(buf, RTNL_REMOVE, SEQ, &route, &len);
	CHECK(err, len, 64, 0, 0, 0, 25, 0, DEL_FLAGS, SEQ_PORT, /* RTM_DELROUTE */
		10, 64, 0, 0, 255, 166, 0, 2, 0, 0, 0, 0, 20, 0, 1, 0, PREFIX6, 8, 0, 15, 0, 255, 0,
		0, 0, 8, 0, 4, 0, 1, 0, 0, 0);
}

static void test_route_all_local(void **state)
{
	struct net_route route = { .family = AF_INET,
		.type = RTN_LOCAL,
		.scope = RT_SCOPE_HOST,
		.table = 166,
		.index = 1 };
	size_t len = 0;
	int err = rtnl_encode_route(buf, RTNL_ADD, SEQ, &route, &len);

	(void)state;
	CHECK(err, len, 44, 0, 0, 0, 24, 0, ADD_FLAGS, SEQ_PORT, 2, 0, 0, 0, 166, 166, 254, 2, 0, 0,
		0, 0, 8, 0, 15, 0, 166, 0, 0, 0, 8, 0, 4, 0, 1, 0, 0, 0);
	/* Table numbers that do not fit into the header's byte are in the attribute alone. */
	route.table = 100000;
	err = rtnl_encode_route(buf, RTNL_ADD, SEQ, &route, &len);
	CHECK(err, len, 44, 0, 0, 0, 24, 0, ADD_FLAGS, SEQ_PORT, 2, 0, 0, 0, 0, 166, 254, 2, 0, 0,
		0, 0, 8, 0, 15, 0, 0xa0, 0x86, 1, 0, 8, 0, 4, 0, 1, 0, 0, 0);
}

static void test_route_with_everything(void **state)
{
	struct net_route route = { .family = AF_INET,
		.type = RTN_UNICAST,
		.dst_len = 8,
		.dst = { 10 },
		.gateway = { 192, 0, 2, 1 },
		.source = { 192, 0, 2, 7 },
		.metric = 20,
		.table = RT_TABLE_MAIN,
		.index = 3 };
	size_t len = 0;
	int err = rtnl_encode_route(buf, RTNL_ADD, SEQ, &route, &len);

	(void)state;
	CHECK(err, len, 76, 0, 0, 0, 24, 0, ADD_FLAGS, SEQ_PORT, 2, 8, 0, 0, 254, 166, 0, 1, 0, 0,
		0, 0, 8, 0, 1, 0, 10, 0, 0, 0, /* RTA_DST */
		8, 0, 15, 0, 254, 0, 0, 0,     /* RTA_TABLE */
		8, 0, 4, 0, 3, 0, 0, 0,	       /* RTA_OIF */
		8, 0, 5, 0, 192, 0, 2, 1,      /* RTA_GATEWAY */
		8, 0, 7, 0, 192, 0, 2, 7,      /* RTA_PREFSRC */
		8, 0, 6, 0, 20, 0, 0, 0);      /* RTA_PRIORITY */
}

static void test_rule(void **state)
{
	struct net_rule rule = { .family = AF_INET,
		.action = FR_ACT_TO_TBL,
		.priority = 166,
		.table = 166,
		.mark = 0x1000,
		.mask = 0x1000 };
	size_t len = 0;
	int err;

	(void)state;
	err = rtnl_encode_rule(buf, RTNL_ADD, SEQ, &rule, &len);
	CHECK(err, len, 68, 0, 0, 0, 32, 0, ADD_FLAGS, SEQ_PORT, /* RTM_NEWRULE */
		2, 0, 0, 0, 166, 0, 0, 1, 0, 0, 0, 0, /* family, ..., table, ..., FR_ACT_TO_TBL */
		8, 0, 6, 0, 166, 0, 0, 0,	      /* FRA_PRIORITY */
		8, 0, 10, 0, 0, 0x10, 0, 0,	      /* FRA_FWMARK */
		8, 0, 16, 0, 0, 0x10, 0, 0,	      /* FRA_FWMASK */
		8, 0, 15, 0, 166, 0, 0, 0,	      /* FRA_TABLE */
		5, 0, 21, 0, 166, 0, 0, 0);	      /* FRA_PROTOCOL */
	rule.family = AF_INET6;
	rule.mask = 0;
	rule.table = 300;
	err = rtnl_encode_rule(buf, RTNL_REMOVE, SEQ, &rule, &len);
	CHECK(err, len, 52, 0, 0, 0, 33, 0, DEL_FLAGS, SEQ_PORT, /* RTM_DELRULE */
		10, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 8, 0, 6, 0, 166, 0, 0, 0, 8, 0, 15, 0, 0x2c, 1,
		0, 0, 5, 0, 21, 0, 166, 0, 0, 0);
}

static void test_dumps(void **state)
{
	size_t len = 0;
	int err;

	(void)state;
	err = rtnl_encode_dump(buf, RTNL_LINKS, AF_UNSPEC, 0, 0, SEQ, &len);
	CHECK(err, len, 32, 0, 0, 0, 18, 0, DUMP_FLAGS, SEQ_PORT, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0);
	err = rtnl_encode_dump(buf, RTNL_ADDRS, AF_INET6, 0, 0, SEQ, &len);
	CHECK(err, len, 24, 0, 0, 0, 22, 0, DUMP_FLAGS, SEQ_PORT, 10, 0, 0, 0, 0, 0, 0, 0);
	err = rtnl_encode_dump(buf, RTNL_RULES, AF_INET, 0, 0, SEQ, &len);
	CHECK(err, len, 28, 0, 0, 0, 34, 0, DUMP_FLAGS, SEQ_PORT, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0);
	err = rtnl_encode_dump(buf, RTNL_ROUTES, AF_INET, 0, NET_MARK, SEQ, &len);
	CHECK(err, len, 28, 0, 0, 0, 26, 0, DUMP_FLAGS, SEQ_PORT, 2, 0, 0, 0, 0, 166, 0, 0, 0, 0, 0,
		0);
	err = rtnl_encode_dump(buf, RTNL_ROUTES, AF_INET6, 1000, 0, SEQ, &len);
	CHECK(err, len, 36, 0, 0, 0, 26, 0, DUMP_FLAGS, SEQ_PORT, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 8, 0, 15, 0, 0xe8, 3, 0, 0);
}

static void test_lookup(void **state)
{
	const uint8_t v4[16] = { 192, 0, 2, 10 }, v6[16] = { VIP6 };
	size_t len = 0;
	int err;

	(void)state;
	err = rtnl_encode_lookup(buf, AF_INET, v4, 0x1000, SEQ, &len);
	CHECK(err, len, 44, 0, 0, 0, 26, 0, 1, 0, SEQ_PORT, /* RTM_GETROUTE, NLM_F_REQUEST */
		2, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 1, 0, 192, 0, 2, 10, /* RTA_DST */
		8, 0, 16, 0, 0, 0x10, 0, 0);					/* RTA_MARK */
	err = rtnl_encode_lookup(buf, AF_INET6, v6, 0, SEQ, &len);
	CHECK(err, len, 48, 0, 0, 0, 26, 0, 1, 0, SEQ_PORT, 10, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		20, 0, 1, 0, VIP6);
}

static void test_what_cannot_be_said(void **state)
{
	struct net_addr addr = addr_of(AF_INET, "192.0.2.1", 33);
	struct net_route route = { .family = AF_UNIX };
	struct net_rule rule = { .family = AF_INET, .narrow = true };
	const uint8_t nowhere[16] = { 0 };
	size_t len = 12345;

	(void)state;
	assert_int_equal(rtnl_encode_addr(buf, RTNL_ADD, SEQ, &addr, &len), -EINVAL);
	addr.prefix_len = 32;
	addr.index = 0;
	assert_int_equal(rtnl_encode_addr(buf, RTNL_ADD, SEQ, &addr, &len), -EINVAL);
	addr.index = 1;
	addr.family = AF_UNSPEC;
	assert_int_equal(rtnl_encode_addr(buf, RTNL_ADD, SEQ, &addr, &len), -EINVAL);
	assert_int_equal(rtnl_encode_route(buf, RTNL_ADD, SEQ, &route, &len), -EINVAL);
	route.family = AF_INET6;
	route.dst_len = 129;
	assert_int_equal(rtnl_encode_route(buf, RTNL_ADD, SEQ, &route, &len), -EINVAL);
	assert_int_equal(rtnl_encode_rule(buf, RTNL_ADD, SEQ, &rule, &len), -EINVAL);
	rule.narrow = false;
	rule.family = 0;
	assert_int_equal(rtnl_encode_rule(buf, RTNL_ADD, SEQ, &rule, &len), -EINVAL);
	assert_int_equal(rtnl_encode_lookup(buf, 0, nowhere, 0, SEQ, &len), -EINVAL);
	assert_int_equal(len, 12345);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addr_v6_vip),
		cmocka_unit_test(test_addr_v4),
		cmocka_unit_test(test_route_local_prefix),
		cmocka_unit_test(test_route_all_local),
		cmocka_unit_test(test_route_with_everything),
		cmocka_unit_test(test_rule),
		cmocka_unit_test(test_dumps),
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_what_cannot_be_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
