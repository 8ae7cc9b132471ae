#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "rtnl.h"

/* Messages as a kernel sends them; nlmsghdr: length, type, flags NLM_F_MULTI, seq, port. */
#define HEAD(len, type) len, 0, 0, 0, type, 0, 2, 0, 9, 0, 0, 0, 1, 0, 0, 0
#define VIP6		0x20, 0x01, 0x0d, 0xb8, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1
#define OTHER6		0x20, 0x01, 0x0d, 0xb8, 0, 0x99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9

union any {
	struct net_link link;
	struct net_addr addr;
	struct net_route route;
	struct net_rule rule;
};

typedef int decode(const struct nlmsghdr *message, size_t len, union any *ret);

static int as_link(const struct nlmsghdr *message, size_t len, union any *ret)
{
	return rtnl_decode_link(message, len, &ret->link);
}

static int as_addr(const struct nlmsghdr *message, size_t len, union any *ret)
{
	return rtnl_decode_addr(message, len, &ret->addr);
}

static int as_route(const struct nlmsghdr *message, size_t len, union any *ret)
{
	return rtnl_decode_route(message, len, &ret->route);
}

static int as_rule(const struct nlmsghdr *message, size_t len, union any *ret)
{
	return rtnl_decode_rule(message, len, &ret->rule);
}

/* From an allocation of just that size, so that reading beyond it is seen. */
static int run(decode *function, const uint8_t *bytes, size_t len, union any *ret)
{
	uint8_t *copy = malloc(len ? len : 1);
	int err;

	memcpy(copy, bytes, len);
	err = function((const void *)copy, len, ret);
	free(copy);
	return err;
}

/* A message cut anywhere is refused and leaves the output alone, and so is one of another type. */
static void check_cuts(decode *function, const uint8_t *bytes, size_t len)
{
	uint8_t copy[256];
	union any ret, before;

	memset(&before, 0x5a, sizeof(before));
	for (size_t n = 0; n < len; n++) {
		ret = before;
		assert_int_equal(run(function, bytes, n, &ret), -EBADMSG);
		assert_memory_equal(&ret, &before, sizeof(ret));
	}
	memcpy(copy, bytes, len);
	copy[4] = 99;
	ret = before;
	assert_int_equal(run(function, copy, len, &ret), -EBADMSG);
	assert_memory_equal(&ret, &before, sizeof(ret));
	/* Its own length says less than it takes. */
	memcpy(copy, bytes, len);
	copy[0] = 17;
	assert_int_equal(run(function, copy, len, &ret), -EBADMSG);
}

/* Each attribute from `at` on gets every wrong length: never a crash, and nothing out of bounds. */
static void check_lengths(decode *function, const uint8_t *bytes, size_t len, size_t at)
{
	uint8_t copy[256];
	union any ret;

	while (at + 4 <= len) {
		uint8_t attr_len = bytes[at];

		for (unsigned wrong = 0; wrong < 256; wrong++) {
			memcpy(copy, bytes, len);
			copy[at] = (uint8_t)wrong;
			if (wrong < 4 || wrong > len - at)
				assert_int_equal(run(function, copy, len, &ret), -EBADMSG);
			else
				(void)run(function, copy, len, &ret);
		}
		at += (attr_len + 3U) & ~3U;
	}
}

static const uint8_t link_bytes[] = { HEAD(52, 16), 0, 0, 1, 0, 7, 0, 0, 0, 0x43, 0, 1, 0, 0, 0, 0,
	0, /* index 7, IFF_UP | IFF_BROADCAST | IFF_RUNNING | IFF_LOWER_UP */
	9, 0, 3, 0, 'e', 't', 'h', '0', 0, 0, 0, 0, /* IFLA_IFNAME */
	8, 0, 4, 0, 0xdc, 5, 0, 0 };		    /* IFLA_MTU 1500 */

static void test_link(void **state)
{
	union any ret;

	(void)state;
	assert_int_equal(run(as_link, link_bytes, sizeof(link_bytes), &ret), 0);
	assert_int_equal(ret.link.index, 7);
	assert_int_equal(ret.link.mtu, 1500);
	assert_string_equal(ret.link.name, "eth0");
	assert_true(ret.link.up);
	assert_true(ret.link.running);
	assert_false(ret.link.loopback);
	check_cuts(as_link, link_bytes, sizeof(link_bytes));
	check_lengths(as_link, link_bytes, sizeof(link_bytes), 32);
}

static const uint8_t addr_bytes[] = { HEAD(80, 20), 10, 128, 0x80, 0, 7, 0, 0, 0, /* old flags */
	20, 0, 1, 0, VIP6,							  /* IFA_ADDRESS */
	8, 0, 8, 0, 0xa2, 0, 0, 0, /* IFA_FLAGS: permanent, deprecated, nodad */
	5, 0, 11, 0, 166, 0, 0, 0, /* IFA_PROTO */
	20, 0, 6, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 2, 0, 0, 0 }; /* CACHEINFO */

static void test_addr(void **state)
{
	const uint8_t peer[] = { HEAD(40, 20), 2, 32, 0, 0, 7, 0, 0, 0, 8, 0, 1, 0, 10, 0, 0, 2, 8,
		0, 2, 0, 10, 0, 0, 1 }; /* IFA_ADDRESS is the peer's, IFA_LOCAL ours */
	union any ret;

	(void)state;
	assert_int_equal(run(as_addr, addr_bytes, sizeof(addr_bytes), &ret), 0);
	assert_int_equal(ret.addr.family, AF_INET6);
	assert_int_equal(ret.addr.prefix_len, 128);
	assert_int_equal(ret.addr.protocol, NET_MARK);
	assert_int_equal(ret.addr.index, 7);
	assert_int_equal(ret.addr.flags, IFA_F_PERMANENT | IFA_F_DEPRECATED | IFA_F_NODAD);
	assert_int_equal(ret.addr.addr[15], 1);
	assert_true(ret.addr.unpreferred);
	check_cuts(as_addr, addr_bytes, sizeof(addr_bytes));
	check_lengths(as_addr, addr_bytes, sizeof(addr_bytes), 24);

	assert_int_equal(run(as_addr, peer, sizeof(peer), &ret), 0);
	assert_int_equal(ret.addr.protocol, 0);
	assert_int_equal(ret.addr.addr[3], 1);
	assert_false(ret.addr.unpreferred);
}

static void test_addr_without_address(void **state)
{
	const uint8_t bytes[] = { HEAD(32, 20), 2, 32, 0, 0, 7, 0, 0, 0, 8, 0, 8, 0, 0, 0, 0, 0 };
	const uint8_t bridge[] = { HEAD(32, 20), 7, 32, 0, 0, 7, 0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 0 };
	union any ret;

	(void)state;
	assert_int_equal(run(as_addr, bytes, sizeof(bytes), &ret), -EBADMSG);
	assert_int_equal(run(as_addr, bridge, sizeof(bridge), &ret), -EBADMSG);
}

static const uint8_t route_bytes[] = { HEAD(92, 24), 10, 64, 0, 0, 0, 166, 0, 2, 0, 0, 0, 0, 20, 0,
	1, 0, OTHER6,				/* RTA_DST */
	8, 0, 15, 0, 0xe8, 3, 0, 0,		/* RTA_TABLE 1000 */
	8, 0, 4, 0, 1, 0, 0, 0,			/* RTA_OIF */
	8, 0, 6, 0, 0, 4, 0, 0,			/* RTA_PRIORITY 1024 */
	12, 0, 8, 0, 8, 0, 2, 0, 0x14, 5, 0, 0, /* RTA_METRICS: RTAX_MTU 1300 */
	5, 0, 20, 0, 0, 0, 0, 0 };		/* RTA_PREF, which is passed over */

static void test_route(void **state)
{
	const uint8_t blackhole[] = { HEAD(36, 24), 2, 8, 0, 0, 254, 3, 0, 6, 0, 0, 0, 0, 8, 0, 1,
		0, 10, 0, 0, 0 };
	union any ret;

	(void)state;
	assert_int_equal(run(as_route, route_bytes, sizeof(route_bytes), &ret), 0);
	assert_int_equal(ret.route.family, AF_INET6);
	assert_int_equal(ret.route.type, RTN_LOCAL);
	assert_int_equal(ret.route.protocol, NET_MARK);
	assert_int_equal(ret.route.dst_len, 64);
	assert_int_equal(ret.route.dst[15], 9);
	assert_int_equal(ret.route.table, 1000);
	assert_int_equal(ret.route.index, 1);
	assert_int_equal(ret.route.metric, 1024);
	assert_int_equal(ret.route.mtu, 1300);
	check_cuts(as_route, route_bytes, sizeof(route_bytes));
	check_lengths(as_route, route_bytes, sizeof(route_bytes), 28);

	assert_int_equal(run(as_route, blackhole, sizeof(blackhole), &ret), 0);
	assert_int_equal(ret.route.type, RTN_BLACKHOLE);
	assert_int_equal(ret.route.table, RT_TABLE_MAIN);
	assert_int_equal(ret.route.index, 0);
}

static const uint8_t rule_bytes[] = { HEAD(76, 32), 2, 0, 0, 0, 166, 0, 0, 1, 0, 0, 0, 0, 8, 0, 15,
	0, 166, 0, 0, 0,		     /* FRA_TABLE */
	8, 0, 14, 0, 0xff, 0xff, 0xff, 0xff, /* FRA_SUPPRESS_PREFIXLEN: none */
	5, 0, 21, 0, 166, 0, 0, 0,	     /* FRA_PROTOCOL */
	8, 0, 6, 0, 166, 0, 0, 0,	     /* FRA_PRIORITY */
	8, 0, 10, 0, 0, 0x10, 0, 0,	     /* FRA_FWMARK */
	8, 0, 16, 0, 0, 0x10, 0, 0 };	     /* FRA_FWMASK */

static void test_rule(void **state)
{
	union any ret;

	(void)state;
	assert_int_equal(run(as_rule, rule_bytes, sizeof(rule_bytes), &ret), 0);
	assert_int_equal(ret.rule.family, AF_INET);
	assert_int_equal(ret.rule.action, FR_ACT_TO_TBL);
	assert_int_equal(ret.rule.protocol, NET_MARK);
	assert_int_equal(ret.rule.priority, 166);
	assert_int_equal(ret.rule.table, 166);
	assert_int_equal(ret.rule.mark, 0x1000);
	assert_int_equal(ret.rule.mask, 0x1000);
	assert_false(ret.rule.narrow);
	check_cuts(as_rule, rule_bytes, sizeof(rule_bytes));
	check_lengths(as_rule, rule_bytes, sizeof(rule_bytes), 28);
}

/* Whatever else a rule asks of a packet makes it another rule. */
static void test_narrow_rules(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} headers[] = { { 17, 8 }, { 18, 8 }, { 19, 4 }, { 24, 2 } }; /* dst, src, tos, invert */
	static const uint8_t attrs[] = { FRA_DST, FRA_SRC, FRA_IIFNAME, FRA_GOTO, FRA_FLOW,
		FRA_TUN_ID, FRA_SUPPRESS_IFGROUP, FRA_OIFNAME, FRA_L3MDEV, FRA_UID_RANGE,
		FRA_IP_PROTO, FRA_SPORT_RANGE, FRA_DPORT_RANGE, 40 };
	uint8_t bytes[sizeof(rule_bytes)];
	union any ret;

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		memcpy(bytes, rule_bytes, sizeof(bytes));
		bytes[headers[i].at] = headers[i].value;
		assert_int_equal(run(as_rule, bytes, sizeof(bytes), &ret), 0);
		assert_true(ret.rule.narrow);
	}
	for (size_t i = 0; i < sizeof(attrs); i++) {
		memcpy(bytes, rule_bytes, sizeof(bytes));
		bytes[38] = attrs[i]; /* in place of FRA_SUPPRESS_PREFIXLEN */
		assert_int_equal(run(as_rule, bytes, sizeof(bytes), &ret), 0);
		assert_true(ret.rule.narrow);
	}
	memcpy(bytes, rule_bytes, sizeof(bytes));
	bytes[40] = bytes[41] = bytes[42] = bytes[43] = 0; /* FRA_SUPPRESS_PREFIXLEN 0 */
	assert_int_equal(run(as_rule, bytes, sizeof(bytes), &ret), 0);
	assert_true(ret.rule.narrow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_link),
		cmocka_unit_test(test_addr),
		cmocka_unit_test(test_addr_without_address),
		cmocka_unit_test(test_route),
		cmocka_unit_test(test_rule),
		cmocka_unit_test(test_narrow_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
