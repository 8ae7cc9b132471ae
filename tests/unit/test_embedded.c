#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "embedded.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct in6_addr v6(const char *text)
{
	struct in6_addr addr;

	assert_int_equal(inet_pton(AF_INET6, text, &addr), 1);
	return addr;
}

static struct in_addr v4(const char *text)
{
	struct in_addr addr;

	assert_int_equal(inet_pton(AF_INET, text, &addr), 1);
	return addr;
}

static struct embedded_prefix entry(const char *text, uint8_t len)
{
	return (struct embedded_prefix){ ntohl(v4(text).s_addr), len };
}

static void assert_extracted(const char *text, uint8_t len, const char *expected)
{
	struct in6_addr addr = v6(text);
	struct in_addr out = { 0 };
	char buf[INET_ADDRSTRLEN];

	assert_int_equal(embedded_extract(&addr, len, &out), 0);
	assert_string_equal(inet_ntop(AF_INET, &out, buf, sizeof(buf)), expected);
}

/* The table of RFC 6052, section 2.4, and the well-known prefix. */
static void test_table_of_the_rfc(void **state)
{
	(void)state;
	assert_extracted("2001:db8:c000:221::", 32, "192.0.2.33");
	assert_extracted("2001:db8:1c0:2:21::", 40, "192.0.2.33");
	assert_extracted("2001:db8:122:c000:2:2100::", 48, "192.0.2.33");
	assert_extracted("2001:db8:122:3c0:0:221::", 56, "192.0.2.33");
	assert_extracted("2001:db8:122:344:c0:2:2100::", 64, "192.0.2.33");
	assert_extracted("2001:db8:122:344::192.0.2.33", 96, "192.0.2.33");
	assert_extracted("64:ff9b::192.0.2.33", 96, "192.0.2.33");
}

static void test_suffix_is_ignored(void **state)
{
	(void)state;
	assert_extracted("2001:db8:c000:221:00ff:ffff:ffff:ffff", 32, "192.0.2.33");
	assert_extracted("2001:db8:1c0:2:21:ffff:ffff:ffff", 40, "192.0.2.33");
	assert_extracted("2001:db8:122:c000:2:21ff:ffff:ffff", 48, "192.0.2.33");
	assert_extracted("2001:db8:122:3c0:0:221:ffff:ffff", 56, "192.0.2.33");
	assert_extracted("2001:db8:122:344:c0:2:21ff:ffff", 64, "192.0.2.33");
	assert_extracted("2001:db8::ffff:ffff", 96, "255.255.255.255");
}

static void test_what_is_not_embedded(void **state)
{
	static const uint8_t known[] = { 32, 40, 48, 56, 64, 96 };
	struct in6_addr plain = v6("2001:db8::1"), odd = v6("2001:db8:c000:221:100::");
	struct in_addr out = { 77 };

	(void)state;
	for (unsigned len = 0; len < 256; len++) {
		bool is_known = memchr(known, (int)len, sizeof(known));

		assert_int_equal(embedded_is_prefix_len((uint8_t)len), is_known);
		assert_int_equal(embedded_extract(&odd, (uint8_t)len, &out), -EINVAL);
		if (!is_known)
			assert_int_equal(embedded_extract(&plain, (uint8_t)len, &out), -EINVAL);
	}
	assert_int_equal(out.s_addr, 77);
}

static void test_any_of_the_list(void **state)
{
	const struct embedded_prefix list[] = { entry("10.0.0.0", 8), entry("192.0.2.10", 32),
		entry("8.8.0.0", 16), entry("9.9.9.9", 32) };
	static const struct {
		const char *addr;
		bool allowed;
	} cases[] = { { "10.0.0.0", true }, { "10.255.255.255", true }, { "11.0.0.0", false },
		{ "9.255.255.255", false }, { "192.0.2.10", true }, { "192.0.2.11", false },
		{ "8.8.255.255", true }, { "8.9.0.0", false }, { "9.9.9.9", true },
		{ "9.9.9.8", false } };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct in_addr addr = v4(cases[i].addr);

		if (embedded_is_allowed(list, COUNT(list), &addr) != cases[i].allowed)
			fail_msg("%s", cases[i].addr);
		assert_false(embedded_is_allowed(list, 0, &addr));
		assert_false(embedded_is_allowed(NULL, 0, &addr));
	}
}

/* First and last address of each block, and the nearest ones outside of it. */
static const struct {
	const char *first, *last, *before, *behind;
	uint8_t len;
} blocks[] = {
	{ "10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0", 8 },
	{ "100.64.0.0", "100.127.255.255", "100.63.255.255", "100.128.0.0", 10 },
	{ "127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0", 8 },
	{ "169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0", 16 },
	{ "172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0", 12 },
	{ "192.0.0.0", "192.0.0.255", "191.255.255.255", "192.0.1.0", 24 },
	{ "192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0", 24 },
	{ "192.168.0.0", "192.168.255.255", "192.167.255.255", "192.169.0.0", 16 },
	{ "198.18.0.0", "198.19.255.255", "198.17.255.255", "198.20.0.0", 15 },
	{ "198.51.100.0", "198.51.100.255", "198.51.99.255", "198.51.101.0", 24 },
	{ "203.0.113.0", "203.0.113.255", "203.0.112.255", "203.0.114.0", 24 },
	{ "240.0.0.0", "255.255.255.254", NULL, NULL, 4 },
};

static void test_special_blocks(void **state)
{
	const struct embedded_prefix all = entry("0.0.0.0", 0);

	(void)state;
	for (size_t i = 0; i < COUNT(blocks); i++) {
		const char *inside[] = { blocks[i].first, blocks[i].last };
		const char *outside[] = { blocks[i].before, blocks[i].behind };
		struct embedded_prefix own = entry(blocks[i].first, blocks[i].len);
		struct embedded_prefix wider = own;

		wider.len--;
		wider.addr &= UINT32_MAX << (32 - wider.len);
		assert_true(embedded_is_special(&own));
		assert_false(embedded_is_special(&wider));
		for (size_t j = 0; j < 2; j++) {
			struct in_addr addr = v4(inside[j]);
			struct embedded_prefix alone = entry(inside[j], 32);

			if (embedded_is_allowed(&all, 1, &addr))
				fail_msg("%s by 0.0.0.0/0", inside[j]);
			if (embedded_is_allowed(&wider, 1, &addr))
				fail_msg("%s by the wider one", inside[j]);
			if (!embedded_is_allowed(&own, 1, &addr))
				fail_msg("%s not by its own", inside[j]);
			assert_true(embedded_is_allowed(&alone, 1, &addr));
			assert_true(embedded_is_special(&alone));
			if (!outside[j])
				continue;
			addr = v4(outside[j]);
			if (!embedded_is_allowed(&all, 1, &addr))
				fail_msg("%s not by 0.0.0.0/0", outside[j]);
		}
	}
}

static void test_never(void **state)
{
	static const char *const addrs[] = { "0.0.0.0", "0.255.255.255", "224.0.0.0",
		"239.255.255.255", "255.255.255.255" };
	struct embedded_prefix half = entry("224.0.0.0", 3), wide = entry("0.0.0.0", 0);

	(void)state;
	for (size_t i = 0; i < COUNT(addrs); i++) {
		struct embedded_prefix own = entry(addrs[i], 32);
		struct in_addr addr = v4(addrs[i]);
		const struct embedded_prefix list[] = { own, half, wide };

		assert_true(embedded_is_never(&own));
		assert_false(embedded_is_allowed(list, COUNT(list), &addr));
	}
	assert_false(embedded_is_never(&half));
	assert_false(embedded_is_never(&wide));
}

static void test_named(void **state)
{
	const struct embedded_prefix list[] = { entry("10.0.0.0", 8), entry("10.0.0.1", 32),
		entry("10.0.0.2", 31) };
	struct in_addr addr = v4("10.0.0.1");

	(void)state;
	assert_true(embedded_is_named(list, COUNT(list), &addr));
	addr = v4("10.0.0.2");
	assert_false(embedded_is_named(list, COUNT(list), &addr));
	addr = v4("127.0.0.1");
	assert_true(embedded_is_named(list, COUNT(list), &addr));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_of_the_rfc),
		cmocka_unit_test(test_suffix_is_ignored),
		cmocka_unit_test(test_what_is_not_embedded),
		cmocka_unit_test(test_any_of_the_list),
		cmocka_unit_test(test_special_blocks),
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_named),
	};

	return cmocka_run_group_tests_name("embedded", tests, NULL, NULL);
}
