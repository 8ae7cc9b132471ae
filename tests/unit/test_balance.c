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

static void test_least_load_for_its_weight(void **state)
{
	struct balance_target targets[] = { { .weight = 300 }, { .weight = 100 }, { .weight = 0 },
		{ .weight = 200 } };

	(void)state;
	for (unsigned i = 0; i < 600; i++)
		targets[balance_least(targets, 4, i % 4)].load++;
	assert_int_equal(targets[0].load, 300);
	assert_int_equal(targets[1].load, 100);
	assert_int_equal(targets[2].load, 0);
	assert_int_equal(targets[3].load, 200);
	targets[1].load = 50;
	for (unsigned i = 0; i < 50; i++)
		targets[balance_least(targets, 4, i % 4)].load++;
	assert_in_range(targets[1].load, 99, 100);
}

static void test_equal_loads_take_turns(void **state)
{
	struct balance_target targets[] = { { .weight = 1 }, { .weight = 1 }, { .weight = 1 } };

	(void)state;
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(balance_least(targets, 3, i % 3), i % 3);
	targets[0].weight = targets[1].weight = targets[2].weight = 0;
	assert_int_equal(balance_least(targets, 3, 1), BALANCE_NONE);
	assert_int_equal(balance_least(targets, 0, 0), BALANCE_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_weights_are_met_exactly),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_nothing_to_pick),
		cmocka_unit_test(test_greatest_weights),
		cmocka_unit_test(test_least_load_for_its_weight),
		cmocka_unit_test(test_equal_loads_take_turns),
	};

	return cmocka_run_group_tests_name("balance", tests, NULL, NULL);
}
