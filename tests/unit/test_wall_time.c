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

#define NOW 1795497129117999U

static void check_parse(const char *text, uint64_t from_us, uint64_t to_us)
{
	struct wall_time_span span = { 1, 2 };
	const char *reason = NULL;

	if (wall_time_parse(text, NOW, &span, &reason) < 0)
		fail_msg("\"%s\" was refused", text);
	if (span.from_us != from_us || span.to_us != to_us)
		fail_msg("\"%s\" became %llu to %llu", text, (unsigned long long)span.from_us,
			(unsigned long long)span.to_us);
}

static void test_dates(void **state)
{
	(void)state;
	check_parse("1970-01-01T00:00:00Z", 0, 999999);
	check_parse("2026-11-24T05:12:09Z", 1795497129000000U, 1795497129999999U);
	check_parse("2026-11-24 05:12:09z", 1795497129000000U, 1795497129999999U);
	check_parse("2026-11-24t05:12:09.117Z", 1795497129117000U, 1795497129117999U);
	check_parse("2026-11-24T05:12:09.117999Z", 1795497129117999U, 1795497129117999U);
	check_parse("2026-11-24T05:12:09.117999999Z", 1795497129117999U, 1795497129117999U);
	check_parse("2026-11-24T06:12:09+01:00", 1795497129000000U, 1795497129999999U);
	check_parse("2026-11-23T23:42:09-05:30", 1795497129000000U, 1795497129999999U);
	check_parse("2000-02-29T00:00:00-00:00", 951782400000000U, 951782400999999U);
	check_parse("9999-12-31T23:59:59Z", 253402300799000000U, 253402300799999999U);
}

static void test_epochs(void **state)
{
	(void)state;
	check_parse("0", 0, 999999);
	check_parse("1795497129", 1795497129000000U, 1795497129999999U);
	check_parse("1795497129.1", 1795497129100000U, 1795497129199999U);
	check_parse("1795497129.117", 1795497129117000U, 1795497129117999U);
	check_parse("253402300799", 253402300799000000U, 253402300799999999U);
}

static void test_ago(void **state)
{
	(void)state;
	check_parse("0s ago", NOW - 500000, NOW + 499999);
	check_parse("1s ago", NOW - 1500000, NOW - 500001);
	check_parse("30s ago", NOW - 30500000, NOW - 29500001);
	check_parse("500ms ago", NOW - 500500, NOW - 499501);
	check_parse("5m ago", NOW - 330000000U, NOW - 270000001U);
	check_parse("2h ago", NOW - 9000000000U, NOW - 5400000001U);
	check_parse("1d ago", NOW - 129600000000U, NOW - 43200000001U);
}

static void test_wrong(void **state)
{
	static const char *const cases[] = { "", " ", "now", "yesterday", "-1", "+1", "1e9", "1.",
		".5", "1 ", " 1", "253402300800", "99999999999999999999999", "5m", "5 m ago",
		"5m  ago", "5m ago ", "5w ago", "-5m ago", "1.5m ago", "99999999999999d ago",
		"30000d ago", "213503983d ago", "2026-11-24", "2026-11-24T05:12Z",
		"2026-11-24T05:12:09", "2026-11-24T05:12:09.Z", "2026-11-24T05:12:09,5Z",
		"2026-11-24T05:12:09ZZ", "2026-11-24T05:12:09+0100", "2026-11-24T05:12:09+01",
		"2026-11-24T05:12:09+24:00", "2026-11-24T05:12:09+01:60", "2026-11-24X05:12:09Z",
		"2026-13-24T05:12:09Z", "2026-00-24T05:12:09Z", "2026-02-29T05:12:09Z",
		"2026-04-31T05:12:09Z", "2026-11-00T05:12:09Z", "2026-11-24T24:00:00Z",
		"2026-11-24T05:60:09Z", "2026-11-24T05:12:60Z", "1969-12-31T23:59:59Z",
		"1970-01-01T00:00:00+00:01", "26-11-24T05:12:09Z", "2026-1-24T05:12:09Z",
		"02026-11-24T05:12:09Z" };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct wall_time_span span = { 1, 2 };
		const char *reason = NULL;

		if (wall_time_parse(cases[i], NOW, &span, &reason) == 0)
			fail_msg("\"%s\" became %llu", cases[i], (unsigned long long)span.from_us);
		assert_non_null(reason);
		assert_int_equal(span.from_us, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_epochs),
		cmocka_unit_test(test_ago),
		cmocka_unit_test(test_wrong),
	};

	return cmocka_run_group_tests_name("wall_time", tests, NULL, NULL);
}
