#include "unit.h"

#include <arpa/inet.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "config_file.h"
#include "net_wanted.h"
#include "nft_rule.h"

#define POOL "pool \"p\" { backend \"10.0.0.1:80\" {} }\n"

/* The wanted state of a configuration file's text. */
static void make(const char *text, bool has_conntrack, struct net_wanted *wanted)
{
	struct config *config = NULL;
	char error[CONFIG_ERROR_MAX];

	if (config_file_parse("x", text, strlen(text), &config, error) != 0)
		fail_msg("%s", error);
	assert_int_equal(net_wanted_make(config, has_conntrack, wanted), 0);
	config_free(config);
}

static void assert_addr(uint8_t family, const uint8_t *addr, const char *text)
{
	char buf[INET6_ADDRSTRLEN];

	assert_string_equal(inet_ntop(family, addr, buf, sizeof(buf)), text);
}

static void assert_rule(const struct nft_wanted *nft, size_t i, const char *text)
{
	char buf[256];

	assert_in_range(i, 0, nft->n_rules - 1);
	nft_rule_text(&nft->rules[i], buf, sizeof(buf));
	assert_string_equal(buf, text);
}

static void test_ordinary_listeners_want_nothing(void **state)
{
	struct net_wanted wanted;

	(void)state;
	make("listener \"a\" { bind = \"[2001:db8::1]:80\" pool = \"p\" }" POOL, true, &wanted);
	assert_int_equal(wanted.net.n_addrs + wanted.net.n_routes + wanted.net.n_rules, 0);
	assert_int_equal(wanted.nft.n_rules, 0);
	net_wanted_clear(&wanted);
}

static void test_addresses(void **state)
{
	struct net_wanted wanted;
	const struct net_addr *addr;

	(void)state;
	make("network { interface = \"eth0\" address = { \"2001:db8::1/128\", \"203.0.113.80\" }\n"
	     " source-interface = \"eth1\" source = \"192.0.2.7/24\" notrack = no }\n"
	     "listener \"a\" { bind = \"[2001:db8::1]:80\" pool = \"p\" }" POOL,
		true, &wanted);
	assert_int_equal(wanted.net.n_addrs, 3);
	assert_int_equal(wanted.net.n_routes, 0);
	assert_int_equal(wanted.nft.n_rules, 0);
	addr = &wanted.net.addrs[0];
	assert_addr(AF_INET6, addr->addr, "2001:db8::1");
	assert_int_equal(addr->prefix_len, 128);
	assert_string_equal(addr->ifname, "eth0");
	assert_true(addr->unpreferred);
	addr = &wanted.net.addrs[1];
	assert_addr(AF_INET, addr->addr, "203.0.113.80");
	assert_int_equal(addr->prefix_len, 32);
	assert_int_equal(addr->scope, RT_SCOPE_HOST);
	addr = &wanted.net.addrs[2];
	assert_addr(AF_INET, addr->addr, "192.0.2.7");
	assert_int_equal(addr->prefix_len, 24);
	assert_int_equal(addr->scope, RT_SCOPE_UNIVERSE);
	assert_false(addr->unpreferred);
	assert_string_equal(addr->ifname, "eth1");
	net_wanted_clear(&wanted);
}

static void test_prefixes_and_ranges_are_local_and_diverted(void **state)
{
	struct net_wanted wanted;

	(void)state;
	make("network { interface = \"eth0\" address = \"2001:db8::1\" }\n"
	     "listener \"a\" { bind = { \"[2001:db8:1::/64]:443\", \"203.0.113.0/24:80\",\n"
	     " \"[2001:db8::1]:1000-2000\", \"[2001:db8::9]:*\" } pool = \"p\" }" POOL,
		false, &wanted);
	/* The range is on a VIP, which an interface has. */
	assert_int_equal(wanted.net.n_routes, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(wanted.net.routes[i].type, RTN_LOCAL);
		assert_int_equal(wanted.net.routes[i].table, RT_TABLE_LOCAL);
		assert_string_equal(wanted.net.routes[i].ifname, "lo");
	}
	assert_int_equal(wanted.net.n_rules, 0);
	assert_int_equal(wanted.nft.n_rules, 8);
	assert_rule(&wanted.nft, 0,
		"ip6 daddr 2001:db8::1 tcp dport 1000-2000 tproxy ip6 to [2001:db8::1]:1000 "
		"accept");
	/* Without our socket, a client must not get to whoever else listens there. */
	assert_rule(&wanted.nft, 1,
		"ip6 daddr 2001:db8::1 tcp dport 1000-2000 tcp flags & (syn | ack) == syn reject "
		"with tcp reset");
	assert_rule(&wanted.nft, 2,
		"ip6 daddr 2001:db8::9 meta l4proto tcp tproxy ip6 to [2001:db8::9]:1 accept");
	assert_int_equal(wanted.nft.rules[3].kind, NFT_RULE_REFUSE);
	assert_rule(&wanted.nft, 4,
		"ip6 daddr 2001:db8:1::/64 tcp dport 443 tproxy ip6 to [2001:db8:1::]:443 accept");
	assert_int_equal(wanted.nft.rules[5].kind, NFT_RULE_REFUSE);
	assert_rule(&wanted.nft, 6,
		"ip daddr 203.0.113.0/24 tcp dport 80 tproxy ip to 203.0.113.0:80 accept");
	net_wanted_clear(&wanted);
}

static void test_narrower_listeners_come_first_and_are_spared(void **state)
{
	struct net_wanted wanted;

	(void)state;
	make("listener \"all\" { bind = \"[2001:db8::/32]:*\" pool = \"p\" }\n"
	     "listener \"other\" { bind = \"[2001:db9::1]:443\" pool = \"p\" }\n"
	     "listener \"one\" { bind = \"[2001:db8::5]:443\" pool = \"p\" }\n"
	     "listener \"some\" { bind = \"[2001:db8::/64]:443\" pool = \"p\" }" POOL,
		true, &wanted);
	assert_int_equal(wanted.nft.n_rules, 5); /* no section: conntrack is not our business */
	assert_rule(&wanted.nft, 0, "ip6 daddr 2001:db8::5 tcp dport 443 accept");
	assert_rule(&wanted.nft, 1,
		"ip6 daddr 2001:db8::/64 tcp dport 443 tproxy ip6 to [2001:db8::]:443 accept");
	assert_int_equal(wanted.nft.rules[2].kind, NFT_RULE_REFUSE);
	assert_rule(&wanted.nft, 3,
		"ip6 daddr 2001:db8::/32 meta l4proto tcp tproxy ip6 to [2001:db8::]:1 accept");
	net_wanted_clear(&wanted);
}

static void test_udp(void **state)
{
	struct net_wanted wanted;

	(void)state;
	make("network { interface = \"eth0\" address = \"2001:db8::1\" notrack = yes }\n"
	     "listener \"a\" { protocol = udp pool = \"p\"\n"
	     " bind = { \"[2001:db8:1::/64]:443\", \"[2001:db8::1]:53\" } }" POOL,
		true, &wanted);
	assert_int_equal(wanted.net.n_routes, 1);
	assert_int_equal(wanted.net.n_rules, 0);
	assert_int_equal(wanted.nft.n_rules, 4);
	assert_rule(&wanted.nft, 0,
		"ip6 daddr 2001:db8:1::/64 udp dport 443 tproxy ip6 to [2001:db8:1::]:443 accept");
	assert_rule(&wanted.nft, 1,
		"ip6 daddr 2001:db8:1::/64 udp dport 443 reject with icmpx port-unreachable");
	assert_rule(&wanted.nft, 2, "ip6 daddr 2001:db8::1 udp dport 53 notrack");
	assert_rule(&wanted.nft, 3, "ip6 daddr 2001:db8:1::/64 udp dport 443 notrack");
	net_wanted_clear(&wanted);
}

/* Rules of each, in an order that is always the same, and the routes once. */
static void test_udp_and_tcp_at_the_same_place(void **state)
{
	static const char *const expected[] = {
		"ip6 daddr 2001:db8:1::/64 tcp dport 443 tproxy ip6 to [2001:db8:1::]:443 accept",
		"ip6 daddr 2001:db8:1::/64 tcp dport 443 tcp flags & (syn | ack) == syn reject "
		"with tcp reset",
		"ip6 daddr 2001:db8:1::/64 udp dport 443 tproxy ip6 to [2001:db8:1::]:443 accept",
		"ip6 daddr 2001:db8:1::/64 udp dport 443 reject with icmpx port-unreachable",
		"ip daddr 203.0.113.0/24 tcp dport 53 tproxy ip to 203.0.113.0:53 accept",
		"ip daddr 203.0.113.0/24 tcp dport 53 tcp flags & (syn | ack) == syn reject "
		"with tcp reset",
		"ip daddr 203.0.113.0/24 udp dport 53 tproxy ip to 203.0.113.0:53 accept",
		"ip daddr 203.0.113.0/24 udp dport 53 reject with icmpx port-unreachable",
		"ip6 daddr 2001:db8:1::/64 tcp dport 443 notrack",
		"ip6 daddr 2001:db8:1::/64 udp dport 443 notrack",
		"ip daddr 203.0.113.0/24 tcp dport 53 notrack",
		"ip daddr 203.0.113.0/24 udp dport 53 notrack",
	};
	struct net_wanted wanted;

	(void)state;
	make("network { notrack = yes }\n"
	     "listener \"u\" { protocol = udp pool = \"p\"\n"
	     " bind = { \"[2001:db8:1::/64]:443\", \"203.0.113.0/24:53\" } }\n"
	     "listener \"t\" { pool = \"p\"\n"
	     " bind = { \"[2001:db8:1::/64]:443\", \"203.0.113.0/24:53\" } }" POOL,
		true, &wanted);
	assert_int_equal(wanted.net.n_routes, 2);
	assert_int_equal(wanted.nft.n_rules, sizeof(expected) / sizeof(expected[0]));
	for (size_t i = 0; i < wanted.nft.n_rules; i++)
		assert_rule(&wanted.nft, i, expected[i]);
	net_wanted_clear(&wanted);
}

/* An ordinary listener is spared where its own protocol is diverted; its address is ours anyhow. */
static void test_a_prefix_of_one_protocol_leaves_the_other_alone(void **state)
{
	static const char format[] =
		"listener \"all\" { protocol = %s bind = \"[2001:db8::/64]:443\" pool = \"p\" }\n"
		"listener \"one\" { protocol = %s bind = \"[2001:db8::5]:443\" pool = \"p\" "
		"}" POOL;
	static const char *const protocols[] = { "tcp", "udp" };
	struct config *config = NULL;
	struct net_wanted wanted;
	char text[512], error[CONFIG_ERROR_MAX];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		bool same = i / 2 == i % 2;

		snprintf(text, sizeof(text), format, protocols[i / 2], protocols[i % 2]);
		make(text, true, &wanted);
		assert_int_equal(wanted.net.n_routes, 1);
		assert_int_equal(wanted.nft.n_rules, 2 + same);
		assert_int_equal(wanted.nft.rules[0].kind, same ? NFT_RULE_PASS : NFT_RULE_DIVERT);
		for (size_t r = 0; r < wanted.nft.n_rules; r++)
			assert_int_equal(wanted.nft.rules[r].l4proto,
				i / 2 == 0 ? IPPROTO_TCP : IPPROTO_UDP);
		net_wanted_clear(&wanted);
		assert_int_equal(config_file_parse("x", text, strlen(text), &config, error), 0);
		assert_true(net_wanted_brings(config, &config->listeners[1].binds[0]));
		config_free(config);
	}
}

static void test_transparent_marks_answers(void **state)
{
	struct net_wanted wanted;

	(void)state;
	make("network { table = 7 priority = 8 mark = 0x40 }\n"
	     "listener \"a\" { bind = \"192.0.2.1:80\" identity = transparent pool = \"p\" }" POOL,
		false, &wanted);
	assert_int_equal(wanted.net.n_routes, 1);
	assert_int_equal(wanted.net.routes[0].table, 7);
	assert_int_equal(wanted.net.routes[0].dst_len, 0);
	assert_int_equal(wanted.net.routes[0].type, RTN_LOCAL);
	assert_int_equal(wanted.net.n_rules, 1);
	assert_int_equal(wanted.net.rules[0].priority, 8);
	assert_int_equal(wanted.net.rules[0].table, 7);
	assert_int_equal(wanted.net.rules[0].mark, 0x40);
	assert_int_equal(wanted.net.rules[0].mask, 0x40);
	assert_int_equal(wanted.net.rules[0].action, FR_ACT_TO_TBL);
	assert_int_equal(wanted.nft.n_rules, 2);
	assert_int_equal(wanted.nft.rules[0].kind, NFT_RULE_TRANSPARENT);
	assert_int_equal(wanted.nft.rules[0].mark, 0x40);
	assert_int_equal(wanted.nft.rules[1].kind, NFT_RULE_WILDCARD);
	assert_int_equal(wanted.nft.rules[1].mask, 0x40);
	net_wanted_clear(&wanted);
}

static void test_notrack(void **state)
{
	static const struct {
		const char *option;
		bool has_conntrack;
		size_t rules;
	} cases[] = { { "auto", true, 1 }, { "auto", false, 0 }, { "yes", false, 1 },
		{ "no", true, 0 } };
	struct net_wanted wanted;
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text),
			"network { notrack = %s }\n"
			"listener \"a\" { bind = \"192.0.2.1:80\" pool = \"p\" }" POOL,
			cases[i].option);
		make(text, cases[i].has_conntrack, &wanted);
		assert_int_equal(wanted.nft.n_rules, cases[i].rules);
		if (cases[i].rules)
			assert_int_equal(wanted.nft.rules[0].kind, NFT_RULE_NOTRACK);
		net_wanted_clear(&wanted);
	}
}

/* Ports from which the machine may have connections of its own stay tracked. */
static void test_ranges_on_own_addresses_stay_tracked(void **state)
{
	struct net_wanted wanted;
	size_t n = 0;

	(void)state;
	make("network { interface = \"eth0\" address = \"2001:db8::1\" notrack = yes }\n"
	     "listener \"a\" { bind = { \"[2001:db8::1]:1000-2000\", \"[2001:db8::2]:*\",\n"
	     " \"0.0.0.0:1000-2000\", \"203.0.113.0/24:*\", \"[::]:80\" } pool = \"p\" }" POOL,
		true, &wanted);
	for (size_t i = 0; i < wanted.nft.n_rules; i++)
		n += wanted.nft.rules[i].kind == NFT_RULE_NOTRACK;
	assert_int_equal(n, 3); /* the VIP, the prefix and the single port */
	net_wanted_clear(&wanted);
	make("network { interface = \"eth0\" source = \"192.0.2.9/24\" notrack = yes }\n"
	     "listener \"a\" { bind = { \"192.0.2.0/24:*\", \"198.51.100.0/24:1000-2000\" }"
	     " pool = \"p\" }\n"
	     "pool \"p\" { backend \"10.0.0.1:80\" {} source = \"198.51.100.7\" }\n",
		true, &wanted);
	for (size_t i = 0; i < wanted.nft.n_rules; i++)
		assert_int_not_equal(wanted.nft.rules[i].kind, NFT_RULE_NOTRACK);
	net_wanted_clear(&wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ordinary_listeners_want_nothing),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_prefixes_and_ranges_are_local_and_diverted),
		cmocka_unit_test(test_narrower_listeners_come_first_and_are_spared),
		cmocka_unit_test(test_udp),
		cmocka_unit_test(test_udp_and_tcp_at_the_same_place),
		cmocka_unit_test(test_a_prefix_of_one_protocol_leaves_the_other_alone),
		cmocka_unit_test(test_transparent_marks_answers),
		cmocka_unit_test(test_notrack),
		cmocka_unit_test(test_ranges_on_own_addresses_stay_tracked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
