#include "unit.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "slab.h"

#define N 5000

static void test_objects_do_not_overlap(void **state)
{
	static unsigned char *objects[N];
	struct slab slab;

	(void)state;
	slab_init(&slab, 200, N);
	for (int i = 0; i < N; i++) {
		objects[i] = slab_get(&slab);
		assert_non_null(objects[i]);
		assert_int_equal((uintptr_t)objects[i] % 16, 0);
		memset(objects[i], i & 0xff, 200);
	}
	for (int i = 0; i < N; i++)
		for (int j = 0; j < 200; j++)
			assert_int_equal(objects[i][j], i & 0xff);
	slab_destroy(&slab);
}

static void test_limit(void **state)
{
	struct slab slab;
	void *a, *b;

	(void)state;
	slab_init(&slab, 64, 2);
	a = slab_get(&slab);
	b = slab_get(&slab);
	assert_non_null(a);
	assert_non_null(b);
	assert_null(slab_get(&slab));
	slab_put(&slab, a);
	assert_ptr_equal(slab_get(&slab), a);
	assert_null(slab_get(&slab));
	slab_destroy(&slab);
}

/* Random traffic; at the end everything is back, and at most one empty chunk is kept. */
static void test_chunks_are_given_back(void **state)
{
	static void *objects[N];
	struct slab slab;

	(void)state;
	srandom(7);
	slab_init(&slab, 512, N);
	for (int round = 0; round < 200000; round++) {
		size_t i = (size_t)random() % N;

		if (objects[i]) {
			slab_put(&slab, objects[i]);
			objects[i] = NULL;
		} else {
			objects[i] = slab_get(&slab);
			assert_non_null(objects[i]);
		}
	}
	for (int i = 0; i < N; i++) {
		slab_put(&slab, objects[i]);
		objects[i] = NULL;
	}
	assert_int_equal(slab.used, 0);
	assert_int_equal(slab.empty_chunks, 1);
	assert_true(list_empty(&slab.full));
	assert_ptr_equal(slab.partial.next, slab.partial.prev);
	slab_destroy(&slab);
}

static void test_large_objects_and_null(void **state)
{
	struct slab slab;
	char *a, *b;

	(void)state;
	slab_init(&slab, 32768, 100);
	a = slab_get(&slab);
	b = slab_get(&slab);
	memset(a, 1, 32768);
	memset(b, 2, 32768);
	assert_int_equal(a[32767], 1);
	slab_put(&slab, NULL);
	slab_put(&slab, a);
	slab_put(&slab, b);
	slab_destroy(&slab);
	assert_true(list_empty(&slab.partial));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects_do_not_overlap),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_chunks_are_given_back),
		cmocka_unit_test(test_large_objects_and_null),
	};

	return cmocka_run_group_tests_name("slab", tests, NULL, NULL);
}
