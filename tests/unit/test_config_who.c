#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config_file.h"

#define REST                                                     \
	"\nlistener \"l\" { bind = \"[::]:80\" pool = \"p\" }\n" \
	"pool \"p\" { backend \"192.0.2.1:80\" { } }\n"

static void check(const char *text, uint32_t keep_ms, uint32_t entries)
{
	char whole[400], error[CONFIG_ERROR_MAX];
	struct config *config;

	snprintf(whole, sizeof(whole), "%s" REST, text);
	if (config_file_parse("t.conf", whole, strlen(whole), &config, error) < 0)
		fail_msg("refused: %s", error);
	assert_int_equal(config->who.keep_ms, keep_ms);
	assert_int_equal(config->who.entries, entries);
	config_free(config);
}

static void check_refused(const char *text, const char *expected)
{
	char whole[400], error[CONFIG_ERROR_MAX];
	struct config *config;

	snprintf(whole, sizeof(whole), "%s" REST, text);
	assert_int_equal(
		config_file_parse("t.conf", whole, strlen(whole), &config, error), -EINVAL);
	assert_string_equal(error, expected);
}

static void test_right(void **state)
{
	(void)state;
	check("", 600000, 65536);
	check("who { }", 600000, 65536);
	check("who { keep = 1s entries = 0 }", 1000, 0);
	check("who { keep = 30d entries = 1048576 }", 2592000000U, 1048576);
}

static void test_wrong(void **state)
{
	(void)state;
	check_refused("who {\nkeep = 0s }", "t.conf:2: keep \"0s\": must be from 1s to 30d");
	check_refused("who { keep = 31d }", "t.conf:1: keep \"31d\": must be from 1s to 30d");
	check_refused("who { keep = 5 }", "t.conf:1: keep \"5\": write a whole number with a unit, "
					  "ms, s, m, h or d, like 5s");
	check_refused("who {\n\nentries = 1048577 }",
		"t.conf:3: entries \"1048577\": write a whole number from 0 to 1048576");
	check_refused("who { entries = -1 }",
		"t.conf:1: entries \"-1\": write a whole number from 0 to 1048576");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_right),
		cmocka_unit_test(test_wrong),
	};

	return cmocka_run_group_tests_name("config_who", tests, NULL, NULL);
}
