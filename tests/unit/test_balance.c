#include "unit.h"

#include <stdlib.h>

#include "balance.h"

static void test_weights_are_met_exactly(void **state)
{
	struct balance_target targets[] = { { .weight = 5 }, { .weight = 1 }, { .weight = 0 },
		{ .weight = 3 } };
	unsigned picks[4] = { 0 };

	(void)state;
	for (int i = 0; i < 9 * 1000; i++)
		picks[balance_round_robin(targets, 4)]++;
	assert_int_equal(picks[0], 5000);
	assert_int_equal(picks[1], 1000);
	assert_int_equal(picks[2], 0);
	assert_int_equal(picks[3], 3000);
}

/* Smooth: a heavy target does not get its share in one run. */
static void test_spread(void **state)
{
	static const size_t expected[] = { 0, 0, 1, 0, 2, 0, 0 };
	struct balance_target targets[] = { { .weight = 5 }, { .weight = 1 }, { .weight = 1 } };

	(void)state;
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < 7; i++)
			assert_int_equal(balance_round_robin(targets, 3), expected[i]);
}

static void test_nothing_to_pick(void **state)
{
	struct balance_target targets[] = { { .weight = 0 }, { .weight = 0 } };

	(void)state;
	assert_int_equal(balance_round_robin(targets, 2), BALANCE_NONE);
	assert_int_equal(balance_round_robin(targets, 0), BALANCE_NONE);
}

static void test_greatest_weights(void **state)
{
	struct balance_target targets[256];
	unsigned picks[256] = { 0 };

	(void)state;
	for (int i = 0; i < 256; i++)
		targets[i] = (struct balance_target){ .weight = 65535 };
	for (int i = 0; i < 256 * 10; i++)
		picks[balance_round_robin(targets, 256)]++;
	for (int i = 0; i < 256; i++)
		assert_int_equal(picks[i], 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_weights_are_met_exactly),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_nothing_to_pick),
		cmocka_unit_test(test_greatest_weights),
	};

	return cmocka_run_group_tests_name("balance", tests, NULL, NULL);
}
