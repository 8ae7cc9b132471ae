#include "unit.h"

#include "wall_time.h"

static void check_format(uint64_t us, const char *expected)
{
	char text[WALL_TIME_TEXT_MAX];

	assert_string_equal(wall_time_format(us, text), expected);
}

static void test_format(void **state)
{
	(void)state;
	check_format(0, "1970-01-01T00:00:00.000Z");
	check_format(951782400000000U, "2000-02-29T00:00:00.000Z");
	check_format(1795497129117999U, "2026-11-24T05:12:09.117Z");
	check_format(253402300799999999U, "9999-12-31T23:59:59.999Z");
	check_format(253402300800000000U, "");
	check_format(UINT64_MAX, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests_name("wall_time", tests, NULL, NULL);
}
