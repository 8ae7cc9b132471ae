#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "sockaddr.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct sockaddr_any parsed(const char *text)
{
	struct sockaddr_any addr;
	const char *reason = NULL;

	if (sockaddr_parse(text, &addr, &reason) != 0)
		fail_msg("\"%s\" was refused: %s", text, reason);
	return addr;
}

static struct sockaddr_any parsed_host(const char *text)
{
	struct sockaddr_any addr;
	const char *reason = NULL;

	if (sockaddr_parse_host(text, &addr, &reason) != 0)
		fail_msg("\"%s\" was refused: %s", text, reason);
	return addr;
}

static void test_round_trips(void **state)
{
	static const struct {
		const char *text, *canonical, *host;
		int family;
		uint16_t port;
	} cases[] = {
		{ "192.0.2.1:80", "192.0.2.1:80", "192.0.2.1", AF_INET, 80 },
		{ "0.0.0.0:1", "0.0.0.0:1", "0.0.0.0", AF_INET, 1 },
		{ "255.255.255.255:65535", "255.255.255.255:65535", "255.255.255.255", AF_INET,
			65535 },
		{ "192.0.2.1:00080", "192.0.2.1:80", "192.0.2.1", AF_INET, 80 },
		{ "[::]:65535", "[::]:65535", "::", AF_INET6, 65535 },
		{ "[::1]:443", "[::1]:443", "::1", AF_INET6, 443 },
		{ "[2001:DB8:0:0:1:0:0:1]:80", "[2001:db8::1:0:0:1]:80", "2001:db8::1:0:0:1",
			AF_INET6, 80 },
		{ "[2001:0db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
			"[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
			"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", AF_INET6, 65535 },
		{ "[::ffff:192.0.2.1]:80", "[::ffff:192.0.2.1]:80", "::ffff:192.0.2.1", AF_INET6,
			80 },
		{ "[fe80::1%lo]:80", "[fe80::1%1]:80", "fe80::1%1", AF_INET6, 80 },
		{ "[fe80::1%1]:80", "[fe80::1%1]:80", "fe80::1%1", AF_INET6, 80 },
	};
	char buf[SOCKADDR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sockaddr_any addr = parsed(cases[i].text), again;

		assert_int_equal(sockaddr_family(&addr), cases[i].family);
		assert_int_equal(sockaddr_port(&addr), cases[i].port);
		assert_string_equal(sockaddr_format(&addr, buf), cases[i].canonical);
		again = parsed(buf);
		assert_true(sockaddr_equal(&addr, &again));
		assert_string_equal(sockaddr_format_host(&addr, buf), cases[i].host);
		again = parsed_host(buf);
		assert_int_equal(sockaddr_port(&again), 0);
		sockaddr_set_port(&again, cases[i].port);
		assert_true(sockaddr_equal(&addr, &again));
	}
}

/* The same sockaddr_any must come out whatever the memory held before. */
static void test_result_is_whole(void **state)
{
	struct sockaddr_any addr;
	const char *reason;

	(void)state;
	memset(&addr, 0xff, sizeof(addr));
	assert_int_equal(sockaddr_parse("[2001:db8::1]:80", &addr, &reason), 0);
	assert_int_equal(addr.in6.sin6_flowinfo, 0);
	assert_int_equal(addr.in6.sin6_scope_id, 0);
	memset(&addr, 0xff, sizeof(addr));
	assert_int_equal(sockaddr_parse_host("2001:db8::1", &addr, &reason), 0);
	assert_int_equal(addr.in6.sin6_port, 0);
	assert_int_equal(addr.in6.sin6_scope_id, 0);
}

static void test_refused(void **state)
{
	static const char brackets[] = "write an IPv6 address in brackets: [2001:db8::1]:80";
	static const char closing[] = "write an IPv6 address with its port as [2001:db8::1]:80";
	static const char no_port[] = "a port is missing: write 192.0.2.1:80 or [2001:db8::1]:80";
	static const char no_address[] =
		"this is no address: write 192.0.2.1:80 or [2001:db8::1]:80";
	static const char no_interface[] = "there is no interface of that name on this machine";
	static const char bad_port[] = "a port is a number from 1 to 65535";
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{ "", no_port },
		{ "192.0.2.1", no_port },
		{ "localhost", no_port },
		{ "80", no_port },
		{ "2001:db8::1", brackets },
		{ "2001:db8::1:80", brackets },
		{ "::", brackets },
		{ "192.0.2.1:80:80", brackets },
		{ "[2001:db8::1]", closing },
		{ "[2001:db8::1", closing },
		{ "[2001:db8::1]80", closing },
		{ "[2001:db8::1] :80", closing },
		{ "[2001:db8::1]:80:80", closing },
		{ "[", closing },
		{ "[]", closing },
		{ "[]:80", no_address },
		{ ":80", no_address },
		{ "localhost:80", no_address },
		{ "192.0.2:80", no_address },
		{ "192.0.2.256:80", no_address },
		{ "192.0.2.1.1:80", no_address },
		{ " 192.0.2.1:80", no_address },
		{ "192.0.2.1 :80", no_address },
		{ "[192.0.2.1]:80", no_address },
		{ "[2001:db8::1::2]:80", no_address },
		{ "[2001:db8::g]:80", no_address },
		{ "[%lo]:80", no_address },
		{ "[0000000000000000000000000000000000000000000000000000000000000001]:80",
			no_address },
		{ "0000000000000000000000000000000000000000000000000000000000000192.0.2.1:80",
			no_address },
		{ "[fe80::1%no-such-if]:80", no_interface },
		{ "[fe80::1%4294967297]:80", no_interface },
		{ "[fe80::1%]:80", no_interface },
		{ "[fe80::1%lo%lo]:80", no_interface },
		{ "192.0.2.1:", bad_port },
		{ "192.0.2.1:0", bad_port },
		{ "192.0.2.1:00000", bad_port },
		{ "192.0.2.1:65536", bad_port },
		{ "192.0.2.1:000080", bad_port },
		{ "192.0.2.1:99999999999999999999", bad_port },
		{ "192.0.2.1:-1", bad_port },
		{ "192.0.2.1:+80", bad_port },
		{ "192.0.2.1: 80", bad_port },
		{ "192.0.2.1:80 ", bad_port },
		{ "192.0.2.1:http", bad_port },
		{ "192.0.2.1:0x50", bad_port },
		{ "[::1]:", bad_port },
		{ "[::1]:70000", bad_port },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sockaddr_any addr;
		const char *reason = "none";

		if (sockaddr_parse(cases[i].text, &addr, &reason) != -EINVAL)
			fail_msg("\"%s\" was taken", cases[i].text);
		if (strcmp(reason, cases[i].reason) != 0)
			fail_msg("\"%s\": %s", cases[i].text, reason);
	}
}

static void test_hosts(void **state)
{
	static const char *const wrong[] = { "", "[", "]", "[]", "[::1", "::1]", "[192.0.2.1]",
		"192.0.2.1:80", "[::1]:80", "localhost", "192.0.2", "fe80::1%no-such-if",
		"[fe80::1%]", "[[::1]]", "::1 ", "%lo" };
	char buf[SOCKADDR_TEXT_MAX];
	struct sockaddr_any addr;

	(void)state;
	addr = parsed_host("[2001:DB8::1]");
	assert_string_equal(sockaddr_format_host(&addr, buf), "2001:db8::1");
	addr = parsed_host("[fe80::1%lo]");
	assert_int_equal(addr.in6.sin6_scope_id, if_nametoindex("lo"));
	for (size_t i = 0; i < COUNT(wrong); i++) {
		const char *reason = "none";

		if (sockaddr_parse_host(wrong[i], &addr, &reason) != -EINVAL)
			fail_msg("\"%s\" was taken", wrong[i]);
		assert_string_equal(reason,
			"this is no address: write 192.0.2.1 or 2001:db8::1, without a port");
	}
}

static void test_scopes(void **state)
{
	struct sockaddr_any scoped = parsed("[fe80::1%lo]:80"), plain = parsed("[fe80::1]:80");
	char buf[SOCKADDR_TEXT_MAX], longest[SOCKADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(scoped.in6.sin6_scope_id, if_nametoindex("lo"));
	assert_false(sockaddr_equal(&scoped, &plain));
	/* An interface that is gone by now is told by its number. */
	scoped.in6.sin6_scope_id = 4294967295U;
	assert_string_equal(sockaddr_format(&scoped, buf), "[fe80::1%4294967295]:80");
	assert_string_equal(sockaddr_format_host(&scoped, buf), "fe80::1%4294967295");
	/* The longest text there is still fits. */
	memset(&scoped.in6.sin6_addr, 0xee, sizeof(scoped.in6.sin6_addr));
	sockaddr_set_port(&scoped, 65535);
	snprintf(longest, sizeof(longest), "[%s%%4294967295]:65535",
		"eeee:eeee:eeee:eeee:eeee:eeee:eeee:eeee");
	assert_string_equal(sockaddr_format(&scoped, buf), longest);
}

static void test_unmap(void **state)
{
	struct sockaddr_any addr = parsed("[::ffff:192.0.2.1]:80"), plain = parsed("192.0.2.1:80");
	struct sockaddr_any before;

	(void)state;
	sockaddr_unmap(&addr);
	assert_int_equal(sockaddr_family(&addr), AF_INET);
	assert_true(sockaddr_equal(&addr, &plain));
	sockaddr_unmap(&addr);
	assert_true(sockaddr_equal(&addr, &plain));
	/* An IPv4-compatible and a translated address are IPv6 addresses like any other. */
	addr = before = parsed("[::192.0.2.1]:80");
	sockaddr_unmap(&addr);
	assert_true(sockaddr_equal(&addr, &before));
	addr = before = parsed("[64:ff9b::192.0.2.1]:80");
	sockaddr_unmap(&addr);
	assert_true(sockaddr_equal(&addr, &before));
}

static void test_equal(void **state)
{
	static const char *const all[] = { "192.0.2.1:80", "192.0.2.1:81", "192.0.2.2:80",
		"[2001:db8::1]:80", "[2001:db8::1]:81", "[2001:db8::2]:80", "[::ffff:192.0.2.1]:80",
		"[fe80::1]:80", "[fe80::1%lo]:80" };

	(void)state;
	for (size_t i = 0; i < COUNT(all); i++)
		for (size_t j = 0; j < COUNT(all); j++) {
			struct sockaddr_any a = parsed(all[i]), b = parsed(all[j]);

			assert_int_equal(sockaddr_equal(&a, &b), i == j);
		}
}

/* What is in memory behind an address, or beside what counts, makes no difference. */
static void test_equal_looks_at_what_counts(void **state)
{
	struct sockaddr_any a = parsed("192.0.2.1:80"), b;

	(void)state;
	memset(&b, 0xff, sizeof(b));
	b.in.sin_family = AF_INET;
	b.in.sin_port = htons(80);
	b.in.sin_addr.s_addr = inet_addr("192.0.2.1");
	assert_true(sockaddr_equal(&a, &b));
	a = b = parsed("[2001:db8::1]:80");
	b.in6.sin6_flowinfo = htonl(12345);
	assert_true(sockaddr_equal(&a, &b));
}

static void test_is_any(void **state)
{
	struct sockaddr_any addr;

	(void)state;
	addr = parsed("0.0.0.0:80");
	assert_true(sockaddr_is_any(&addr));
	addr = parsed("[::]:80");
	assert_true(sockaddr_is_any(&addr));
	addr = parsed("0.0.0.1:80");
	assert_false(sockaddr_is_any(&addr));
	addr = parsed("[::1]:80");
	assert_false(sockaddr_is_any(&addr));
	addr = parsed("[::ffff:0.0.0.0]:80");
	assert_false(sockaddr_is_any(&addr));
}

static void test_len_and_port(void **state)
{
	struct sockaddr_any v4 = parsed("192.0.2.1:80"), v6 = parsed("[::1]:80"), none = { 0 };

	(void)state;
	assert_int_equal(sockaddr_len(&v4), sizeof(struct sockaddr_in));
	assert_int_equal(sockaddr_len(&v6), sizeof(struct sockaddr_in6));
	assert_int_equal(sockaddr_len(&none), 0);
	sockaddr_set_port(&v4, 0x1234);
	sockaddr_set_port(&v6, 0x1234);
	assert_int_equal(v4.in.sin_port, htons(0x1234));
	assert_int_equal(v6.in6.sin6_port, htons(0x1234));
	assert_int_equal(sockaddr_port(&v4), 0x1234);
	assert_int_equal(sockaddr_port(&v6), 0x1234);
}

static void test_unknown_family(void **state)
{
	struct sockaddr_any unix_addr = { .sa.sa_family = AF_UNIX }, none = { 0 };
	char buf[SOCKADDR_TEXT_MAX];

	(void)state;
	assert_string_equal(sockaddr_format(&unix_addr, buf), "-");
	assert_string_equal(sockaddr_format_host(&unix_addr, buf), "-");
	assert_string_equal(sockaddr_format(&none, buf), "-");
	sockaddr_unmap(&unix_addr);
	assert_int_equal(sockaddr_family(&unix_addr), AF_UNIX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_result_is_whole),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_scopes),
		cmocka_unit_test(test_unmap),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_equal_looks_at_what_counts),
		cmocka_unit_test(test_is_any),
		cmocka_unit_test(test_len_and_port),
		cmocka_unit_test(test_unknown_family),
	};

	return cmocka_run_group_tests_name("sockaddr", tests, NULL, NULL);
}
