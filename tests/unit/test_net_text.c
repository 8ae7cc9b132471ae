#include "unit.h"

#include <arpa/inet.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "net_text.h"

static void check(struct net_step step, const char *add, const char *remove)
{
	char buf[NET_TEXT_MAX];

	step.remove = false;
	assert_string_equal(net_text_step(&step, buf), add);
	step.remove = true;
	assert_string_equal(net_text_step(&step, buf), remove);
}

static struct net_step addr_step(uint8_t family, const char *text, uint8_t len, const char *ifname)
{
	struct net_step step = { .kind = NET_STEP_ADDR,
		.addr = { .family = family, .prefix_len = len, .index = 7 } };

	assert_int_equal(inet_pton(family, text, step.addr.addr), 1);
	memcpy(step.addr.ifname, ifname, strlen(ifname));
	return step;
}

static void test_addresses(void **state)
{
	struct net_step step = addr_step(AF_INET6, "2001:db8:80::1", 128, "eth0");

	(void)state;
	check(step, "ip -6 addr add 2001:db8:80::1/128 dev eth0 nodad",
		"ip -6 addr del 2001:db8:80::1/128 dev eth0");
	step.addr.unpreferred = true;
	check(step, "ip -6 addr add 2001:db8:80::1/128 dev eth0 nodad preferred_lft 0",
		"ip -6 addr del 2001:db8:80::1/128 dev eth0");
	step = addr_step(AF_INET, "192.0.2.1", 32, "lo");
	step.addr.scope = RT_SCOPE_HOST;
	check(step, "ip -4 addr add 192.0.2.1/32 dev lo scope host",
		"ip -4 addr del 192.0.2.1/32 dev lo");
}

/* Nothing of a name that a shell or a line would make something of gets into the text. */
static void test_odd_names_of_links(void **state)
{
	static const char *const names[] = { "a;reboot", "a b", "$(x)", "a\nb", "\x1b[2J", "",
		"é" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		check(addr_step(AF_INET6, "2001:db8::1", 128, names[i]),
			"ip -6 addr add 2001:db8::1/128 dev if7 nodad",
			"ip -6 addr del 2001:db8::1/128 dev if7");
}

static void test_routes(void **state)
{
	struct net_step step = { .kind = NET_STEP_ROUTE,
		.route = { .family = AF_INET6,
			.type = RTN_LOCAL,
			.protocol = NET_MARK,
			.dst_len = 64,
			.dst = { 0x20, 0x01, 0x0d, 0xb8, 0, 0x80 },
			.table = RT_TABLE_LOCAL,
			.metric = 1024,
			.index = 1,
			.ifname = "lo" } };

	(void)state;
	check(step, "ip -6 route add local 2001:db8:80::/64 dev lo table local proto 166",
		"ip -6 route del local 2001:db8:80::/64 dev lo table local proto 166");
	step.route = (struct net_route){ .family = AF_INET,
		.type = RTN_LOCAL,
		.protocol = NET_MARK,
		.scope = RT_SCOPE_HOST,
		.table = 166,
		.index = 1,
		.ifname = "lo" };
	check(step, "ip -4 route add local default dev lo table 166 proto 166",
		"ip -4 route del local default dev lo table 166 proto 166");
	step.route = (struct net_route){ .family = AF_INET,
		.type = RTN_UNICAST,
		.protocol = 4,
		.dst_len = 24,
		.dst = { 198, 51, 100 },
		.gateway = { 192, 0, 2, 9 },
		.source = { 192, 0, 2, 1 },
		.table = RT_TABLE_MAIN,
		.metric = 5,
		.mtu = 1400,
		.ifname = "eth0" };
	check(step,
		"ip -4 route add 198.51.100.0/24 via 192.0.2.9 dev eth0 src 192.0.2.1 table main "
		"metric 5 mtu 1400 proto 4",
		"ip -4 route del 198.51.100.0/24 via 192.0.2.9 dev eth0 src 192.0.2.1 table main "
		"metric 5 mtu 1400 proto 4");
	step.route = (struct net_route){ .family = AF_INET6,
		.type = RTN_BLACKHOLE,
		.protocol = NET_MARK,
		.dst_len = 32,
		.dst = { 0x20, 0x01, 0x0d, 0xb8 },
		.table = RT_TABLE_MAIN };
	check(step, "ip -6 route add blackhole 2001:db8::/32 table main proto 166",
		"ip -6 route del blackhole 2001:db8::/32 table main proto 166");
}

static void test_rules(void **state)
{
	struct net_step step = { .kind = NET_STEP_RULE,
		.rule = { .family = AF_INET,
			.action = FR_ACT_TO_TBL,
			.protocol = NET_MARK,
			.priority = 166,
			.table = 166,
			.mark = 0x1000,
			.mask = 0x1000 } };

	(void)state;
	check(step, "ip -4 rule add priority 166 fwmark 0x1000/0x1000 lookup 166 protocol 166",
		"ip -4 rule del priority 166 fwmark 0x1000/0x1000 lookup 166 protocol 166");
	step.rule.mask = 0;
	step.rule.action = FR_ACT_PROHIBIT;
	step.rule.family = AF_INET6;
	check(step, "ip -6 rule add priority 166 prohibit protocol 166",
		"ip -6 rule del priority 166 prohibit protocol 166");
}

/* The longest there can be fits. */
static void test_longest(void **state)
{
	struct net_step step = { .kind = NET_STEP_ROUTE,
		.route = { .family = AF_INET6,
			.type = RTN_UNREACHABLE,
			.protocol = 255,
			.dst_len = 128,
			.table = UINT32_MAX,
			.metric = UINT32_MAX,
			.mtu = UINT32_MAX,
			.ifname = "abcdefghijklmno" } };
	char buf[NET_TEXT_MAX];

	(void)state;
	memset(step.route.dst, 0x88, 16);
	memset(step.route.gateway, 0x88, 16);
	memset(step.route.source, 0x88, 16);
	net_text_step(&step, buf);
	assert_non_null(strstr(buf, " proto 255"));
	assert_true(strlen(buf) < NET_TEXT_MAX - 1);
}

static void test_nft(void **state)
{
	struct nft_rule rules[] = {
		{ .kind = NFT_RULE_NOTRACK,
			.family = AF_INET6,
			.l4proto = IPPROTO_TCP,
			.prefix_len = 128,
			.addr = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 },
			.port_min = 80,
			.port_max = 80 },
		{ .kind = NFT_RULE_PASS,
			.family = AF_INET6,
			.l4proto = IPPROTO_TCP,
			.prefix_len = 128,
			.addr = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 },
			.port_min = 80,
			.port_max = 80 },
	};
	struct nft_wanted wanted = { .rules = rules, .n_rules = 0 };
	struct net_step step = { .kind = NET_STEP_NFT };
	static const char head[] = "add table inet sixgate\ndelete table inet sixgate\n";
	const char *divert, *track, *answer;
	char *script;

	(void)state;
	check(step, "nft -f - # replaces table inet sixgate", "nft delete table inet sixgate");
	script = net_text_nft(&wanted);
	assert_string_equal(script, head);
	free(script);
	wanted.n_rules = 2;
	script = net_text_nft(&wanted);
	assert_int_equal(strncmp(script, head, strlen(head)), 0);
	divert = strstr(script, "chain divert {\n\t\ttype filter hook prerouting priority mangle;");
	track = strstr(script, "chain track {\n\t\ttype filter hook prerouting priority raw;");
	answer = strstr(script, "chain answer {\n\t\ttype filter hook output priority raw;");
	assert_true(divert && track && answer && divert < track && track < answer);
	/* What comes in is told by where it goes, an answer by where it comes from. */
	assert_non_null(strstr(track, "ip6 daddr 2001:db8::1 tcp dport 80 notrack"));
	assert_non_null(strstr(answer, "ip6 saddr 2001:db8::1 tcp sport 80 notrack"));
	assert_null(strstr(answer, "daddr"));
	free(script);
	wanted.rules = &rules[1];
	wanted.n_rules = 1;
	script = net_text_nft(&wanted);
	assert_non_null(strstr(script, "chain divert"));
	assert_null(strstr(script, "chain track"));
	assert_null(strstr(script, "chain answer"));
	free(script);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_odd_names_of_links),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_nft),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
