#include "unit.h"

#include <string.h>

#include "unique_id.h"

static void test_format(void **state)
{
	const struct unique_id_source source = { .drawn = "0123456789abcdef" };
	uint8_t buf[UNIQUE_ID_LEN + 1] = { 0 };

	(void)state;
	buf[UNIQUE_ID_LEN] = '!';
	unique_id_format(&source, 0xfedcba9876543210U, buf);
	assert_memory_equal(buf, "0123456789abcdeffedcba9876543210!", sizeof(buf));
	unique_id_format(&source, 1, buf);
	assert_memory_equal(buf, "0123456789abcdef0000000000000001!", sizeof(buf));
}

/* Two sources are two processes, or gateways. */
static void test_unique(void **state)
{
	struct unique_id_source a, b;

	(void)state;
	assert_int_equal(unique_id_init(&a), 0);
	assert_int_equal(unique_id_init(&b), 0);
	assert_memory_not_equal(a.drawn, b.drawn, sizeof(a.drawn));
	assert_int_equal(unique_id_next(&a), 1);
	assert_int_equal(unique_id_next(&a), 2);
	assert_int_equal(unique_id_next(&b), 1);
}

static void check_text(const char *id, size_t len, const char *expected)
{
	char buf[UNIQUE_ID_TEXT_MAX];

	assert_string_equal(unique_id_text((const uint8_t *)id, len, buf), expected);
}

static void test_text(void **state)
{
	uint8_t longest[128];
	char buf[UNIQUE_ID_TEXT_MAX];

	(void)state;
	check_text("abc-!~", 6, "abc-!~");
	check_text("a b", 3, "0x612062");
	check_text("\0\x7f\xff\n", 4, "0x007fff0a");
	memset(longest, 0xab, sizeof(longest));
	assert_int_equal(strlen(unique_id_text(longest, sizeof(longest), buf)), 2 + 2 * 128);
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(strlen(unique_id_text(longest, sizeof(longest), buf)), 128);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_unique),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests_name("unique_id", tests, NULL, NULL);
}
