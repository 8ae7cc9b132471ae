#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "bind.h"
#include "config_file.h"

static struct config *load(const char *binds)
{
	char text[512], error[CONFIG_ERROR_MAX];
	struct config *config = NULL;

	snprintf(text, sizeof(text),
		"listener \"a\" { bind = { %s } pool = \"p\" } pool \"p\" { backend "
		"\"10.0.0.1:80\" {} }",
		binds);
	if (config_file_parse("x", text, strlen(text), &config, error) != 0)
		fail_msg("%s", error);
	return config;
}

static bool is_meant(const struct config *config, size_t bind, const char *local)
{
	struct sockaddr_any addr;
	const char *reason;

	assert_int_equal(sockaddr_parse(local, &addr, &reason), 0);
	return bind_is_meant(config, &config->listeners[0].binds[bind], &addr);
}

static void test_order(void **state)
{
	struct config *config =
		load("\"[2001:db8::1]:80\", \"[2001:db8::1]:70-90\", "
		     "\"[2001:db8::1]:75-95\", \"[2001:db8::/64]:80\", \"[::]:80\"");
	const struct config_bind *binds = config->listeners[0].binds;

	(void)state;
	for (size_t i = 0; i < 5; i++)
		for (size_t j = 0; j < 5; j++) {
			int order = bind_compare(&binds[i], &binds[j]);

			assert_true(i < j ? order < 0 : i > j ? order > 0 : order == 0);
		}
	config_free(config);
}

static void test_only_what_is_divided_is_contested(void **state)
{
	struct config *config = load("\"[2001:db8::/64]:443\", \"[::]:443\", \"[::]:80\", "
				     "\"[2001:db8::1]:443\", \"0.0.0.0:443\"");
	const struct config_bind *binds = config->listeners[0].binds;

	(void)state;
	assert_true(bind_is_contested(config, &binds[0]));
	assert_true(bind_is_contested(config, &binds[1]));
	assert_false(bind_is_contested(config, &binds[2]));
	assert_false(bind_is_contested(config, &binds[3]));
	assert_false(bind_is_contested(config, &binds[4]));
	config_free(config);
}

static void test_meant(void **state)
{
	struct config *config =
		load("\"[2001:db8::/64]:443\", \"[::]:443\", \"[2001:db8::5]:443\", "
		     "\"[2001:db8::/48]:400-500\"");

	(void)state;
	assert_true(is_meant(config, 0, "[2001:db8::1]:443"));
	assert_false(is_meant(config, 1, "[2001:db8::1]:443"));
	assert_false(is_meant(config, 3, "[2001:db8::1]:443"));
	/* The narrower one has it. */
	assert_false(is_meant(config, 0, "[2001:db8::5]:443"));
	assert_true(is_meant(config, 2, "[2001:db8::5]:443"));
	/* Out of the bind: by its address, by its port. */
	assert_false(is_meant(config, 0, "[2001:db8:0:1::1]:443"));
	assert_true(is_meant(config, 3, "[2001:db8:0:1::1]:443"));
	assert_false(is_meant(config, 3, "[2001:db8:0:1::1]:501"));
	assert_true(is_meant(config, 1, "[2001:db9::1]:443"));
	/* An IPv4 client of an IPv6 socket. */
	assert_true(is_meant(config, 1, "192.0.2.1:443"));
	config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_only_what_is_divided_is_contested),
		cmocka_unit_test(test_meant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
