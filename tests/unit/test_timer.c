#include "unit.h"

#include <stdbool.h>
#include <stdlib.h>

#include "timer.h"

#define START_MS 1000000U

struct probe {
	struct timer timer;
	uint64_t *now;
	uint64_t fired_ms;
	unsigned fired;
};

static void on_due(struct timer *timer)
{
	struct probe *probe = list_entry(timer, struct probe, timer);

	probe->fired++;
	probe->fired_ms = *probe->now;
}

static void probe_init(struct probe *probe, uint64_t *now)
{
	*probe = (struct probe){ .now = now };
	timer_init(&probe->timer, on_due);
}

/* Every distance, over every level: never early, late by two ticks at most when stepped finely. */
static void test_precision(void **state)
{
	static const uint64_t delays[] = { 0, 1, 7, 8, 9, 63, 511, 512, 513, 4096, 32767, 32768,
		32769, 60000, 599999, 2097151, 2097152, 2097153, 7200000 };

	(void)state;
	for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
		uint64_t now = START_MS + i * 3;
		struct timer_wheel wheel;
		struct probe probe;
		uint64_t due = now + delays[i];

		timer_wheel_init(&wheel, now);
		probe_init(&probe, &now);
		timer_set(&wheel, &probe.timer, due);
		while (!probe.fired && now < due + 1000) {
			now++;
			timer_wheel_advance(&wheel, now);
		}
		assert_int_equal(probe.fired, 1);
		assert_true(probe.fired_ms >= due);
		assert_true(probe.fired_ms <= due + 2 * TIMER_TICK_MS);
		assert_int_equal(timer_wheel_wait(&wheel, now), -1);
	}
}

/* Following timer_wheel_wait() alone, as the loop does, finds each deadline with few wake-ups. */
static void test_wait_leads_to_the_deadline(void **state)
{
	(void)state;
	srandom(1);
	for (int round = 0; round < 2000; round++) {
		uint64_t now = START_MS + (uint64_t)(random() % 100000);
		uint64_t due = now + (uint64_t)(random() % 5000000);
		struct timer_wheel wheel;
		struct probe probe;
		int wakes = 0;

		timer_wheel_init(&wheel, now);
		probe_init(&probe, &now);
		timer_set(&wheel, &probe.timer, due);
		while (!probe.fired) {
			int wait = timer_wheel_wait(&wheel, now);

			assert_true(wait >= 0);
			now += (uint64_t)wait;
			timer_wheel_advance(&wheel, now);
			assert_true(++wakes < 20);
		}
		assert_true(probe.fired_ms >= due);
		assert_true(probe.fired_ms <= due + 2 * TIMER_TICK_MS);
	}
}

static void test_long_sleep_fires_everything_once(void **state)
{
	uint64_t now = START_MS;
	struct timer_wheel wheel;
	struct probe probes[500];

	(void)state;
	timer_wheel_init(&wheel, now);
	for (size_t i = 0; i < 500; i++) {
		probe_init(&probes[i], &now);
		timer_set(&wheel, &probes[i].timer, now + i * i * 37);
	}
	now += 24 * 3600 * 1000;
	timer_wheel_advance(&wheel, now);
	for (size_t i = 0; i < 500; i++)
		assert_int_equal(probes[i].fired, 1);
}

static void test_cancel_and_move(void **state)
{
	uint64_t now = START_MS;
	struct timer_wheel wheel;
	struct probe a, b;

	(void)state;
	timer_wheel_init(&wheel, now);
	probe_init(&a, &now);
	probe_init(&b, &now);
	timer_set(&wheel, &a.timer, now + 100);
	timer_set(&wheel, &b.timer, now + 100);
	timer_cancel(&wheel, &a.timer);
	timer_cancel(&wheel, &a.timer);
	timer_set(&wheel, &b.timer, now + 5000);
	now += 1000;
	timer_wheel_advance(&wheel, now);
	assert_int_equal(a.fired, 0);
	assert_int_equal(b.fired, 0);
	now += 5000;
	timer_wheel_advance(&wheel, now);
	assert_int_equal(a.fired, 0);
	assert_int_equal(b.fired, 1);
	assert_int_equal(timer_wheel_wait(&wheel, now), -1);
}

struct rearm {
	struct timer timer;
	struct timer_wheel *wheel;
	struct timer *victim;
	uint64_t due;
	unsigned fired;
};

static void on_rearm(struct timer *timer)
{
	struct rearm *rearm = list_entry(timer, struct rearm, timer);

	rearm->fired++;
	rearm->due += 100;
	timer_set(rearm->wheel, timer, rearm->due);
	if (rearm->victim)
		timer_cancel(rearm->wheel, rearm->victim);
}

/* A callback may set its own timer again and cancel one that is due in the same tick. */
static void test_callbacks_may_change_the_wheel(void **state)
{
	uint64_t now = START_MS;
	struct timer_wheel wheel;
	struct probe victim;
	struct rearm rearm = { .wheel = &wheel, .due = now + 50, .victim = &victim.timer };

	(void)state;
	timer_wheel_init(&wheel, now);
	probe_init(&victim, &now);
	timer_init(&rearm.timer, on_rearm);
	timer_set(&wheel, &rearm.timer, rearm.due);
	timer_set(&wheel, &victim.timer, rearm.due);
	for (; now < START_MS + 1049; now++)
		timer_wheel_advance(&wheel, now);
	assert_int_equal(rearm.fired, 10);
	assert_int_equal(victim.fired, 0);
}

static void test_farther_than_the_wheel_reaches(void **state)
{
	uint64_t now = START_MS, due = now + 10ULL * 24 * 3600 * 1000;
	struct timer_wheel wheel;
	struct probe probe;

	(void)state;
	timer_wheel_init(&wheel, now);
	probe_init(&probe, &now);
	timer_set(&wheel, &probe.timer, due);
	while (!probe.fired) {
		now += 60000;
		timer_wheel_advance(&wheel, now);
		assert_true(now <= due + 2 * 60000);
	}
	assert_true(probe.fired_ms >= due);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_precision),
		cmocka_unit_test(test_wait_leads_to_the_deadline),
		cmocka_unit_test(test_long_sleep_fires_everything_once),
		cmocka_unit_test(test_cancel_and_move),
		cmocka_unit_test(test_callbacks_may_change_the_wheel),
		cmocka_unit_test(test_farther_than_the_wheel_reaches),
	};

	return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
