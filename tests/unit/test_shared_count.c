#include "unit.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared_count.h"

#define ENTRIES 3U

static void test_limit(void **state)
{
	struct shared_count *counts = shared_count_create(2, ENTRIES);

	(void)state;
	assert_non_null(counts);
	for (int i = 0; i < 5; i++)
		assert_true(shared_count_take(counts, (size_t)i % 2, 1, 5));
	assert_false(shared_count_take(counts, 0, 1, 5));
	assert_int_equal(shared_count_value(counts, 1), 5);
	assert_int_equal(shared_count_value(counts, 0), 0);
	shared_count_give(counts, 1, 1);
	assert_true(shared_count_take(counts, 0, 1, 5));
	assert_true(shared_count_take(counts, 0, 1, 0)); /* without a limit */
	/* Worker 0 has five of the six. */
	shared_count_recover(counts, 0);
	assert_int_equal(shared_count_value(counts, 1), 1);
	shared_count_recover(counts, 0);
	shared_count_recover(counts, 1);
	assert_int_equal(shared_count_value(counts, 1), 0);
	shared_count_destroy(counts);
	shared_count_destroy(NULL);
}

static void test_looks(void **state)
{
	struct shared_count *counts = shared_count_create(2, ENTRIES);
	uint64_t look = shared_count_look(counts, 0), closed;

	(void)state;
	assert_int_equal(shared_count_take_from(counts, 0, 0, 1, look), SHARED_COUNT_TAKEN);
	assert_int_equal(shared_count_take_from(counts, 1, 0, 2, look), SHARED_COUNT_CHANGED);
	look = shared_count_look(counts, 0);
	assert_int_equal(shared_count_of_look(look), 1);
	assert_int_equal(shared_count_take_from(counts, 1, 0, 1, look), SHARED_COUNT_FULL);
	assert_false(shared_count_close(counts, 1, 0, look));
	shared_count_give(counts, 0, 0);
	assert_false(shared_count_close(counts, 1, 0, look));
	look = shared_count_look(counts, 0);
	assert_true(shared_count_close(counts, 1, 0, look));
	closed = shared_count_look(counts, 0);
	assert_true(shared_count_is_closed(closed));
	assert_int_equal(shared_count_value(counts, 0), 0);
	assert_false(shared_count_take(counts, 0, 0, 0));
	assert_int_equal(shared_count_take_from(counts, 0, 0, 9, look), SHARED_COUNT_CHANGED);
	shared_count_open(counts, 1, 0);
	/* It is zero again, and yet not what was looked at before. */
	assert_int_equal(shared_count_take_from(counts, 0, 0, 9, look), SHARED_COUNT_CHANGED);
	assert_true(shared_count_take(counts, 0, 0, 1));
	shared_count_destroy(counts);
}

/* Forks a worker that does something; the parent gets its process id. */
static pid_t worker(void (*function)(struct shared_count *counts, size_t worker, uint32_t *ret),
	struct shared_count *counts, size_t index, uint32_t *ret)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		function(counts, index, ret);
		_exit(0);
	}
	return pid;
}

static void take_many(struct shared_count *counts, size_t index, uint32_t *ret)
{
	for (int i = 0; i < 20000; i++)
		*ret += shared_count_take(counts, index, 0, 30000);
}

static void test_many_at_once(void **state)
{
	enum { WORKERS = 4 };
	struct shared_count *counts = shared_count_create(WORKERS, ENTRIES);
	uint32_t *got = mmap(NULL, WORKERS * sizeof(*got), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint32_t sum = 0;

	(void)state;
	assert_true(got != MAP_FAILED);
	for (size_t i = 0; i < WORKERS; i++)
		worker(take_many, counts, i, &got[i]);
	for (int i = 0; i < WORKERS; i++)
		assert_true(wait(NULL) > 0);
	for (int i = 0; i < WORKERS; i++)
		sum += got[i];
	assert_int_equal(sum, 30000);
	assert_int_equal(shared_count_value(counts, 0), 30000);
	munmap(got, WORKERS * sizeof(*got));
	shared_count_destroy(counts);
}

/* Takes and gives for ever; what it holds at the end is for others to find out. */
static void take_and_give(struct shared_count *counts, size_t index, uint32_t *ret)
{
	uint32_t random = (uint32_t)getpid();

	(void)ret;
	for (uint32_t held[ENTRIES] = { 0 };;) {
		uint32_t i = (random >> 16) % ENTRIES;

		random = random * 1103515245U + 12345U;
		if (random >> 31 && held[i]) {
			shared_count_give(counts, index, i);
			held[i]--;
		} else {
			held[i] += shared_count_take(counts, index, i, 40);
		}
		if (shared_count_value(counts, i) > 40)
			abort();
	}
}

static void end(pid_t pid)
{
	int status = 0;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Killed at any moment while others go on: in the end nothing is held, and nothing is missing. */
static void test_deaths(void **state)
{
	struct shared_count *counts = shared_count_create(3, ENTRIES);
	pid_t others[2];

	(void)state;
	for (size_t i = 0; i < 2; i++)
		others[i] = worker(take_and_give, counts, i, NULL);
	for (unsigned i = 0; i < 300; i++) {
		pid_t pid = worker(take_and_give, counts, 2, NULL);

		usleep(500 + i * 37 % 1500);
		end(pid);
		shared_count_recover(counts, 2);
	}
	for (size_t i = 0; i < 2; i++)
		end(others[i]);
	for (size_t i = 0; i < 2; i++)
		shared_count_recover(counts, i);
	for (size_t i = 0; i < ENTRIES; i++) {
		assert_int_equal(shared_count_value(counts, i), 0);
		for (int k = 0; k < 40; k++)
			assert_true(shared_count_take(counts, 0, i, 40));
		assert_false(shared_count_take(counts, 0, i, 40));
	}
	shared_count_destroy(counts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_looks),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_deaths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
