#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prefix_rules.h"

static void add(struct prefix_rules *rules, const char *text, bool allow)
{
	struct prefix prefix;
	const char *reason;

	assert_int_equal(prefix_rules_parse_one(text, &prefix, &reason), 0);
	assert_int_equal(prefix_rules_add(rules, &prefix, allow), 0);
}

static bool allows(const struct prefix_ranges *ranges, const char *text)
{
	struct sockaddr_any addr;
	const char *reason;

	assert_int_equal(sockaddr_parse_host(text, &addr, &reason), 0);
	return sockaddr_family(&addr) == AF_INET
		       ? prefix_ranges_allow(ranges->v4, ranges->n4, &addr)
		       : prefix_ranges_allow(ranges->v6, ranges->n6, &addr);
}

static void test_most_specific(void **state)
{
	struct prefix_rules rules = { 0 };
	struct prefix_ranges ranges;

	(void)state;
	add(&rules, "2001:db8::/32", false);
	add(&rules, "2001:db8:1::/48", true);
	add(&rules, "2001:db8:1:1::/64", false);
	add(&rules, "2001:db8:1:1::5", true);
	add(&rules, "10.0.0.0/8", true);
	add(&rules, "10.1.0.0/16", false);
	add(&rules, "10.1.255.255", true);
	assert_int_equal(prefix_ranges_make(&rules, &ranges), 0);
	assert_false(allows(&ranges, "2001:db8::1"));
	assert_true(allows(&ranges, "2001:db8:1::1"));
	assert_false(allows(&ranges, "2001:db8:1:1::4"));
	assert_true(allows(&ranges, "2001:db8:1:1::5"));
	assert_false(allows(&ranges, "2001:db8:1:1::6"));
	assert_false(allows(&ranges, "2001:db8:1:1:ffff:ffff:ffff:ffff"));
	assert_true(allows(&ranges, "2001:db8:1:2::"));
	assert_false(allows(&ranges, "2001:db8:2::"));
	assert_true(allows(&ranges, "10.0.255.255"));
	assert_false(allows(&ranges, "10.1.0.0"));
	assert_false(allows(&ranges, "10.1.255.254"));
	assert_true(allows(&ranges, "10.1.255.255"));
	assert_true(allows(&ranges, "10.2.0.0"));
	/* Where something is allowed, all else is not. */
	assert_false(allows(&ranges, "::"));
	assert_false(allows(&ranges, "ffff::1"));
	assert_false(allows(&ranges, "9.255.255.255"));
	assert_false(allows(&ranges, "11.0.0.0"));
	prefix_ranges_clear(&ranges);
	prefix_rules_clear(&rules);
}

static void test_edges(void **state)
{
	struct prefix_rules rules = { 0 };
	struct prefix_ranges ranges;

	(void)state;
	assert_int_equal(prefix_ranges_make(&rules, &ranges), 0);
	assert_true(allows(&ranges, "::") && allows(&ranges, "255.255.255.255"));
	prefix_ranges_clear(&ranges);
	add(&rules, "255.255.255.255", false);
	add(&rules, "0.0.0.0", false);
	add(&rules, "ffff::/16", false);
	add(&rules, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false);
	add(&rules, "::/128", false);
	assert_int_equal(prefix_ranges_make(&rules, &ranges), 0);
	assert_false(allows(&ranges, "0.0.0.0"));
	assert_true(allows(&ranges, "0.0.0.1") && allows(&ranges, "255.255.255.254"));
	assert_false(allows(&ranges, "255.255.255.255"));
	assert_false(allows(&ranges, "::"));
	assert_true(allows(&ranges, "::1") && allows(&ranges, "fffe:ffff::"));
	assert_false(allows(&ranges, "ffff::"));
	assert_false(allows(&ranges, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
	/* What says the same is one range. */
	assert_int_equal(ranges.n6, 3);
	prefix_ranges_clear(&ranges);
	add(&rules, "::/0", true);
	add(&rules, "0.0.0.0/0", true);
	add(&rules, "0.0.0.0/0", false); /* both: denied */
	add(&rules, "0.0.0.0/0", true);
	assert_int_equal(prefix_ranges_make(&rules, &ranges), 0);
	assert_true(allows(&ranges, "2001:db8::1"));
	assert_false(allows(&ranges, "192.0.2.1"));
	prefix_ranges_clear(&ranges);
	prefix_rules_clear(&rules);
}

static uint32_t next(uint32_t *random)
{
	*random = *random * 1103515245U + 12345U;
	return *random >> 8;
}

/* Few values of each byte, so that prefixes lie in each other and addresses in prefixes. */
static struct sockaddr_any random_address(uint32_t *random)
{
	struct sockaddr_any addr = { 0 };
	bool v4 = next(random) % 2;
	uint8_t *bytes = v4 ? (uint8_t *)&addr.in.sin_addr : addr.in6.sin6_addr.s6_addr;

	addr.sa.sa_family = v4 ? AF_INET : AF_INET6;
	for (int i = 0; i < (v4 ? 4 : 16); i++)
		bytes[i] = (uint8_t)(next(random) % 3 == 0 ? 0 : next(random) % 3 == 0 ? 255 : 64);
	return addr;
}

static bool naive(const struct prefix_rules *rules, const struct sockaddr_any *addr)
{
	const struct prefix one = { *addr, prefix_full_len(addr) };
	bool allow = !rules->allows;
	int best = -1;

	for (size_t i = 0; i < rules->n; i++) {
		const struct prefix_rule *rule = &rules->rules[i];

		if (rule->prefix.len < best || !prefix_overlaps(&rule->prefix, &one))
			continue;
		allow = rule->prefix.len == best ? allow && rule->allow : rule->allow;
		best = rule->prefix.len;
	}
	return allow;
}

static void test_against_a_walk_through_all(void **state)
{
	uint32_t random = 42;

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct prefix_rules rules = { 0 };
		struct prefix_ranges ranges;

		for (uint32_t n = next(&random) % 60; n > 0; n--) {
			struct prefix prefix = { .addr = random_address(&random) };
			uint8_t full = prefix_full_len(&prefix.addr);
			uint8_t *bytes = full == 32 ? (uint8_t *)&prefix.addr.in.sin_addr
						    : prefix.addr.in6.sin6_addr.s6_addr;

			prefix.len = (uint8_t)(next(&random) % (full + 1U));
			for (unsigned bit = prefix.len; bit < full; bit++)
				bytes[bit / 8] &= (uint8_t) ~(0x80U >> bit % 8);
			assert_int_equal(prefix_rules_add(&rules, &prefix, next(&random) % 2), 0);
		}
		assert_int_equal(prefix_ranges_make(&rules, &ranges), 0);
		assert_true(ranges.n4 + ranges.n6 <= 2 * rules.n + 2);
		for (int i = 0; i < 300; i++) {
			struct sockaddr_any addr = random_address(&random);
			bool v4 = sockaddr_family(&addr) == AF_INET;

			assert_int_equal(prefix_ranges_allow(v4 ? ranges.v4 : ranges.v6,
						 v4 ? ranges.n4 : ranges.n6, &addr),
				naive(&rules, &addr));
		}
		prefix_ranges_clear(&ranges);
		prefix_rules_clear(&rules);
	}
}

static int parse(struct prefix_rules *rules, const char *text, char error[PREFIX_RULES_ERROR_MAX])
{
	error[0] = '\0';
	return prefix_rules_parse(rules, "list", text, strlen(text), false, error);
}

static void test_text(void **state)
{
	char error[PREFIX_RULES_ERROR_MAX];
	struct prefix_rules rules = { 0 };

	(void)state;
	assert_int_equal(parse(&rules, "", error), 0);
	assert_int_equal(
		parse(&rules, "\n# all of them\n 192.0.2.0/24 # one\r\n\t2001:db8::/32\n\n::1",
			error),
		0);
	assert_int_equal(rules.n, 3);
	assert_false(rules.allows);
	assert_int_equal(rules.rules[0].prefix.len, 24);
	assert_int_equal(rules.rules[2].prefix.len, 128);
	assert_int_equal(parse(&rules, "::ffff:192.0.2.0/120", error), 0);
	assert_int_equal(sockaddr_family(&rules.rules[3].prefix.addr), AF_INET);
	assert_int_equal(rules.rules[3].prefix.len, 24);
	prefix_rules_clear(&rules);
}

static void test_broken_text(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "192.0.2.1\n\nlocalhost\n", "list:3: \"localhost\": this is no address" },
		{ "192.0.2.1/24", "list:1: \"192.0.2.1/24\": the bits beyond the length" },
		{ "2001:db8::1/64\n", "list:1: \"2001:db8::1/64\": the bits beyond the length" },
		{ "::1\n10.0.0.0/33", "list:2: \"10.0.0.0/33\": the length of a prefix" },
		{ "fe80::1%lo", "list:1: \"fe80::1%lo\": a list has addresses without" },
		{ "10.0.0.0/8 10.1.0.0/16", "list:1: \"10.0.0.0/8 10.1.0.0/16\": " },
		{ "\x1b[31m", "list:1: \"?[31m\": this is no address" },
	};
	char error[PREFIX_RULES_ERROR_MAX], zero[] = "10.0.0.1\0.1\n", long_line[300];
	struct prefix_rules rules = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(&rules, cases[i].text, error), -EINVAL);
		if (strncmp(error, cases[i].error, strlen(cases[i].error)) != 0)
			fail_msg("%s\nis not\n%s", error, cases[i].error);
	}
	assert_int_equal(
		prefix_rules_parse(&rules, "list", zero, sizeof(zero) - 1, true, error), -EINVAL);
	memset(long_line, '1', sizeof(long_line));
	long_line[sizeof(long_line) - 1] = '\0';
	assert_int_equal(parse(&rules, long_line, error), -EINVAL);
	assert_non_null(strstr(error, "one address or prefix"));
	prefix_rules_clear(&rules);
}

static void test_too_many(void **state)
{
	struct prefix_rules rules = { 0 };
	struct prefix prefix = { .addr.sa.sa_family = AF_INET, .len = 32 };
	char error[PREFIX_RULES_ERROR_MAX];

	(void)state;
	for (uint32_t i = 0; i < PREFIX_RULES_MAX; i++)
		assert_int_equal(prefix_rules_add(&rules, &prefix, false), 0);
	assert_int_equal(prefix_rules_add(&rules, &prefix, false), -ENOSPC);
	assert_int_equal(parse(&rules, "::1", error), -EINVAL);
	assert_non_null(strstr(error, "1000000 prefixes"));
	prefix_rules_clear(&rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_most_specific),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_against_a_walk_through_all),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_broken_text),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
