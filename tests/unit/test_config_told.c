#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_file.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define POOL	     "pool p { backend 192.0.2.10:80 {} }\n"
#define BIND	     "listener l { bind = [::]:80 pool = p\n"

struct broken {
	const char *text, *error;
};

static struct config *parsed(const char *text)
{
	char error[CONFIG_ERROR_MAX];
	struct config *config = NULL;

	if (config_file_parse("t", text, strlen(text), &config, error) != 0)
		fail_msg("%s\nrefused: %s", text, error);
	return config;
}

static void check_broken(const struct broken *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char error[CONFIG_ERROR_MAX], expected[CONFIG_ERROR_MAX];
		struct config *config = NULL;
		int err = config_file_parse(
			"t", cases[i].text, strlen(cases[i].text), &config, error);

		snprintf(expected, sizeof(expected), "t:%s", cases[i].error);
		if (err != -EINVAL || config)
			fail_msg("%d for: %s", err, cases[i].text);
		if (strcmp(error, expected) != 0)
			fail_msg("%s\n%s\n%s", cases[i].text, error, expected);
	}
}

static void test_accept_proxy(void **state)
{
	struct config *config = parsed(
		POOL "listener a { bind = [::]:80 pool = p accept-proxy { from = { "
		     "\"2001:db8:ffff::/48\", 192.0.2.1, \"10.0.0.0/8\" } timeout = 1m } }\n"
		     "listener b { bind = [::]:81 pool = p accept-proxy { from = \"::/0\" } }\n"
		     "listener c { bind = [::]:82 pool = p }\n");
	const struct config_accept_proxy *a = &config->listeners[0].accept_proxy;
	char text[SOCKADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(a->n_from, 3);
	assert_string_equal(sockaddr_format(&a->from[0].addr, text), "[2001:db8:ffff::]:0");
	assert_int_equal(a->from[0].prefix_len, 48);
	assert_int_equal(a->from[1].prefix_len, 32);
	assert_int_equal(a->from[2].prefix_len, 8);
	assert_int_equal(a->timeout_ms, 60000);
	assert_int_equal(config->listeners[1].accept_proxy.from[0].prefix_len, 0);
	assert_int_equal(config->listeners[1].accept_proxy.timeout_ms, 3000);
	assert_int_equal(config->listeners[2].accept_proxy.n_from, 0);
	config_free(config);
}

static void test_accept_proxy_refused(void **state)
{
	static const struct broken cases[] = {
		{ POOL BIND "accept-proxy {\n} }",
			"4: accept-proxy: it does not say whose header is believed; add: from = "
			"\"2001:db8:ffff::/48\"" },
		{ POOL BIND "accept-proxy { from = {\n::1,\n\"2001:db8::1/48\" } } }",
			"5: from \"2001:db8::1/48\": the bits beyond the length of a prefix must "
			"be "
			"zero, like in 2001:db8::/48" },
		{ POOL BIND "accept-proxy { from = { ::1, ::1 } } }",
			"3: from \"::1\": the list has this already: write it once" },
		{ POOL BIND "accept-proxy { from = \"::ffff:192.0.2.1\" } }",
			"3: from \"::ffff:192.0.2.1\": write the IPv4 address itself, like "
			"192.0.2.1" },
		{ POOL BIND "accept-proxy { from = \"fe80::1%1\" } }",
			"3: from \"fe80::1%1\": leave out the '%' and what follows: an interface "
			"is "
			"not looked at" },
		{ POOL BIND "accept-proxy { from = \"ff02::1\" } }",
			"3: from \"ff02::1\": no proxy can have this address: name unicast "
			"addresses" },
		{ POOL BIND "accept-proxy { from = 0.0.0.0 } }",
			"3: from \"0.0.0.0\": no proxy can have this address: name unicast "
			"addresses" },
		{ POOL BIND "accept-proxy { from = proxy.example } }",
			"3: from \"proxy.example\": this is no address: write 192.0.2.1 or "
			"2001:db8::1, with or without a length like /24" },
		{ POOL BIND "accept-proxy { from = ::1 timeout = 99ms } }",
			"3: timeout \"99ms\": must be from 100ms to 1m" },
		{ POOL "listener l { bind = [::]:80 pool = p protocol = udp\naccept-proxy { from = "
		       "::1 } }",
			"3: accept-proxy: this goes with protocol = tcp only: remove it" },
		{ POOL "listener l { bind = 0.0.0.0:80 pool = p identity = transparent\n"
		       "accept-proxy { from = ::1 } }",
			"3: accept-proxy: a client that another proxy names cannot be shown by its "
			"own address; write identity = proxy-v2, or remove this" },
	};

	(void)state;
	check_broken(cases, COUNT(cases));
}

static void test_many_proxies(void **state)
{
	struct config_accept_proxy accept_proxy = { 0 };
	const char *reason = NULL;
	char text[32];

	(void)state;
	for (unsigned i = 0; i < CONFIG_FROM_MAX; i++) {
		snprintf(text, sizeof(text), "10.0.%u.0/24", i);
		assert_int_equal(config_add_from(&accept_proxy, text, &reason), 0);
	}
	assert_int_equal(config_add_from(&accept_proxy, "::1", &reason), -EINVAL);
	assert_string_equal(reason, "the list may have 256 addresses and prefixes");
	free(accept_proxy.from);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accept_proxy),
		cmocka_unit_test(test_accept_proxy_refused),
		cmocka_unit_test(test_many_proxies),
	};

	return cmocka_run_group_tests_name("config_told", tests, NULL, NULL);
}
