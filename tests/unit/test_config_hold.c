#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config_text.h"

#define POOL  "pool p { backend \"192.0.2.10:80\" {} }\n"
#define AFTER "accept = after-backend"

static void test_defaults(void **state)
{
	struct config *config = parsed(POOL "listener l { bind = \"*:80\" pool = p }\n");

	(void)state;
	assert_false(config->listeners[0].after_backend);
	assert_int_equal(config->hold.max, 1024);
	assert_int_equal(config->hold.max_per_backend, 256);
	assert_int_equal(config->hold.max_per_client, 64);
	assert_int_equal(config->hold.queue, CONFIG_HOLD_QUEUE);
	config_free(config);
}

static void test_given(void **state)
{
	struct config *config = parsed(
		"hold { max = 65536 max-per-backend = 0 max-per-client = 1 queue = 0 }\n" POOL
		"listener a { bind = \"*:80\" pool = p " AFTER " }\n"
		"listener b { bind = \"[2001:db8::1]:81\" pool = p accept = at-once }\n");

	(void)state;
	assert_true(config->listeners[0].after_backend);
	assert_false(config->listeners[1].after_backend);
	assert_int_equal(config->hold.max, 65536);
	assert_int_equal(config->hold.max_per_backend, 0);
	assert_int_equal(config->hold.max_per_client, 1);
	assert_int_equal(config->hold.queue, 0);
	config_free(config);
}

static void test_mistakes(void **state)
{
	static const struct broken cases[] = {
		{ POOL "listener l { bind = \"*:80\" pool = p\naccept = later }",
			"3: accept \"later\": accept is at-once or after-backend" },
		{ POOL "listener l { bind = \"*:80\" protocol = udp pool = p\n" AFTER " }",
			"3: accept \"after-backend\": datagrams are not accepted: remove it, or "
			"protocol = udp" },
		{ POOL "listener l { bind = \"[2001:db8::/64]:80\" pool = p\n" AFTER " }",
			"3: accept \"after-backend\": [2001:db8::/64]:80 is a prefix or a range of "
			"ports, whose clients cannot be held; bind single addresses and ports, or "
			"remove this" },
		{ POOL "listener l { bind = \"[2001:db8::1]:80-90\" pool = p\n" AFTER " }",
			"3: accept \"after-backend\": [2001:db8::1]:80-90 is a prefix or a range "
			"of ports, whose clients cannot be held; bind single addresses and ports, "
			"or remove this" },
		{ POOL "listener l { bind = \"203.0.113.1:80\" pool = p identity = "
		       "transparent\n" AFTER " }",
			"3: accept \"after-backend\": the server would see a client that is not "
			"there yet; write identity = proxy-v2, or remove it" },
		{ POOL "listener l { bind = \"*:80\" pool = p accept-proxy { from = \"::/0\" "
		       "}\n" AFTER " }",
			"3: accept \"after-backend\": a proxy says who its client is when it has "
			"been let in, not before; remove it, or accept-proxy" },
		{ "listener l { bind = \"[2001:db8:64::/96]:*\" backend = embedded allow = "
		  "\"10.0.0.0/8\"\n" AFTER " }",
			"2: accept \"after-backend\": a server that the destination names is "
			"behind a prefix, whose clients cannot be held: remove it" },
		{ "hold { max = 0 }\n" POOL "listener l { bind = \"*:80\" pool = p }",
			"1: max \"0\": write a whole number from 1 to 65536" },
		{ "hold {\n\nmax-per-client = x }\n" POOL "listener l { bind = \"*:80\" pool = p }",
			"3: max-per-client \"x\": write a whole number from 0 to 65536" },
		{ "hold { queue = 65535 }\n" POOL "listener l { bind = \"*:80\" pool = p }",
			"1: queue \"65535\": write a whole number from 0 to 65000" },
	};

	(void)state;
	check_broken(cases, COUNT(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_given),
		cmocka_unit_test(test_mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
