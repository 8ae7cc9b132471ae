#include "unit.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "session_limits.h"

#define SECOND 1000000U

static struct sockaddr_any addr(const char *text)
{
	struct sockaddr_any parsed;
	const char *reason;

	assert_int_equal(sockaddr_parse_host(text, &parsed, &reason), 0);
	return parsed;
}

static enum session_verdict take(struct session_limits *limits, size_t worker,
	const struct config_sessions *config, const char *client, uint64_t now_us)
{
	const struct sockaddr_any from = addr(client);
	uint32_t slot;

	return session_limits_take(limits, worker, 1, config, &from, now_us, &slot);
}

static void test_count(void **state)
{
	const struct config_sessions config = { .max = 5, .max_per_client = 3 };
	struct session_limits *limits = session_limits_create(2, 3);

	(void)state;
	assert_int_equal(take(limits, 0, &config, "2001:db8::1", 1), SESSION_OK);
	assert_int_equal(take(limits, 1, &config, "2001:db8::2", 1), SESSION_OK);
	assert_int_equal(take(limits, 0, &config, "2001:db8::ffff:0:0:1", 1), SESSION_OK);
	assert_int_equal(take(limits, 1, &config, "2001:db8::1", 1), SESSION_CLIENT_FULL);
	assert_int_equal(take(limits, 1, &config, "2001:db8:0:1::1", 1), SESSION_OK);
	assert_int_equal(take(limits, 1, &config, "192.0.2.1", 1), SESSION_OK);
	assert_int_equal(take(limits, 0, &config, "192.0.2.2", 1), SESSION_FULL);
	/* Worker 1 dies; its successor begins with nothing. */
	session_limits_clear(limits, 1);
	assert_int_equal(take(limits, 1, &config, "2001:db8::9", 1), SESSION_OK);
	assert_int_equal(take(limits, 1, &config, "2001:db8::9", 1), SESSION_CLIENT_FULL);
	assert_int_equal(take(limits, 0, &config, "192.0.2.2", 1), SESSION_OK);
	assert_int_equal(take(limits, 0, &config, "192.0.2.3", 1), SESSION_OK);
	assert_int_equal(take(limits, 0, &config, "192.0.2.3", 1), SESSION_FULL);
	session_limits_destroy(limits);
}

static void test_give(void **state)
{
	const struct config_sessions config = { .max = 1, .max_per_client = 1 };
	struct session_limits *limits = session_limits_create(1, 1);
	const struct sockaddr_any client = addr("2001:db8::1");
	uint32_t slot;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			session_limits_take(limits, 0, 0, &config, &client, 1, &slot), SESSION_OK);
		session_limits_give(limits, 0, 0, slot);
	}
	session_limits_destroy(limits);
}

static void test_rates(void **state)
{
	const struct config_sessions config = { .rate = 100, .rate_per_client = 10 };
	struct session_limits *limits = session_limits_create(2, 2);
	uint64_t now = 77 * SECOND;
	int ok = 0;

	(void)state;
	for (int i = 0; i < 30; i++)
		ok += take(limits, (size_t)i % 2, &config, "2001:db8::1", now) == SESSION_OK;
	assert_int_equal(ok, 10);
	assert_int_equal(take(limits, 0, &config, "2001:db8::1", now), SESSION_CLIENT_RATE);
	assert_int_equal(
		take(limits, 0, &config, "2001:db8::1", now + SECOND / 10 + 1), SESSION_OK);
	/* The listener's hundred: ninety are left, however many clients they are. */
	for (int i = 0; i < 120; i++) {
		char text[64];

		snprintf(text, sizeof(text), "2001:db8:1:%x::1", (unsigned)i);
		ok += take(limits, 0, &config, text, now) == SESSION_OK;
	}
	assert_in_range(ok, 99, 100);
	assert_int_equal(take(limits, 0, &config, "2001:db8:2::1", now), SESSION_RATE);
	session_limits_destroy(limits);
}

/* More clients than there are entries: each is let in, or the listener's limits alone count. */
static void test_many_clients(void **state)
{
	const struct config_sessions config = { .max_per_client = 1 };
	struct session_limits *limits = session_limits_create(1, 2);

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		char text[64];

		snprintf(text, sizeof(text), "2001:db8:%x:%x::1", i >> 16, i & 0xffff);
		assert_int_equal(take(limits, 0, &config, text, 1), SESSION_OK);
	}
	session_limits_destroy(limits);
}

/* Two processes at once never get more than there are places. */
static void test_two_processes(void **state)
{
	const struct config_sessions config = { .max = 1000, .max_per_client = 600 };
	struct session_limits *limits = session_limits_create(2, 2);
	int got = 0, status = 0, ends[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	for (int i = 0; i < 2000; i++)
		got += take(limits, pid == 0, &config, i % 2 ? "2001:db8::1" : "2001:db8:1::1",
			       1) == SESSION_OK;
	if (pid == 0)
		_exit(write(ends[1], &got, sizeof(got)) == sizeof(got) ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(read(ends[0], &status, sizeof(status)), sizeof(status));
	assert_true(got + status <= 1000 && got + status > 900);
	session_limits_destroy(limits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_give),
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_many_clients),
		cmocka_unit_test(test_two_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
