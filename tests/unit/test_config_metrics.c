#include "config_text.h"

#define REST "pool p { backend \"192.0.2.10:80\" {} }\nlistener l { bind = \"*:80\" pool = p }\n"

static void check_listen(const char *text, size_t n, const char *first)
{
	struct config *config = parsed(text);
	char addr[SOCKADDR_TEXT_MAX];

	assert_int_equal(config->metrics.n_listen, n);
	if (n > 0)
		assert_string_equal(sockaddr_format(&config->metrics.listen[0], addr), first);
	config_free(config);
}

static void test_right(void **state)
{
	(void)state;
	check_listen(REST, 0, NULL);
	check_listen("metrics {}\n" REST, 1, "[::1]:9166");
	check_listen("metrics { listen = \"127.0.0.1:9\" }\n" REST, 1, "127.0.0.1:9");
	check_listen("metrics { listen = { \"[::]:1\", \"0.0.0.0:1\", \"[::1]:2\", \"[::1]:3\" } "
		     "}\n" REST,
		4, "[::]:1");
}

static void test_mistakes(void **state)
{
	static const struct broken cases[] = {
		{ "metrics {\nlisten = \"localhost\" }\n" REST,
			"2: listen \"localhost\": a port is missing: write 192.0.2.1:80 or "
			"[2001:db8::1]:80" },
		{ "metrics { listen = { \"[::1]:1\",\n\"[::1]:1\" } }\n" REST,
			"2: listen \"[::1]:1\": this address is given already" },
		{ "metrics { listen = { \"[::1]:1\", \"[::1]:2\", \"[::1]:3\", \"[::1]:4\",\n"
		  "\"[::1]:5\" } }\n" REST,
			"2: listen \"[::1]:5\": there may be 4 addresses" },
	};

	(void)state;
	check_broken(cases, COUNT(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_right),
		cmocka_unit_test(test_mistakes),
	};

	return cmocka_run_group_tests_name("config_metrics", tests, NULL, NULL);
}
