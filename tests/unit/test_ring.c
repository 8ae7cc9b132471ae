#include "unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ring.h"

static void test_order_and_content(void **state)
{
	struct ring *ring = ring_create(8);
	char data[RING_DATA_MAX];
	uint32_t type;
	size_t len;

	(void)state;
	assert_false(ring_pop(ring, &type, data, &len));
	for (unsigned round = 0; round < 100; round++) {
		char text[16];
		size_t n = (size_t)snprintf(text, sizeof(text), "r%u", round);

		assert_true(ring_push(ring, round, text, n));
		assert_true(ring_pop(ring, &type, data, &len));
		assert_int_equal(type, round);
		assert_int_equal(len, n);
		assert_memory_equal(data, text, n);
	}
	ring_destroy(ring);
}

static void test_full_loses_the_new_one_and_counts(void **state)
{
	struct ring *ring = ring_create(4);
	char data[RING_DATA_MAX];
	uint32_t type;
	size_t len;

	(void)state;
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(ring_push(ring, i, "x", 1), i < 4);
	assert_int_equal(ring_lost(ring), 3);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(ring_pop(ring, &type, data, &len));
		assert_int_equal(type, i);
	}
	assert_false(ring_pop(ring, &type, data, &len));
	ring_destroy(ring);
}

static void test_sleep_and_wake(void **state)
{
	struct ring *ring = ring_create(4);
	char data[RING_DATA_MAX];
	uint32_t type;
	size_t len;

	(void)state;
	assert_true(ring_push(ring, 1, "x", 1));
	assert_false(ring_must_wake(ring));
	assert_false(ring_sleep(ring));
	assert_true(ring_pop(ring, &type, data, &len));
	assert_true(ring_sleep(ring));
	assert_true(ring_push(ring, 1, "x", 1));
	assert_true(ring_must_wake(ring));
	assert_false(ring_must_wake(ring));
	ring_destroy(ring);
}

/* Two processes; every record whole, in order, none twice. */
static void test_across_processes(void **state)
{
	enum { RECORDS = 200000 };
	struct ring *ring = ring_create(64);
	unsigned char data[RING_DATA_MAX];
	uint32_t type, expected = 0;
	int status;
	size_t len;
	pid_t pid;

	(void)state;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		for (uint32_t i = 0; i < RECORDS;) {
			unsigned char fill[RING_DATA_MAX];

			memset(fill, (int)(i & 0xff), sizeof(fill));
			i += ring_push(ring, i, fill, 1 + i % RING_DATA_MAX);
		}
		_exit(0);
	}
	while (expected < RECORDS) {
		if (!ring_pop(ring, &type, data, &len))
			continue;
		assert_int_equal(type, expected);
		assert_int_equal(len, 1 + expected % RING_DATA_MAX);
		assert_int_equal(data[0], expected & 0xff);
		assert_int_equal(data[len - 1], expected & 0xff);
		expected++;
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	ring_destroy(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_content),
		cmocka_unit_test(test_full_loses_the_new_one_and_counts),
		cmocka_unit_test(test_sleep_and_wake),
		cmocka_unit_test(test_across_processes),
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
