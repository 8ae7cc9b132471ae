#include "unit.h"

#include <errno.h>

#include "duration.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_right(void **state)
{
	static const struct {
		const char *text;
		uint32_t ms;
	} cases[] = {
		{ "0ms", 0 },
		{ "0s", 0 },
		{ "0d", 0 },
		{ "1ms", 1 },
		{ "500ms", 500 },
		{ "5s", 5000 },
		{ "005s", 5000 },
		{ "10m", 600000 },
		{ "1h", 3600000 },
		{ "30d", 2592000000U },
		{ "49d", 4233600000U },
		{ "1193h", 4294800000U },
		{ "71582m", 4294920000U },
		{ "4294967s", 4294967000U },
		{ "4294967295ms", 4294967295U },
		{ "00000000000000000000000000000001s", 1000 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		uint32_t ms = 77;

		if (duration_parse(cases[i].text, &ms) != 0 || ms != cases[i].ms)
			fail_msg("\"%s\" became %u", cases[i].text, ms);
	}
}

static void test_wrong(void **state)
{
	static const char *const cases[] = { "", "5", "0", "s", "ms", "-5s", "+5s", " 5s", "5s ",
		"5 s", "5S", "5MS", "5sec", "5ss", "5sm", "1.5s", "1,5s", "1h30m", "5us", "5w",
		"0x5s", "1e3s", "infinity", "99999999999999999999999", "99999999999999999999999x" };
	/* what does not fit into 32 bits of milliseconds */
	static const char *const large[] = { "4294967296ms", "4294968s", "71583m", "1194h", "50d",
		"4294967295s", "4294967295d", "4294967296s", "18446744073709551616ms",
		"99999999999999999999999999999999s" };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		uint32_t ms = 77;

		if (duration_parse(cases[i], &ms) != -EINVAL)
			fail_msg("\"%s\" became %u", cases[i], ms);
		assert_int_equal(ms, 77);
	}
	for (size_t i = 0; i < COUNT(large); i++) {
		uint32_t ms = 77;

		if (duration_parse(large[i], &ms) != -ERANGE)
			fail_msg("\"%s\" became %u", large[i], ms);
		assert_int_equal(ms, 77);
	}
}

static void test_long(void **state)
{
	uint64_t ms = 77;

	(void)state;
	assert_int_equal(duration_parse_long("3650d", &ms), 0);
	assert_true(ms == 315360000000U);
	assert_int_equal(duration_parse_long("4294967295d", &ms), 0);
	assert_true(ms == 4294967295U * 86400000ULL);
	ms = 77;
	assert_int_equal(duration_parse_long("4294967296d", &ms), -ERANGE);
	assert_int_equal(duration_parse_long("5", &ms), -EINVAL);
	assert_int_equal(duration_parse_long("-5s", &ms), -EINVAL);
	assert_true(ms == 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_right),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests_name("duration", tests, NULL, NULL);
}
