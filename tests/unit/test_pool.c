#include "unit.h"

#include <string.h>

#include "pool.h"

static void test_backends_and_sources_take_turns(void **state)
{
	struct config_backend backends[] = { { .weight = 2 }, { .weight = 1 } };
	struct sockaddr_any sources[3] = { 0 };
	struct config_pool config = {
		.backends = backends,
		.n_backends = 2,
		.sources = sources,
		.n_sources = 3,
	};
	unsigned picks[2] = { 0 }, uses[3] = { 0 };
	struct pool pool;

	(void)state;
	assert_int_equal(pool_init(&pool, &config), 0);
	for (int i = 0; i < 300; i++) {
		picks[pool_pick(&pool) - backends]++;
		uses[pool_source(&pool) - sources]++;
	}
	assert_int_equal(picks[0], 200);
	assert_int_equal(picks[1], 100);
	for (int i = 0; i < 3; i++)
		assert_int_equal(uses[i], 100);
	pool_destroy(&pool);
}

static void test_nothing_to_choose_from(void **state)
{
	struct config_backend backends[] = { { .weight = 0 } };
	struct config_pool config = { .backends = backends, .n_backends = 1 };
	struct pool pool;

	(void)state;
	assert_int_equal(pool_init(&pool, &config), 0);
	assert_null(pool_pick(&pool));
	assert_null(pool_source(&pool));
	pool_destroy(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backends_and_sources_take_turns),
		cmocka_unit_test(test_nothing_to_choose_from),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
