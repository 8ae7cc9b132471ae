#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "nft_chain.h"
#include "nft_rule.h"
#include "nft_table.h"

static struct nft_rule make(enum nft_rule_kind kind, const char *addr, uint8_t prefix_len,
	uint16_t port_min, uint16_t port_max)
{
	struct nft_rule rule = { .kind = kind,
		.family = strchr(addr, ':') ? AF_INET6 : AF_INET,
		.l4proto = IPPROTO_TCP,
		.prefix_len = prefix_len,
		.port_min = port_min,
		.port_max = port_max,
		.to_port = 8443 };

	assert_int_equal(inet_pton(rule.family, addr, rule.addr), 1);
	assert_int_equal(
		inet_pton(rule.family, rule.family == AF_INET6 ? "::1" : "127.0.0.1", rule.to), 1);
	return rule;
}

/* The text, and that every smaller buffer gets what fits and is not written beyond. */
static void check(struct nft_rule rule, const char *expected)
{
	size_t len = strlen(expected);

	assert_int_equal(nft_rule_text(&rule, NULL, 0), (int)len);
	for (size_t size = 1; size <= len + 1; size++) {
		char *buf = malloc(size);

		assert_non_null(buf);
		memset(buf, 'x', size);
		assert_int_equal(nft_rule_text(&rule, buf, size), (int)len);
		assert_int_equal(buf[size - 1], '\0');
		assert_int_equal(strlen(buf), size - 1);
		assert_memory_equal(buf, expected, size - 1);
		free(buf);
	}
}

static void test_pass(void **state)
{
	(void)state;
	check(make(NFT_RULE_PASS, "2001:db8:64::7", 128, 443, 443),
		"ip6 daddr 2001:db8:64::7 tcp dport 443 accept");
	check(make(NFT_RULE_PASS, "203.0.113.7", 32, 443, 443),
		"ip daddr 203.0.113.7 tcp dport 443 accept");
}

static void test_divert(void **state)
{
	struct nft_rule udp = make(NFT_RULE_DIVERT, "203.0.113.0", 24, 443, 443);

	(void)state;
	check(make(NFT_RULE_DIVERT, "2001:db8:64::", 64, 443, 443),
		"ip6 daddr 2001:db8:64::/64 tcp dport 443 tproxy ip6 to [::1]:8443 accept");
	check(make(NFT_RULE_DIVERT, "2001:db8:64:8::", 61, 443, 443),
		"ip6 daddr 2001:db8:64:8::/61 tcp dport 443 tproxy ip6 to [::1]:8443 accept");
	udp.l4proto = IPPROTO_UDP;
	check(udp, "ip daddr 203.0.113.0/24 udp dport 443 tproxy ip to 127.0.0.1:8443 accept");
}

static void test_ports(void **state)
{
	struct nft_rule udp = make(NFT_RULE_PASS, "2001:db8:64::7", 128, 1, 65535);

	(void)state;
	check(make(NFT_RULE_PASS, "2001:db8:64::7", 128, 8000, 8080),
		"ip6 daddr 2001:db8:64::7 tcp dport 8000-8080 accept");
	check(make(NFT_RULE_PASS, "2001:db8:64::7", 128, 1, 65535),
		"ip6 daddr 2001:db8:64::7 meta l4proto tcp accept");
	udp.l4proto = IPPROTO_UDP;
	check(udp, "ip6 daddr 2001:db8:64::7 meta l4proto udp accept");
	check(make(NFT_RULE_PASS, "2001:db8:64::7", 128, 1, 65534),
		"ip6 daddr 2001:db8:64::7 tcp dport 1-65534 accept");
	check(make(NFT_RULE_PASS, "2001:db8:64::7", 128, 2, 65535),
		"ip6 daddr 2001:db8:64::7 tcp dport 2-65535 accept");
}

static void test_any_address(void **state)
{
	(void)state;
	check(make(NFT_RULE_DIVERT, "::", 0, 443, 443),
		"meta nfproto ipv6 fib daddr type local meta iiftype != loopback tcp dport 443 "
		"tproxy ip6 to [::1]:8443 "
		"accept");
	check(make(NFT_RULE_PASS, "0.0.0.0", 0, 443, 443),
		"meta nfproto ipv4 fib daddr type local tcp dport 443 accept");
}

static void test_transparent(void **state)
{
	struct nft_rule rule = { .kind = NFT_RULE_TRANSPARENT,
		.family = AF_INET,
		.l4proto = IPPROTO_TCP,
		.mark = 0x41000,
		.mask = 0x3000 };

	(void)state;
	check(rule, "meta nfproto ipv4 meta l4proto tcp socket transparent 1 "
		    "meta mark set meta mark & 0xffffcfff | 0x00001000");
	rule.kind = NFT_RULE_WILDCARD;
	check(rule, "meta nfproto ipv4 meta l4proto tcp socket transparent 1 "
		    "socket wildcard 1 "
		    "meta mark set meta mark & 0xffffcfff | 0x00000000");
}

static void test_notrack(void **state)
{
	(void)state;
	check(make(NFT_RULE_NOTRACK, "203.0.113.0", 24, 443, 443),
		"ip daddr 203.0.113.0/24 tcp dport 443 notrack");
	check(make(NFT_RULE_NOTRACK, "2001:db8:64::", 64, 443, 443),
		"ip6 daddr 2001:db8:64::/64 tcp dport 443 notrack");
}

static void test_refuse(void **state)
{
	(void)state;
	check(make(NFT_RULE_REFUSE, "2001:db8:64::7", 128, 443, 443),
		"ip6 daddr 2001:db8:64::7 tcp dport 443 tcp flags & (syn | ack) == syn "
		"reject with tcp reset");
	check(make(NFT_RULE_REFUSE, "::", 0, 443, 443),
		"meta nfproto ipv6 fib daddr type local meta iiftype != loopback tcp dport 443 "
		"tcp flags & (syn | ack) == syn reject with tcp reset");
}

static void test_udp(void **state)
{
	static const enum nft_rule_kind kinds[] = { NFT_RULE_DIVERT, NFT_RULE_PASS, NFT_RULE_REFUSE,
		NFT_RULE_NOTRACK };
	static const char *const expected[] = {
		"ip6 daddr 2001:db8:64::/64 udp dport 443 tproxy ip6 to [::1]:8443 accept",
		"ip6 daddr 2001:db8:64::/64 udp dport 443 accept",
		"ip6 daddr 2001:db8:64::/64 udp dport 443 reject with icmpx port-unreachable",
		"ip6 daddr 2001:db8:64::/64 udp dport 443 notrack",
	};
	struct nft_rule rule;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		rule = make(kinds[i], "2001:db8:64::", 64, 443, 443);
		rule.l4proto = IPPROTO_UDP;
		check(rule, expected[i]);
	}
	rule = make(NFT_RULE_REFUSE, "203.0.113.7", 32, 1, 65535);
	rule.l4proto = IPPROTO_UDP;
	check(rule, "ip daddr 203.0.113.7 meta l4proto udp reject with icmpx port-unreachable");
}

static void test_longest(void **state)
{
	struct nft_rule rule =
		make(NFT_RULE_DIVERT, "2001:db8:ffff:ffff:ffff:ffff:ffff:fffe", 127, 10000, 65534);

	(void)state;
	assert_int_equal(inet_pton(AF_INET6, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", rule.to), 1);
	rule.to_port = 65535;
	check(rule, "ip6 daddr 2001:db8:ffff:ffff:ffff:ffff:ffff:fffe/127 tcp dport 10000-65534 "
		    "tproxy ip6 to [2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535 accept");
}

static void test_chain(void **state)
{
	struct nft_rule rule = { 0 };
	const char *second;

	(void)state;
	for (int kind = NFT_RULE_DIVERT; kind <= NFT_RULE_WILDCARD; kind++) {
		rule.kind = (enum nft_rule_kind)kind;
		second = "untouched";
		assert_string_equal(nft_chain_of(&rule, &second), "divert");
		assert_null(second);
	}
	rule.kind = NFT_RULE_NOTRACK;
	assert_string_equal(nft_chain_of(&rule, &second), "track");
	assert_string_equal(second, "answer");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pass),
		cmocka_unit_test(test_divert),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_any_address),
		cmocka_unit_test(test_transparent),
		cmocka_unit_test(test_notrack),
		cmocka_unit_test(test_refuse),
		cmocka_unit_test(test_udp),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_chain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
