#include "unit.h"

#include <errno.h>
#include <string.h>

#include "config_file.h"
#include "target.h"

struct fixture {
	struct config *config;
	struct pool_state *state;
	struct pool pool;
};

static void setup(struct fixture *f, const char *text)
{
	char error[CONFIG_ERROR_MAX];

	*f = (struct fixture){ 0 };
	if (config_file_parse("x", text, strlen(text), &f->config, error) != 0)
		fail_msg("%s", error);
	f->state = pool_state_create(f->config, 1);
	assert_non_null(f->state);
	if (f->config->n_pools)
		assert_int_equal(pool_init(&f->pool, f->config, 0, f->state, 0), 0);
}

static void teardown(struct fixture *f)
{
	if (f->config->n_pools)
		pool_destroy(&f->pool);
	pool_state_destroy(f->state);
	config_free(f->config);
}

/* What a client that connects to `local` gets: "a.b.c.d:port", or NULL and the error in *err. */
static const char *pick(struct fixture *f, const char *local, int *err)
{
	static char text[SOCKADDR_TEXT_MAX];
	struct pool_request request = { .now_ms = 1 };
	struct sockaddr_any addr;
	struct target target = { 0 };
	const char *reason;

	assert_int_equal(sockaddr_parse(local, &addr, &reason), 0);
	*err = target_pick(&f->config->listeners[0], &f->config->listeners[0].binds[0], &f->pool,
		&addr, &request, &target);
	return *err ? NULL : sockaddr_format(&target.addr, text);
}

static void test_pool_and_port(void **state)
{
	struct fixture f;
	int err;

	(void)state;
	setup(&f, "listener \"a\" { bind = \"[2001:db8::1]:*\" pool = \"p\" }"
		  "pool \"p\" { backend \"10.0.0.1:80\" {} backend \"10.0.0.2:*\" {} }");
	assert_string_equal(pick(&f, "[2001:db8::1]:1234", &err), "10.0.0.1:80");
	assert_string_equal(pick(&f, "[2001:db8::1]:1234", &err), "10.0.0.2:1234");
	teardown(&f);
}

static void test_embedded(void **state)
{
	struct fixture f;
	int err;

	(void)state;
	setup(&f, "listener \"a\" { bind = \"[2001:db8:64::/96]:*\" backend = embedded"
		  " allow = { \"10.0.0.0/8\", \"8.0.0.0/8\" } }");
	assert_string_equal(pick(&f, "[2001:db8:64::a00:5]:99", &err), "10.0.0.5:99");
	assert_string_equal(pick(&f, "[2001:db8:64::808:808]:53", &err), "8.8.8.8:53");
	assert_null(pick(&f, "[2001:db8:64::c0a8:1]:99", &err));
	assert_int_equal(err, -EACCES);
	assert_null(pick(&f, "[2001:db8:64::7f00:1]:99", &err));
	assert_int_equal(err, -EACCES);
	assert_null(pick(&f, "192.0.2.1:99", &err));
	assert_int_equal(err, -EACCES);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pool_and_port),
		cmocka_unit_test(test_embedded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
