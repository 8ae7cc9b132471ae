#include "unit.h"

#include <string.h>

#include "config_file.h"
#include "pool_state.h"

#define TEXT                                                 \
	"listener \"l\" { bind = \"[::]:80\" pool = \"p\" }" \
	"pool \"o\" { backend \"10.0.0.9:9\" {} }"           \
	"pool \"p\" { backend \"10.0.0.1:80\" {} backend \"10.0.0.2:*\" {} }"

struct fixture {
	struct config *config;
	struct pool_state *state;
	struct pool_state_watch watch;
	unsigned changes;
	size_t pool, backend;
};

static void note(struct pool_state_watch *watch, size_t pool, size_t backend)
{
	struct fixture *f = list_entry(watch, struct fixture, watch);

	f->changes++;
	f->pool = pool;
	f->backend = backend;
}

static void setup(struct fixture *f)
{
	char error[CONFIG_ERROR_MAX];

	*f = (struct fixture){ .watch.on_change = note };
	if (config_file_parse("x", TEXT, strlen(TEXT), &f->config, error) != 0)
		fail_msg("%s", error);
	f->state = pool_state_create(f->config, 1);
	assert_non_null(f->state);
	pool_state_add_watch(f->state, &f->watch);
}

static void teardown(struct fixture *f)
{
	pool_state_destroy(f->state);
	config_free(f->config);
}

static struct sockaddr_any address(const char *text)
{
	struct sockaddr_any addr;
	const char *reason;

	assert_int_equal(sockaddr_parse(text, &addr, &reason), 0);
	return addr;
}

static void assert_at(const struct fixture *f, size_t backend, bool there, const char *expected)
{
	char text[SOCKADDR_TEXT_MAX];
	struct sockaddr_any addr;

	assert_int_equal(pool_state_address(f->state, 1, backend, &addr), there);
	assert_string_equal(sockaddr_format(&addr, text), expected);
}

static void test_addresses_of_the_configuration(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	assert_at(&f, 0, true, "10.0.0.1:80");
	assert_at(&f, 1, true, "10.0.0.2:0");
	assert_true(pool_state_is_up(f.state, 1, 1));
	assert_int_not_equal(pool_state_generation(f.state, 1), 0);
	teardown(&f);
}

static void test_an_address_goes_and_another_comes(void **state)
{
	struct sockaddr_any old = address("10.0.0.1:80"), new = address("198.51.100.255:65535");
	uint32_t generation, other;
	struct fixture f;

	(void)state;
	setup(&f);
	generation = pool_state_generation(f.state, 1);
	other = pool_state_generation(f.state, 0);
	pool_state_set_address(f.state, 1, 0, NULL, false, 5);
	assert_at(&f, 0, false, "10.0.0.1:80");
	assert_false(pool_state_is_up(f.state, 1, 0));
	assert_true(pool_state_is_at(f.state, 1, 0, &old));
	assert_int_not_equal(pool_state_generation(f.state, 1), generation);
	generation = pool_state_generation(f.state, 1);
	pool_state_set_address(f.state, 1, 0, &new, true, 7);
	assert_at(&f, 0, true, "198.51.100.255:65535");
	assert_false(pool_state_is_at(f.state, 1, 0, &old));
	new.in.sin_port = 0;
	assert_true(pool_state_is_at(f.state, 1, 0, &new));
	assert_true(pool_state_is_up(f.state, 1, 0));
	assert_int_not_equal(pool_state_generation(f.state, 1), generation);
	assert_int_equal(pool_state_generation(f.state, 0), other);
	assert_int_equal(f.changes, 2);
	assert_int_equal(f.pool, 1);
	assert_int_equal(f.backend, 0);
	teardown(&f);
}

/* Who comes new has no past, and is up only if that was said. */
static void test_a_new_address_begins_anew(void **state)
{
	struct sockaddr_any new = address("10.0.0.3:80");
	struct pool_state_backend *backend;
	struct fixture f;

	(void)state;
	setup(&f);
	backend = &f.state->backends[f.state->first[1]];
	backend->failures = 9;
	backend->closed_at_ms = 99;
	pool_state_set_address(f.state, 1, 0, &new, false, 7);
	assert_int_equal(backend->failures, 0);
	assert_int_equal(backend->closed_at_ms, 0);
	assert_int_equal(backend->up_ms, 7);
	assert_false(pool_state_is_up(f.state, 1, 0));
	pool_state_set_up(f.state, 1, 0, true, 8);
	assert_true(pool_state_is_up(f.state, 1, 0));
	/* What a check has found of it does not bring back one that is gone. */
	pool_state_set_address(f.state, 1, 0, NULL, false, 9);
	pool_state_set_up(f.state, 1, 0, true, 10);
	assert_false(pool_state_is_up(f.state, 1, 0));
	teardown(&f);
}

static void test_generations_are_never_zero(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	f.state->generations[1] = UINT32_MAX;
	pool_state_set_address(f.state, 1, 0, NULL, false, 1);
	assert_int_equal(pool_state_generation(f.state, 1), 1);
	teardown(&f);
}

static void test_watches_hear_of_verdicts(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	pool_state_set_up(f.state, 1, 1, false, 5);
	assert_int_equal(f.changes, 1);
	assert_int_equal(f.backend, 1);
	list_remove(&f.watch.node);
	pool_state_set_up(f.state, 1, 1, true, 6);
	assert_int_equal(f.changes, 1);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_of_the_configuration),
		cmocka_unit_test(test_an_address_goes_and_another_comes),
		cmocka_unit_test(test_a_new_address_begins_anew),
		cmocka_unit_test(test_generations_are_never_zero),
		cmocka_unit_test(test_watches_hear_of_verdicts),
	};

	return cmocka_run_group_tests_name("pool_state", tests, NULL, NULL);
}
