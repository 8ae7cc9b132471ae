#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "config_file.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define REST                                                                                      \
	"listener l { bind = \"*:80\" pool = p }\n"                                               \
	"pool p { backend \"10.0.0.1:80\" {} backend db.example:5432 { addresses = 3 weight = 7 " \
	"backup = yes } backend a:1 {} }\n"

static struct config *parsed(const char *section)
{
	char text[1024], error[CONFIG_ERROR_MAX];
	struct config *config = NULL;

	snprintf(text, sizeof(text), "%s\n" REST, section);
	if (config_file_parse("t", text, strlen(text), &config, error) != 0)
		fail_msg("%s", error);
	return config;
}

static void test_defaults(void **state)
{
	struct config *config = parsed("");
	const struct config_pool *pool = &config->pools[0];

	(void)state;
	assert_int_equal(config->resolve.n_servers, 0);
	assert_int_equal(config->resolve.interval_min_ms, 1000);
	assert_int_equal(config->resolve.interval_max_ms, 60000);
	assert_int_equal(config->resolve.timeout_ms, 2000);
	assert_int_equal(config->resolve.attempts, 2);
	assert_int_equal(config->resolve.hold_ms, 30000);
	assert_int_equal(pool->n_backends, 12);
	assert_int_equal(pool->names[0].n, 3);
	assert_int_equal(pool->names[1].n, 8);
	for (size_t i = 0; i < 12; i++) {
		assert_int_equal(pool->backends[i].backup, i >= 1 && i <= 3);
		assert_int_equal(pool->backends[i].weight, i >= 1 && i <= 3 ? 7 : 100);
	}
	config_free(config);
}

static void test_everything(void **state)
{
	static const char *const servers[] = { "192.0.2.53:53", "192.0.2.54:5353",
		"[2001:db8::53]:53", "[2001:db8::54]:99" };
	struct config *config = parsed("resolve { servers = { 192.0.2.53, '192.0.2.54:5353', "
				       "2001:db8::53, '[2001:db8::54]:99' } interval-min = 100ms "
				       "interval-max = 1d timeout = 1m attempts = 10 hold = 0s }");
	char text[SOCKADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(config->resolve.n_servers, 4);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(sockaddr_format(&config->resolve.servers[i], text), servers[i]);
	assert_int_equal(config->resolve.interval_min_ms, 100);
	assert_int_equal(config->resolve.interval_max_ms, 86400000);
	assert_int_equal(config->resolve.timeout_ms, 60000);
	assert_int_equal(config->resolve.attempts, 10);
	assert_int_equal(config->resolve.hold_ms, 0);
	config_free(config);
	config = parsed("resolve { hold = forever }");
	assert_int_equal(config->resolve.hold_ms, CONFIG_HOLD_FOREVER);
	config_free(config);
}

static void test_mistakes(void **state)
{
	static const char server[] = "a DNS server is an address, and a port unless that is 53, "
				     "like 192.0.2.53 or [2001:db8::53]:5353";
	static const struct {
		const char *section, *error, *reason;
	} cases[] = {
		{ "resolve {\n servers = dns.example }", "2: servers \"dns.example\": ", server },
		{ "resolve { servers = { 192.0.2.53,\n 192.0.2.53:0 } }",
			"2: servers \"192.0.2.53:0\": ", server },
		{ "resolve { servers = 0.0.0.0 }", "1: servers \"0.0.0.0\": ", server },
		{ "resolve { servers = [::]:53 }", "1: servers \"[::]:53\": ", server },
		{ "resolve { servers = fe80::1%lo }", "1: servers \"fe80::1%lo\": ",
			"a link-local address cannot be asked: name another of the server's" },
		{ "resolve { servers = { 192.0.2.53, 192.0.2.53:53 } }",
			"1: servers \"192.0.2.53:53\": ", "this server is given already" },
		{ "resolve { servers = { 192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4, 192.0.2.5, "
		  "192.0.2.6, 192.0.2.7, 192.0.2.8,\n 192.0.2.9 } }",
			"2: servers \"192.0.2.9\": ", "there may be 8 DNS servers" },
		{ "resolve { interval-min = 99ms }",
			"1: interval-min \"99ms\": ", "must be from 100ms to 1d" },
		{ "resolve { interval-max = 2d }",
			"1: interval-max \"2d\": ", "must be from 100ms to 1d" },
		{ "resolve { timeout = 61s }", "1: timeout \"61s\": ", "must be from 100ms to 1m" },
		{ "resolve { attempts = 0 }",
			"1: attempts \"0\": ", "write a whole number from 1 to 10" },
		{ "resolve { hold = 31d }",
			"1: hold \"31d\": ", "must be from 0s to 30d, or forever" },
		{ "resolve { hold = never }", "1: hold \"never\": ",
			"write a whole number with a unit, ms, s, m, h or d, like 5s" },
		{ "resolve {\n interval-max = 1s\n interval-min = 2s }", "3: ",
			"interval-min is longer than interval-max, 2000 ms against 1000: give "
			"both, the first no longer than the second" },
		{ "resolve { server = 192.0.2.53 }",
			"1: ", "unknown option 'server' in resolve; did you mean 'servers'?" },
		{ "resolve { }\nresolve { }",
			"2: ", "given a second time; write it once, or a list { \"a\", \"b\" }" },
		{ "pool q { backend 10.0.0.1:80 {\n addresses = 2 } }", "2: addresses \"2\": ",
			"this goes with a backend that is a name only: remove it" },
		{ "pool q { backend a:80 { addresses = 65 } }",
			"1: addresses \"65\": ", "write a whole number from 1 to 64" },
		{ "pool q {\n backend a:80 { }\n backend A:080 { } }", "3: backend \"A:080\": ",
			"the pool has this backend already: give it a weight instead" },
		{ "pool q {\n backend a..b:80 { } }", "2: backend \"a..b:80\": ",
			"a name has labels of letters, digits, '-' and '_' with dots between them, "
			"like db.example:5432" },
		{ "pool q { backend 'a:*' {}\n check { } }", "2: ",
			"check: a backend with port * cannot tell which port to check; add: port = "
			"80" },
		{ "pool q { backend a:80 { weight = 0 } }", "1: ",
			"pool \"q\": every backend has weight 0, so nobody could be served; give "
			"one a weight from 1 to 65535" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[1024], error[CONFIG_ERROR_MAX], expected[CONFIG_ERROR_MAX];
		struct config *config = NULL;

		snprintf(text, sizeof(text), "%s\n" REST, cases[i].section);
		snprintf(expected, sizeof(expected), "t:%s%s", cases[i].error, cases[i].reason);
		if (config_file_parse("t", text, strlen(text), &config, error) == 0)
			fail_msg("taken: %s", cases[i].section);
		assert_string_equal(error, expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_mistakes),
	};

	return cmocka_run_group_tests_name("config_resolve", tests, NULL, NULL);
}
