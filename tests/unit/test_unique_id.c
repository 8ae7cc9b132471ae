#include "unit.h"

#include <string.h>

#include "unique_id.h"

static void test_format(void **state)
{
	const struct unique_id_source source = { .random = 0x0123456789abcdefU };
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
	assert_true(a.random != b.random);
	assert_int_equal(unique_id_next(&a), 1);
	assert_int_equal(unique_id_next(&a), 2);
	assert_int_equal(unique_id_next(&b), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_unique),
	};

	return cmocka_run_group_tests_name("unique_id", tests, NULL, NULL);
}
