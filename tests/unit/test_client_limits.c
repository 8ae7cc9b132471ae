#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_limits.h"

#define SECOND 1000000U

static struct sockaddr_any addr(const char *text)
{
	struct sockaddr_any parsed;
	const char *reason;

	assert_int_equal(sockaddr_parse_host(text, &parsed, &reason), 0);
	return parsed;
}

static enum client_verdict take(struct client_limits *limits, size_t worker,
	const struct config_limits *config, const char *client, uint64_t now_us)
{
	const struct sockaddr_any from = addr(client);
	struct client_place place;

	return client_limits_take(limits, worker, 1, config, &from, now_us, &place);
}

static void test_count(void **state)
{
	const struct config_limits config = { .max = 5, .max_per_client = 3 };
	struct client_limits *limits = client_limits_create(2, 3);

	(void)state;
	assert_int_equal(take(limits, 0, &config, "2001:db8::1", 1), CLIENT_OK);
	assert_int_equal(take(limits, 1, &config, "2001:db8::2", 1), CLIENT_OK);
	assert_int_equal(take(limits, 0, &config, "2001:db8::ffff:0:0:1", 1), CLIENT_OK);
	assert_int_equal(take(limits, 1, &config, "2001:db8::1", 1), CLIENT_FULL);
	assert_int_equal(take(limits, 1, &config, "2001:db8:0:1::1", 1), CLIENT_OK);
	assert_int_equal(take(limits, 1, &config, "192.0.2.1", 1), CLIENT_OK);
	assert_int_equal(take(limits, 0, &config, "192.0.2.2", 1), CLIENT_LISTENER_FULL);
	/* Worker 1 dies; its successor begins with nothing. */
	client_limits_recover(limits, 1);
	assert_int_equal(take(limits, 1, &config, "2001:db8::9", 1), CLIENT_OK);
	assert_int_equal(take(limits, 1, &config, "2001:db8::9", 1), CLIENT_FULL);
	assert_int_equal(take(limits, 0, &config, "192.0.2.2", 1), CLIENT_OK);
	assert_int_equal(take(limits, 0, &config, "192.0.2.3", 1), CLIENT_OK);
	assert_int_equal(take(limits, 0, &config, "192.0.2.3", 1), CLIENT_LISTENER_FULL);
	client_limits_destroy(limits);
}

static void test_give(void **state)
{
	const struct config_limits config = { .max = 1, .max_per_client = 1 };
	struct client_limits *limits = client_limits_create(1, 1);
	const struct sockaddr_any client = addr("2001:db8::1");
	struct client_place place;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			client_limits_take(limits, 0, 0, &config, &client, 1, &place), CLIENT_OK);
		client_limits_give(limits, 0, &place);
	}
	client_limits_destroy(limits);
}

static void test_rates(void **state)
{
	const struct config_limits config = { .rate = 100, .rate_per_client = 10 };
	struct client_limits *limits = client_limits_create(2, 2);
	uint64_t now = 77 * SECOND;
	int ok = 0;

	(void)state;
	for (int i = 0; i < 30; i++)
		ok += take(limits, (size_t)i % 2, &config, "2001:db8::1", now) == CLIENT_OK;
	assert_int_equal(ok, 10);
	assert_int_equal(take(limits, 0, &config, "2001:db8::1", now), CLIENT_RATE);
	assert_int_equal(take(limits, 0, &config, "2001:db8::1", now + SECOND / 10 + 1), CLIENT_OK);
	/* The listener's hundred: ninety are left, however many clients they are. */
	for (int i = 0; i < 120; i++) {
		char text[64];

		snprintf(text, sizeof(text), "2001:db8:1:%x::1", (unsigned)i);
		ok += take(limits, 0, &config, text, now) == CLIENT_OK;
	}
	assert_int_equal(ok, 99); /* and the one in between */
	assert_int_equal(take(limits, 0, &config, "2001:db8:2::1", now), CLIENT_LISTENER_RATE);
	client_limits_destroy(limits);
}

/* No rate lets one more through than it says, whether it divides a second or not. */
static void test_rates_are_exact(void **state)
{
	static const uint32_t rates[] = { 1, 2, 3, 7, 30, 999, 1000, 1001 };
	struct client_limits *limits = client_limits_create(1, 2);

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		const struct config_limits config = { .rate_per_address = rates[i] };
		uint32_t ok = 0;
		char text[64];

		snprintf(text, sizeof(text), "2001:db8::%x", (unsigned)i);
		for (uint32_t k = 0; k < 2 * rates[i]; k++)
			ok += take(limits, 0, &config, text, 5 * SECOND) == CLIENT_OK;
		assert_int_equal(ok, rates[i]);
		assert_int_equal(take(limits, 0, &config, text, 5 * SECOND), CLIENT_ADDRESS_RATE);
	}
	client_limits_destroy(limits);
}

/* The address and its /64 count apart from each other; an IPv4 address is both. */
static void test_addresses(void **state)
{
	const struct config_limits config = { .max_per_client = 3, .max_per_address = 2 };
	struct client_limits *limits = client_limits_create(2, 2);

	(void)state;
	assert_int_equal(take(limits, 0, &config, "2001:db8::1", 1), CLIENT_OK);
	assert_int_equal(take(limits, 1, &config, "2001:db8::1", 1), CLIENT_OK);
	assert_int_equal(take(limits, 0, &config, "2001:db8::1", 1), CLIENT_ADDRESS_FULL);
	assert_int_equal(take(limits, 0, &config, "2001:db8::2", 1), CLIENT_OK);
	/* What fails at the /64 takes no place of its address. */
	for (int i = 0; i < 3; i++)
		assert_int_equal(take(limits, 0, &config, "2001:db8::3", 1), CLIENT_FULL);
	assert_int_equal(take(limits, 0, &config, "192.0.2.1", 1), CLIENT_OK);
	assert_int_equal(take(limits, 1, &config, "192.0.2.1", 1), CLIENT_OK);
	assert_int_equal(take(limits, 1, &config, "192.0.2.1", 1), CLIENT_ADDRESS_FULL);
	assert_int_equal(take(limits, 1, &config, "192.0.2.2", 1), CLIENT_OK);
	client_limits_recover(limits, 1);
	assert_int_equal(take(limits, 0, &config, "2001:db8::3", 1), CLIENT_OK);
	assert_int_equal(take(limits, 0, &config, "2001:db8::3", 1), CLIENT_FULL);
	client_limits_destroy(limits);
}

/* What a wider rate refuses has used up nothing of the narrower ones, nor of the counts. */
static void test_refused_uses_nothing(void **state)
{
	const struct config_limits tight = { .rate = 1, .rate_per_client = 2, .max = 2 };
	const struct config_limits loose = { .rate_per_client = 2, .max = 2 };
	struct client_limits *limits = client_limits_create(1, 2);

	(void)state;
	assert_int_equal(take(limits, 0, &tight, "2001:db8:1::1", 1), CLIENT_OK);
	for (int i = 0; i < 5; i++)
		assert_int_equal(take(limits, 0, &tight, "2001:db8::1", 1), CLIENT_LISTENER_RATE);
	assert_int_equal(take(limits, 0, &loose, "2001:db8::1", 1), CLIENT_OK);
	assert_int_equal(take(limits, 0, &loose, "2001:db8:2::1", 1), CLIENT_LISTENER_FULL);
	client_limits_destroy(limits);
}

/* More clients than there are entries: each is let in, or the listener's limits alone count. */
static void test_many_clients(void **state)
{
	const struct config_limits config = { .max_per_client = 1 };
	struct client_limits *limits = client_limits_create(1, 2);

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		char text[64];

		snprintf(text, sizeof(text), "2001:db8:%x:%x::1", i >> 16, i & 0xffff);
		assert_int_equal(take(limits, 0, &config, text, 1), CLIENT_OK);
	}
	client_limits_destroy(limits);
}

/* For ever: clients that come once, so that entries change hands, and one that has a limit. */
static void come_and_go(struct client_limits *limits, size_t worker)
{
	const struct config_limits config = { .max_per_client = 5, .max_per_address = 5 };

	for (unsigned i = (unsigned)getpid();; i++) {
		struct client_place place = { 0 }, other = { 0 };
		struct sockaddr_any often = addr("2001:db8::1"), once = often;

		memcpy(&once.in6.sin6_addr.s6_addr[4], &i, sizeof(i));
		(void)client_limits_take(limits, worker, 0, &config, &often, 1, &place);
		(void)client_limits_take(limits, worker, 0, &config, &once, 1, &other);
		if (i % 3 == 0)
			client_limits_give(limits, worker, &place);
		client_limits_give(limits, worker, &other);
		if (i % 3 == 1)
			client_limits_give(limits, worker, &place);
	}
}

/* Workers are killed at any moment; when all are gone the limit is just what it was. */
static void test_deaths(void **state)
{
	const struct config_limits config = { .max_per_client = 5, .max_per_address = 5 };
	struct client_limits *limits = client_limits_create(2, 2);
	const struct sockaddr_any client = addr("2001:db8::1");
	struct client_place place;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		pid_t pids[2];

		for (size_t k = 0; k < 2; k++) {
			pids[k] = fork();
			if (pids[k] == 0)
				come_and_go(limits, k);
		}
		usleep(1000 + i * 37 % 1500);
		for (size_t k = 0; k < 2; k++) {
			kill(pids[k], SIGKILL);
			assert_int_equal(waitpid(pids[k], NULL, 0), pids[k]);
			client_limits_recover(limits, k);
		}
	}
	for (int i = 0; i < 5; i++)
		assert_int_equal(
			client_limits_take(limits, 0, 0, &config, &client, 1, &place), CLIENT_OK);
	assert_false(place.untracked);
	assert_int_equal(
		client_limits_take(limits, 0, 0, &config, &client, 1, &place), CLIENT_ADDRESS_FULL);
	client_limits_destroy(limits);
}

/* Two processes at once never get more than there are places. */
static void test_two_processes(void **state)
{
	const struct config_limits config = { .max = 1000, .max_per_client = 600 };
	struct client_limits *limits = client_limits_create(2, 2);
	int got = 0, status = 0, ends[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	for (int i = 0; i < 2000; i++)
		got += take(limits, pid == 0, &config, i % 2 ? "2001:db8::1" : "2001:db8:1::1",
			       1) == CLIENT_OK;
	if (pid == 0)
		_exit(write(ends[1], &got, sizeof(got)) == sizeof(got) ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(read(ends[0], &status, sizeof(status)), sizeof(status));
	assert_int_equal(got + status, 1000);
	client_limits_destroy(limits);
}

/*
 * Two listeners of one name, whose hash is in use, and the number behind it as well: each still
 * counts for itself. "n111203" hashes to one more than "n12398" does.
 */
static void test_names_that_collide(void **state)
{
	static const char *const names[] = { "n111203", "n12398", "n12398" };
	const struct config_limits config = { .max_per_client = 1 };
	struct client_limits *limits = client_limits_create(1, 3);
	const struct sockaddr_any client = addr("2001:db8::1");
	struct client_place place;

	(void)state;
	client_limits_set_name(limits, 0, names[0]);
	client_limits_set_name(limits, 2, names[2]);
	client_limits_set_name(limits, 1, names[1]);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(
			client_limits_take(limits, 0, i, &config, &client, 1, &place), CLIENT_OK);
	client_limits_destroy(limits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_give),
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_rates_are_exact),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_refused_uses_nothing),
		cmocka_unit_test(test_many_clients),
		cmocka_unit_test(test_deaths),
		cmocka_unit_test(test_two_processes),
		cmocka_unit_test(test_names_that_collide),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
