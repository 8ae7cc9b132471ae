#include "unit.h"

#include <string.h>

#include "nearest.h"

static const char *nearest_of(const char *word)
{
	static const char *const offered[] = { "status", "bans", "ban", "flows", "kill-flow" };
	struct nearest nearest = { .word = word };

	for (size_t i = 0; i < sizeof(offered) / sizeof(offered[0]); i++)
		nearest_offer(&nearest, offered[i]);
	return nearest.found;
}

static void test_found(void **state)
{
	(void)state;
	assert_string_equal(nearest_of("statsu"), "status");
	assert_string_equal(nearest_of("Status"), "status");
	assert_string_equal(nearest_of("kill_flow"), "kill-flow");
	assert_string_equal(nearest_of("flow"), "flows");
	assert_string_equal(nearest_of("ban"), "ban"); /* not the one that is nearly the same */
	assert_string_equal(nearest_of("bam"), "ban");
}

static void test_nothing_near(void **state)
{
	char longest[200];

	(void)state;
	assert_null(nearest_of("upgrade"));
	assert_null(nearest_of("xyz")); /* any word of three letters is as far */
	assert_null(nearest_of("s"));
	assert_null(nearest_of(""));
	memset(longest, 's', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_null(nearest_of(longest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_nothing_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
