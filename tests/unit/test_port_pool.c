#include "unit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "port_pool.h"

#define N     8U
#define FIRST 1000U
#define STEP  3U
#define NOW   50000U

static void test_each_port_once(void **state)
{
	uint64_t given[N] = { 0 };
	bool seen[N] = { false };
	struct port_pool pool;
	uint16_t port = 7;

	(void)state;
	assert_int_equal(port_pool_init(&pool, given, N, FIRST, STEP, NOW), 0);
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(port_pool_take(&pool, NOW, &port), 0);
		assert_true(port >= FIRST && port < FIRST + N * STEP && (port - FIRST) % STEP == 0);
		assert_false(seen[(port - FIRST) / STEP]);
		seen[(port - FIRST) / STEP] = true;
	}
	port = 7;
	assert_false(port_pool_is_ready(&pool, NOW));
	assert_int_equal(port_pool_take(&pool, NOW, &port), -EADDRNOTAVAIL);
	assert_int_equal(port, 7);
	port_pool_destroy(&pool);
}

static void test_rest(void **state)
{
	uint64_t given[2] = { 0 };
	struct port_pool pool;
	uint16_t first, second, port;

	(void)state;
	assert_int_equal(port_pool_init(&pool, given, 2, FIRST, 1, NOW), 0);
	assert_int_equal(port_pool_take(&pool, NOW, &first), 0);
	assert_int_equal(port_pool_take(&pool, NOW, &second), 0);
	port_pool_give(&pool, second, NOW + 10);
	port_pool_give(&pool, first, NOW + 20);
	assert_int_equal(port_pool_take(&pool, NOW + 9 + PORT_POOL_REST_MS, &port), -EADDRNOTAVAIL);
	assert_int_equal(port_pool_take(&pool, NOW + 10 + PORT_POOL_REST_MS, &port), 0);
	assert_int_equal(port, second);
	assert_int_equal(
		port_pool_take(&pool, NOW + 10 + PORT_POOL_REST_MS, &port), -EADDRNOTAVAIL);
	assert_int_equal(port_pool_take(&pool, NOW + 20 + PORT_POOL_REST_MS, &port), 0);
	assert_int_equal(port, first);
	port_pool_destroy(&pool);
}

/* Who comes after one that died lets rest what that had in use, and what it had given back. */
static void test_successor(void **state)
{
	uint64_t given[4] = { 0 };
	struct port_pool pool;
	uint16_t used, given_back, port;

	(void)state;
	assert_int_equal(port_pool_init(&pool, given, 4, FIRST, 1, NOW), 0);
	assert_int_equal(port_pool_take(&pool, NOW, &used), 0);
	assert_int_equal(port_pool_take(&pool, NOW, &given_back), 0);
	port_pool_give(&pool, given_back, NOW);
	port_pool_destroy(&pool);

	assert_int_equal(port_pool_init(&pool, given, 4, FIRST, 1, NOW + 100), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(port_pool_take(&pool, NOW + 100, &port), 0);
		assert_true(port != used && port != given_back);
	}
	assert_int_equal(port_pool_take(&pool, NOW + 100, &port), -EADDRNOTAVAIL);
	assert_int_equal(port_pool_take(&pool, NOW + PORT_POOL_REST_MS, &port), 0);
	assert_int_equal(port, given_back);
	assert_int_equal(port_pool_take(&pool, NOW + PORT_POOL_REST_MS, &port), -EADDRNOTAVAIL);
	assert_int_equal(port_pool_take(&pool, NOW + 100 + PORT_POOL_REST_MS, &port), 0);
	assert_int_equal(port, used);
	port_pool_destroy(&pool);
}

/* Whatever is claimed is not handed out; what comes back too early in the queue rests all the same.
 */
static void test_claimed(void **state)
{
	uint64_t given[N] = { 0 };
	struct port_pool pool;
	uint16_t port = 0;

	(void)state;
	assert_int_equal(port_pool_init(&pool, given, N, FIRST, STEP, NOW), 0);
	assert_true(port_pool_has(&pool, FIRST + STEP));
	assert_false(port_pool_has(&pool, FIRST + 1));
	assert_false(port_pool_has(&pool, FIRST - STEP));
	assert_false(port_pool_has(&pool, FIRST + N * STEP));
	port_pool_claim(&pool, FIRST);
	port_pool_claim(&pool, FIRST + STEP);
	port_pool_give(&pool, FIRST + STEP, NOW);
	for (size_t i = 0; i < N - 2; i++) {
		assert_int_equal(port_pool_take(&pool, NOW, &port), 0);
		assert_true(port != FIRST && port != FIRST + STEP);
	}
	assert_int_equal(port_pool_take(&pool, NOW, &port), -EADDRNOTAVAIL);
	assert_int_equal(port_pool_take(&pool, NOW + PORT_POOL_REST_MS, &port), 0);
	assert_int_equal(port, FIRST + STEP);
	port_pool_give(&pool, FIRST, NOW);
	assert_int_equal(port_pool_take(&pool, NOW + PORT_POOL_REST_MS, &port), 0);
	assert_int_equal(port, FIRST);
	port_pool_destroy(&pool);
}

/*
 * Two sessions of before have one port at two addresses, of which this configuration knows neither:
 * the port is the first one's, and comes back once.
 */
static void test_claimed_twice(void **state)
{
	uint64_t given[N] = { 0 }, later = NOW + PORT_POOL_REST_MS;
	struct port_pool pool;
	uint16_t port;

	(void)state;
	assert_int_equal(port_pool_init(&pool, given, N, FIRST, STEP, NOW), 0);
	assert_true(port_pool_claim(&pool, FIRST));
	assert_false(port_pool_claim(&pool, FIRST));
	port_pool_give(&pool, FIRST, NOW);
	for (size_t i = 0; i < N; i++)
		assert_int_equal(port_pool_take(&pool, later, &port), 0);
	assert_int_equal(port_pool_take(&pool, later, &port), -EADDRNOTAVAIL);
	assert_false(port_pool_claim(&pool, port));
	port_pool_destroy(&pool);
}

/* Each claimed and given back at random: never two users, never before its rest. */
static void test_claims_at_random(void **state)
{
	uint64_t given[N] = { 0 }, back[N] = { 0 };
	bool used[N] = { false };
	struct port_pool pool;
	uint64_t now = NOW;

	(void)state;
	assert_int_equal(port_pool_init(&pool, given, N, FIRST, STEP, now), 0);
	for (size_t i = 0; i < N / 2; i++) {
		port_pool_claim(&pool, (uint16_t)(FIRST + i * STEP));
		used[i] = true;
	}
	srand(1);
	for (int i = 0; i < 100000; i++) {
		size_t at = (size_t)rand() % N;
		uint16_t port = 0;

		now += (uint64_t)rand() % 200;
		if (used[at]) {
			port_pool_give(&pool, (uint16_t)(FIRST + at * STEP), now);
			used[at] = false;
			back[at] = now;
		} else if (port_pool_take(&pool, now, &port) == 0) {
			at = (size_t)(port - FIRST) / STEP;
			assert_false(used[at]);
			assert_true(back[at] == 0 || back[at] + PORT_POOL_REST_MS <= now);
			used[at] = true;
		}
	}
	port_pool_destroy(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_port_once),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_successor),
		cmocka_unit_test(test_claimed),
		cmocka_unit_test(test_claimed_twice),
		cmocka_unit_test(test_claims_at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
