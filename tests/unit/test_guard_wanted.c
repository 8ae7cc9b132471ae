#include "unit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_file.h"
#include "guard_wanted.h"

#define POOLS                                                  \
	"\npool \"p\" { backend \"10.0.0.1:80\" {} check {} }" \
	"\npool \"q\" { backend \"10.0.0.2:80\" {} check {} }"

/* Every rule as one line: "reset 2001:db8::1/128 80-80". */
static void check(const char *text, bool p_down, bool q_down, bool has_bans, const char *expected)
{
	static const char *const kinds[] = {
		[NFT_GUARD_BAN] = "ban",
		[NFT_GUARD_PASS] = "pass",
		[NFT_GUARD_RESET] = "reset",
		[NFT_GUARD_PORT_UNREACHABLE] = "port",
		[NFT_GUARD_ADMIN_PROHIBITED] = "admin",
	};
	const bool down[] = { p_down, q_down };
	const struct guard_view view = { .pool_down = down, .has_bans = has_bans };
	struct nft_guard_wanted wanted = { 0 };
	struct config *config = NULL;
	char whole[1024], error[CONFIG_ERROR_MAX], said[2048] = "", addr[INET6_ADDRSTRLEN];
	size_t len = 0;

	snprintf(whole, sizeof(whole), "%s%s", text, POOLS);
	if (config_file_parse("x", whole, strlen(whole), &config, error) != 0)
		fail_msg("%s", error);
	assert_int_equal(guard_wanted_make(config, &view, &wanted), 0);
	for (size_t i = 0; i < wanted.n_rules; i++) {
		const struct nft_guard_rule *rule = &wanted.rules[i];

		inet_ntop(rule->family, rule->addr, addr, sizeof(addr));
		len += (size_t)snprintf(said + len, sizeof(said) - len, "%s %s/%u %s%u-%u%s\n",
			kinds[rule->kind], addr, rule->prefix_len,
			rule->l4proto == IPPROTO_UDP ? "udp " : "", rule->port_min, rule->port_max,
			rule->ifindex ? " by interface" : "");
	}
	assert_string_equal(said, expected);
	free(wanted.rules);
	config_free(config);
}

static void test_nothing_is_down(void **state)
{
	(void)state;
	check("listener \"a\" { bind = \"*:80\" pool = \"p\" }", false, true, false, "");
}

static void test_kinds(void **state)
{
	(void)state;
	check("listener \"a\" { bind = \"[2001:db8::1]:80\" pool = \"p\" }", true, false, false,
		"reset 2001:db8::1/128 80-80\n");
	check("listener \"a\" { bind = \"203.0.113.1:80\" pool = \"p\" refuse = port-unreachable }",
		true, false, false, "port 203.0.113.1/32 80-80\n");
	check("listener \"a\" { bind = \"*:80\" pool = \"p\" refuse = admin-prohibited }", true,
		false, false, "admin ::/0 80-80\nadmin 0.0.0.0/0 80-80\n");
	check("listener \"a\" { bind = \"*:80\" pool = \"p\" refuse = accept-then-reset }", true,
		false, false, "");
}

/* Datagrams and embedded servers are not refused here. */
static void test_others_are_not_concerned(void **state)
{
	(void)state;
	check("listener \"a\" { protocol = udp bind = \"[::]:53\" pool = \"p\" }\n"
	      "listener \"b\" { bind = \"[2001:db8:64::/96]:80\" backend = embedded"
	      " allow = \"10.0.0.0/8\" }",
		true, true, false, "");
}

/* The narrower one first; an equally wide, or a wider one, is not in its way. */
static void test_narrower_ones_are_spared(void **state)
{
	static const char text[] =
		"listener \"a\" { bind = { \"[2001:db8::/32]:80-90\", \"203.0.113.1:80\" }"
		" pool = \"p\" }\n"
		"listener \"b\" { bind = { \"[2001:db8::1]:80\", \"[2001:db8::1]:99\","
		" \"[2001:db9::1]:80\", \"*:80\" } pool = \"q\" }";

	(void)state;
	check(text, true, false, false,
		"pass 2001:db8::1/128 80-80\nreset 203.0.113.1/32 80-80\n"
		"reset 2001:db8::/32 80-90\n");
	check(text, false, true, false,
		"reset 2001:db8::1/128 80-80\nreset 2001:db9::1/128 80-80\n"
		"reset 2001:db8::1/128 99-99\npass 203.0.113.1/32 80-80\n"
		"pass 2001:db8::/32 80-90\nreset ::/0 80-80\nreset 0.0.0.0/0 80-80\n");
}

static void test_ipv4_clients_of_an_ipv6_socket(void **state)
{
	(void)state;
	check("listener \"a\" { bind = \"[::]:80\" v6only = no pool = \"p\" }", true, false, true,
		"ban ::/0 80-80\nban 0.0.0.0/0 80-80\nreset ::/0 80-80\nreset 0.0.0.0/0 80-80\n");
	check("listener \"a\" { bind = \"[2001:db8::1]:80\" v6only = no pool = \"p\" }", true,
		false, false, "reset 2001:db8::1/128 80-80\n");
}

/* Every bind of ours, and nothing else. */
static void test_bans(void **state)
{
	(void)state;
	check("listener \"a\" { bind = { \"[2001:db8::/64]:443\", \"203.0.113.1:1000-2000\" }"
	      " pool = \"p\" }\n"
	      "listener \"b\" { protocol = udp bind = \"[2001:db8::1]:53\" pool = \"q\" }\n"
	      "listener \"c\" { bind = \"[2001:db8:64::/96]:*\" backend = embedded"
	      " allow = \"10.0.0.0/8\" }",
		false, false, true,
		"ban 2001:db8::1/128 udp 53-53\nban 2001:db8:64::/96 1-65535\n"
		"ban 2001:db8::/64 443-443\nban 203.0.113.1/32 1000-2000\n");
}

static void test_interface(void **state)
{
	(void)state;
	check("listener \"a\" { bind = \"[fe80::1%lo]:80\" pool = \"p\" }", true, false, false,
		"reset fe80::1/128 80-80 by interface\n");
}

/* The pool is up, and the listener is not to have new clients. */
static void test_drained_listener(void **state)
{
	static const char text[] =
		"listener \"a\" { bind = \"[2001:db8::1]:80\" pool = \"p\" }\n"
		"listener \"b\" { bind = \"[2001:db8::2]:80\" pool = \"p\" refuse = "
		"accept-then-reset }\n"
		"listener \"c\" { bind = \"[2001:db8::3]:80\" pool = \"p\" protocol = udp }\n"
		"listener \"d\" { bind = \"[2001:db8::4]:80\" pool = \"p\" }" POOLS;
	const bool down[] = { false, false };
	struct drain_state *drains = drain_state_create(4, 0);
	const struct guard_view view = { .pool_down = down, .drains = drains };
	struct nft_guard_wanted wanted = { 0 };
	struct config *config = NULL;
	char error[CONFIG_ERROR_MAX];

	(void)state;
	assert_non_null(drains);
	if (config_file_parse("x", text, strlen(text), &config, error) != 0)
		fail_msg("%s", error);
	for (size_t i = 0; i < 3; i++)
		drain_state_set(drains, i, DRAIN_NO_DEADLINE, 0);
	assert_int_equal(guard_wanted_make(config, &view, &wanted), 0);
	assert_int_equal(wanted.n_rules, 1);
	assert_int_equal(wanted.rules[0].kind, NFT_GUARD_RESET);
	assert_int_equal(wanted.rules[0].addr[15], 1);
	free(wanted.rules);
	config_free(config);
	drain_state_destroy(drains);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_down),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_others_are_not_concerned),
		cmocka_unit_test(test_narrower_ones_are_spared),
		cmocka_unit_test(test_ipv4_clients_of_an_ipv6_socket),
		cmocka_unit_test(test_bans),
		cmocka_unit_test(test_interface),
		cmocka_unit_test(test_drained_listener),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
