#include "unit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "config_file.h"
#include "pool.h"

#define LISTENER "listener \"l\" { bind = \"[::]:80\" pool = \"p\" }\n"

struct fixture {
	struct config *config;
	struct pool_state *state;
	struct pool pools[2]; /* those of two workers */
	struct sockaddr_any client;
	struct pool_request request;
};

static void setup(struct fixture *f, const char *options)
{
	char text[1024], error[CONFIG_ERROR_MAX];

	*f = (struct fixture){ .client.in6.sin6_family = AF_INET6, .request.now_ms = 1000000 };
	f->request.client = &f->client;
	snprintf(text, sizeof(text), LISTENER "pool \"p\" { %s }", options);
	if (config_file_parse("x", text, strlen(text), &f->config, error) != 0)
		fail_msg("%s", error);
	f->state = pool_state_create(f->config, 2);
	assert_non_null(f->state);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pool_init(&f->pools[i], f->config, 0, f->state, i), 0);
}

static void teardown(struct fixture *f)
{
	for (size_t i = 0; i < 2; i++)
		pool_destroy(&f->pools[i]);
	pool_state_destroy(f->state);
	config_free(f->config);
}

static size_t pick(struct fixture *f)
{
	return pool_pick(&f->pools[0], &f->request);
}

#define TWO   "backend \"10.0.0.1:80\" { weight = 2 } backend \"10.0.0.2:80\" { weight = 1 }"
#define THREE "backend \"10.0.0.1:80\" {} backend \"10.0.0.2:80\" {} backend \"10.0.0.3:80\" {}"

static void test_backends_and_sources_take_turns(void **state)
{
	unsigned picks[2] = { 0 }, uses[3] = { 0 };
	struct fixture f;

	(void)state;
	setup(&f, TWO " source = { \"10.1.0.1\", \"10.1.0.2\", \"10.1.0.3\" }");
	for (int i = 0; i < 300; i++) {
		picks[pick(&f)]++;
		uses[pool_source(&f.pools[0]) - f.config->pools[0].sources]++;
	}
	assert_int_equal(picks[0], 200);
	assert_int_equal(picks[1], 100);
	for (int i = 0; i < 3; i++)
		assert_int_equal(uses[i], 100);
	teardown(&f);
}

static void test_down_and_tried_are_left_out(void **state)
{
	static const char *const ways[] = { THREE, THREE " balance = least-connections",
		THREE " balance = maglev" };
	const uint16_t tried[] = { 0, 2 };
	struct fixture f;

	(void)state;
	for (size_t way = 0; way < 3; way++) {
		setup(&f, ways[way]);
		assert_null(pool_source(&f.pools[0]));
		pool_state_set_up(f.state, 0, 1, false, 5);
		assert_false(pool_state_is_up(f.state, 0, 1));
		for (uint8_t i = 0; i < 100; i++) {
			f.client.in6.sin6_addr.s6_addr[15] = i;
			assert_int_not_equal(pick(&f), 1);
		}
		f.request.tried = tried;
		f.request.n_tried = 1;
		assert_int_equal(pick(&f), 2);
		f.request.n_tried = 2;
		assert_int_equal(pick(&f), BALANCE_NONE);
		pool_state_set_up(f.state, 0, 1, true, 6);
		assert_int_equal(pick(&f), 1);
		teardown(&f);
	}
}

static void test_backups_come_last(void **state)
{
	static const char *const ways[] = { "", " balance = least-connections",
		" balance = maglev" };
	char text[512];
	struct fixture f;

	(void)state;
	for (size_t way = 0; way < 3; way++) {
		snprintf(text, sizeof(text),
			"backend \"10.0.0.1:80\" { backup = yes } backend \"10.0.0.2:80\" {}"
			" backend \"10.0.0.3:80\" { backup = yes weight = 0 } %s",
			ways[way]);
		setup(&f, text);
		for (uint8_t i = 0; i < 100; i++) {
			f.client.in6.sin6_addr.s6_addr[15] = i;
			assert_int_equal(pick(&f), 1);
		}
		pool_state_set_up(f.state, 0, 1, false, 5);
		assert_int_equal(pick(&f), 0);
		pool_state_set_up(f.state, 0, 0, false, 5);
		assert_int_equal(pick(&f), BALANCE_NONE);
		teardown(&f);
	}
}

static void test_circuit_opens_and_closes_by_itself(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, THREE " circuit-failures = 3 circuit-time = 10s");
	assert_false(pool_failed(
		&f.pools[0], 1, &f.config->pools[0].backends[1].addr, f.request.now_ms));
	assert_false(pool_failed(
		&f.pools[1], 1, &f.config->pools[0].backends[1].addr, f.request.now_ms));
	/* One success begins the count anew. */
	assert_false(pool_answered(&f.pools[0], 1));
	assert_false(pool_failed(
		&f.pools[0], 1, &f.config->pools[0].backends[1].addr, f.request.now_ms));
	assert_false(pool_failed(
		&f.pools[0], 1, &f.config->pools[0].backends[1].addr, f.request.now_ms));
	assert_true(pool_failed(
		&f.pools[1], 1, &f.config->pools[0].backends[1].addr, f.request.now_ms));
	for (int i = 0; i < 30; i++)
		assert_int_not_equal(pool_pick(&f.pools[i % 2], &f.request), 1);
	f.request.now_ms += 10000;
	for (unsigned i = 0, found = 0; i < 3 || !found; i++) {
		found += pick(&f) == 1;
		assert_true(i < 10);
	}
	/* The next failure is enough, and no news. */
	assert_false(pool_failed(
		&f.pools[0], 1, &f.config->pools[0].backends[1].addr, f.request.now_ms));
	for (int i = 0; i < 30; i++)
		assert_int_not_equal(pick(&f), 1);
	f.request.now_ms += 10000;
	assert_true(pool_answered(&f.pools[0], 1));
	assert_false(pool_answered(&f.pools[1], 1));
	teardown(&f);
}

static void test_open_circuits_are_better_than_nothing(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, TWO " circuit-failures = 1");
	assert_true(pool_failed(
		&f.pools[0], 0, &f.config->pools[0].backends[0].addr, f.request.now_ms));
	assert_true(pool_failed(
		&f.pools[0], 1, &f.config->pools[0].backends[1].addr, f.request.now_ms));
	assert_int_not_equal(pick(&f), BALANCE_NONE);
	pool_state_set_up(f.state, 0, 0, false, 5);
	for (int i = 0; i < 10; i++)
		assert_int_equal(pick(&f), 1);
	teardown(&f);
	setup(&f, TWO " circuit-failures = 0");
	for (int i = 0; i < 1000; i++)
		assert_false(pool_failed(
			&f.pools[0], 0, &f.config->pools[0].backends[0].addr, f.request.now_ms));
	assert_int_equal(pick(&f), 0);
	teardown(&f);
}

static void test_least_connections_of_all_workers(void **state)
{
	unsigned picks[2] = { 0 };
	struct fixture f;

	(void)state;
	setup(&f, TWO " balance = least-connections");
	for (int i = 0; i < 90; i++) {
		size_t backend = pool_pick(&f.pools[i % 2], &f.request);

		assert_true(pool_take(&f.pools[i % 2], backend, false));
		picks[backend]++;
	}
	assert_int_equal(picks[0], 60);
	assert_int_equal(pool_state_live(f.state, 0, 0), 60);
	assert_int_equal(pool_state_live(f.state, 0, 1), 30);
	for (int i = 0; i < 10; i++)
		pool_give(&f.pools[1], 1, false);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(pick(&f), 1);
		assert_true(pool_take(&f.pools[0], 1, false));
	}
	/* A worker that dies takes its own with it. */
	pool_state_clear_worker(f.state, 1);
	assert_true(pool_state_live(f.state, 0, 0) < 60);
	assert_int_equal(pool_state_live(f.state, 0, 0) + pool_state_live(f.state, 0, 1), 55);
	teardown(&f);
}

static void test_who_comes_back_starts_slowly(void **state)
{
	const uint64_t up = 1000000;
	struct fixture f;

	(void)state;
	setup(&f, "backend \"10.0.0.1:80\" {} backend \"10.0.0.2:80\" {} slow-start = 10s");
	pool_state_set_up(f.state, 0, 1, false, up - 5000);
	pool_state_set_up(f.state, 0, 1, true, up);
	for (uint64_t part = 0; part <= 12; part++) {
		unsigned picks[2] = { 0 };

		f.request.now_ms = up + part * 1000;
		for (int i = 0; i < 11000; i++)
			picks[pick(&f)]++;
		/* Of n tenths of its weight: n of 10 + n. */
		if (part < 10)
			assert_in_range(picks[1], 11000 * part / (10 + part),
				11000 * part / (10 + part) + 3);
		else
			assert_in_range(picks[1], 5498, 5502);
	}
	teardown(&f);
}

/* Clients of others stay where they are, and those of the lost one spread by weight. */
static void test_maglev_without_one(void **state)
{
	enum { CLIENTS = 30000 };
	static size_t before[CLIENTS];
	unsigned to[3] = { 0 };
	struct fixture f;

	(void)state;
	setup(&f, "backend \"10.0.0.1:80\" {} backend \"10.0.0.2:80\" {}"
		  " backend \"10.0.0.3:80\" { weight = 200 } balance = maglev");
	for (int round = 0; round < 3; round++) {
		pool_state_set_up(f.state, 0, 0, round != 1, 5);
		for (uint32_t i = 0; i < CLIENTS; i++) {
			uint32_t host = htonl(i);
			size_t backend;

			memcpy(f.client.in6.sin6_addr.s6_addr, &host, sizeof(host));
			backend = pool_pick(&f.pools[round % 2], &f.request);
			if (round == 0)
				before[i] = backend;
			else if (round == 2 || before[i] != 0)
				assert_int_equal(backend, before[i]);
			else
				to[backend]++;
		}
	}
	assert_int_equal(to[0], 0);
	assert_in_range(to[2] * 100 / (to[1] + to[2]), 64, 69);
	teardown(&f);
}

static struct sockaddr_any server(uint8_t number)
{
	struct sockaddr_any addr = { .in = { .sin_family = AF_INET, .sin_port = htons(80) } };

	addr.in.sin_addr.s_addr = htonl(0x0a000000 + number);
	return addr;
}

/* What failed was the one before it. */
static void test_failures_of_an_address_that_is_gone(void **state)
{
	struct sockaddr_any old = server(2), new = server(9);
	struct fixture f;

	(void)state;
	setup(&f, THREE " circuit-failures = 1");
	pool_state_set_address(f.state, 0, 1, NULL, false, 5);
	for (int i = 0; i < 30; i++)
		assert_int_not_equal(pick(&f), 1);
	pool_state_set_address(f.state, 0, 1, &new, true, 6);
	assert_false(pool_failed(&f.pools[0], 1, &old, f.request.now_ms));
	for (unsigned i = 0, found = 0; i < 3 || !found; i++) {
		found += pick(&f) == 1;
		assert_true(i < 10);
	}
	new = pool_address(&f.pools[1], 1);
	assert_true(pool_failed(&f.pools[1], 1, &new, f.request.now_ms));
	for (int i = 0; i < 30; i++)
		assert_int_not_equal(pick(&f), 1);
	teardown(&f);
}

#define FIVE                                                                              \
	"balance = maglev backend \"10.0.0.1:80\" {} backend \"10.0.0.2:80\" {}"          \
	" backend \"10.0.0.3:80\" {} backend \"10.0.0.4:80\" {} backend \"10.0.0.5:80\" " \
	"{}"

/* Two pools with the same addresses, the one as it began, the other after a long way. */
static void check_agreement(const char *options, const char *other_options)
{
	static const uint8_t order[] = { 4, 1, 5, 2, 3 };
	struct fixture f, other;
	unsigned served[6] = { 0 };

	setup(&f, options);
	setup(&other, other_options);
	for (size_t i = 0; i < 5; i++) {
		struct sockaddr_any passing = server((uint8_t)(20 + i));

		pool_state_set_address(other.state, 0, i, &passing, true, 5);
		pick(&other);
	}
	for (size_t i = 0; i < 5; i++) {
		struct sockaddr_any addr = server(order[i]);

		pool_state_set_address(other.state, 0, i, &addr, true, 5);
	}
	for (int left = 5; left > 0; left--) {
		for (uint32_t i = 0; i < 2000; i++) {
			struct sockaddr_any a, b;

			memcpy(f.client.in6.sin6_addr.s6_addr + 8, &i, sizeof(i));
			other.client = f.client;
			a = pool_address(&f.pools[0], pick(&f));
			b = pool_address(&other.pools[0], pick(&other));
			assert_true(sockaddr_equal(&a, &b));
			served[ntohl(a.in.sin_addr.s_addr) - 0x0a000000]++;
		}
		for (size_t i = 0; i < 5 && left > 1; i++) {
			struct sockaddr_any a = pool_address(&f.pools[0], i);

			if (ntohl(a.in.sin_addr.s_addr) == 0x0a000000U + (unsigned)left)
				pool_state_set_up(f.state, 0, i, false, 9);
			if (order[i] == left)
				pool_state_set_up(other.state, 0, i, false, 9);
		}
	}
	for (size_t i = 1; i <= 5; i++)
		assert_true(served[i] > 100);
	teardown(&other);
	teardown(&f);
}

static void test_maglev_has_no_memory(void **state)
{
	(void)state;
	check_agreement(FIVE, FIVE);
	/* Backups have no slots. */
	check_agreement(
		"balance = maglev backend \"10.0.0.1:80\" { backup = yes } backend \"10.0.0.2:80\" "
		"{ backup = yes } backend \"10.0.0.3:80\" { backup = yes } backend \"10.0.0.4:80\" "
		"{ backup = yes } backend \"10.0.0.5:80\" { backup = yes }",
		"balance = maglev backend \"10.0.0.5:80\" { backup = yes } backend \"10.0.0.4:80\" "
		"{ backup = yes } backend \"10.0.0.3:80\" { backup = yes } backend \"10.0.0.2:80\" "
		"{ backup = yes } backend \"10.0.0.1:80\" { backup = yes }");
}

/* A full backend is passed over, for the backups too; a flow that moves has its place already. */
static void test_limits(void **state)
{
	static const char *const ways[] = { "", " balance = least-connections",
		" balance = maglev" };
	struct fixture f;
	char options[512];

	(void)state;
	for (size_t way = 0; way < 3; way++) {
		snprintf(options, sizeof(options),
			"backend \"10.0.0.1:80\" { max-connections = 2 } backend \"10.0.0.2:80\" { "
			"max-connections = 1 } backend \"10.0.0.3:80\" { backup = yes "
			"max-connections = 3 } max-connections = 5%s",
			ways[way]);
		setup(&f, options);
		for (size_t i = 0; i < 3; i++) {
			size_t backend = pick(&f);

			assert_in_range(backend, 0, 1);
			assert_true(pool_take(&f.pools[i % 2], backend, false));
		}
		assert_false(pool_take(&f.pools[0], 0, false));
		assert_false(pool_take(&f.pools[1], 1, false));
		for (size_t i = 0; i < 2; i++) {
			assert_false(pool_is_full(&f.pools[0]));
			assert_int_equal(pick(&f), 2);
			assert_true(pool_take(&f.pools[0], 2, false));
		}
		assert_true(pool_is_full(&f.pools[1]));
		assert_false(pool_take(&f.pools[1], 2, false));
		assert_true(pool_take(&f.pools[1], 2, true));
		assert_int_equal(pick(&f), BALANCE_NONE);
		assert_true(pool_backends_full(&f.pools[0], &f.request));
		pool_give(&f.pools[1], 2, true);
		assert_true(pool_is_full(&f.pools[1]));
		/* Worker 0 had four of them: one of each ordinary one, or two of the first. */
		pool_state_clear_worker(f.state, 0);
		assert_false(pool_is_full(&f.pools[1]));
		assert_int_equal(pool_state_live(f.state, 0, 2), 0);
		for (size_t i = 0; i < 4; i++) {
			assert_false(pool_is_full(&f.pools[1]));
			assert_true(pool_take(&f.pools[1], pick(&f), false));
		}
		assert_true(pool_is_full(&f.pools[1]));
		teardown(&f);
	}
}

/* Those that are down are not full. */
static void test_none_is_full(void **state)
{
	const uint16_t tried[] = { 0, 1, 2 };
	struct fixture f;

	(void)state;
	setup(&f, THREE);
	assert_false(pool_is_full(&f.pools[0]));
	f.request.tried = tried;
	f.request.n_tried = 3;
	assert_int_equal(pick(&f), BALANCE_NONE);
	assert_false(pool_backends_full(&f.pools[0], &f.request));
	f.request.n_tried = 0;
	for (size_t i = 0; i < 3; i++)
		pool_state_set_up(f.state, 0, i, false, 5);
	assert_int_equal(pick(&f), BALANCE_NONE);
	assert_false(pool_backends_full(&f.pools[0], &f.request));
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backends_and_sources_take_turns),
		cmocka_unit_test(test_down_and_tried_are_left_out),
		cmocka_unit_test(test_backups_come_last),
		cmocka_unit_test(test_circuit_opens_and_closes_by_itself),
		cmocka_unit_test(test_open_circuits_are_better_than_nothing),
		cmocka_unit_test(test_least_connections_of_all_workers),
		cmocka_unit_test(test_who_comes_back_starts_slowly),
		cmocka_unit_test(test_maglev_without_one),
		cmocka_unit_test(test_failures_of_an_address_that_is_gone),
		cmocka_unit_test(test_maglev_has_no_memory),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_none_is_full),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
