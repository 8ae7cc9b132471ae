#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LABEL_63     "a23456789012345678901234567890123456789012345678901234567890123"

struct fixture {
	struct config *config;
	struct config_pool *pool;
};

static void setup(struct fixture *f)
{
	const char *reason;

	f->config = config_new();
	assert_non_null(f->config);
	assert_int_equal(config_add_pool(f->config, "p", &f->pool, &reason), 0);
}

static void test_what_is_a_name(void **state)
{
	static const char *const names[] = { "a:1", "db.example:5432", "1a:*", "10.0.0.x:80",
		"x-y_z.:80", ".a:1", "a b:1", "a:" };
	static const char *const others[] = { "", "a", "10.0.0.1:80", "*:80", ":80", "[fe80::a]:80",
		"fe80::a:80", "db.example", "10.0.0.1:http", "[a]:80", "1:a" };

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++)
		if (!config_is_name(names[i]))
			fail_msg("%s is a name", names[i]);
	for (size_t i = 0; i < COUNT(others); i++)
		if (config_is_name(others[i]))
			fail_msg("%s is no name", others[i]);
}

static void test_a_name_has_backends(void **state)
{
	struct fixture f;
	const char *reason;

	(void)state;
	setup(&f);
	assert_int_equal(config_add_backend(f.pool, "10.0.0.1:80", 7, &reason), 0);
	assert_int_equal(config_add_name(f.pool, "DB.Example.:5432", 3, 50, &reason), 0);
	assert_int_equal(config_add_name(f.pool, "db.example.:*", 1, 0, &reason), 0);
	assert_int_equal(f.pool->n_backends, 5);
	assert_int_equal(f.pool->n_names, 2);
	assert_string_equal(f.pool->names[0].host, "db.example.");
	assert_int_equal(f.pool->names[0].first, 1);
	assert_int_equal(f.pool->names[0].n, 3);
	assert_int_equal(f.pool->names[1].first, 4);
	for (size_t i = 1; i < 5; i++) {
		const struct config_backend *backend = &f.pool->backends[i];

		assert_int_equal(sockaddr_family(&backend->addr), AF_INET);
		assert_true(sockaddr_is_any(&backend->addr));
		assert_int_equal(sockaddr_port(&backend->addr), i < 4 ? 5432 : 0);
		assert_int_equal(backend->weight, i < 4 ? 50 : 0);
	}
	config_free(f.config);
}

static void test_names_refused(void **state)
{
	static const char form[] =
		"a name has labels of letters, digits, '-' and '_' with dots between them, like "
		"db.example:5432";
	static const char port[] =
		"a port from 1 to 65535 is missing behind the name, like db.example:5432";
	static const char twice[] = "the pool has this backend already: give it a weight instead";
	static const char *const forms[] = { ".a:1", "a..b:1", "a b:1", "a\x01:1", "-a:1", "a-:1",
		"a.-b:1", "a/24:1", "10.0.0.1x:1", "a.2b:1", "a..:1", "a*:1", "\xc3\xa4z:1",
		LABEL_63 "x:1" };
	static const char *const ports[] = { "a:", "a:0", "a:65536", "a:99999999999", "a:http",
		"a:8*", "a:+8", "a:8 ", "a:-1" };
	static const char *const fine[] = { LABEL_63 ".example:1", "a:65535", "0a:1", "x_y:080",
		"a-b.c:1", "b:2" };
	struct fixture f;
	const char *reason;

	(void)state;
	setup(&f);
	for (size_t i = 0; i < COUNT(forms) + COUNT(ports); i++) {
		const char *text = i < COUNT(forms) ? forms[i] : ports[i - COUNT(forms)];

		reason = NULL;
		if (config_add_name(f.pool, text, 8, 1, &reason) != -EINVAL)
			fail_msg("%s was taken", text);
		assert_string_equal(reason, i < COUNT(forms) ? form : port);
	}
	for (size_t i = 0; i < COUNT(fine); i++)
		if (config_add_name(f.pool, fine[i], 1, 1, &reason) != 0)
			fail_msg("%s: %s", fine[i], reason);
	assert_int_equal(config_add_name(f.pool, "A:65535", 1, 1, &reason), -EINVAL);
	assert_string_equal(reason, twice);
	assert_int_equal(f.pool->n_backends, COUNT(fine));
	config_free(f.config);
}

static void test_the_longest_name(void **state)
{
	char text[300];
	struct fixture f;
	const char *reason;

	(void)state;
	setup(&f);
	snprintf(text, sizeof(text), "%s.%s.%s.%.61s:80", LABEL_63, LABEL_63, LABEL_63, LABEL_63);
	assert_int_equal(config_add_name(f.pool, text, 1, 1, &reason), 0);
	assert_int_equal(strlen(f.pool->names[0].host), 253);
	snprintf(text, sizeof(text), "%s.%s.%s.%.62s:80", LABEL_63, LABEL_63, LABEL_63, LABEL_63);
	assert_int_equal(config_add_name(f.pool, text, 1, 1, &reason), -EINVAL);
	config_free(f.config);
}

static void test_addresses_count_as_backends(void **state)
{
	struct fixture f;
	const char *reason = NULL;
	char text[32];

	(void)state;
	setup(&f);
	for (int i = 0; i < 16; i++) {
		snprintf(text, sizeof(text), "a%d:80", i);
		assert_int_equal(config_add_name(f.pool, text, i ? 64 : 63, 1, &reason), 0);
	}
	assert_int_equal(config_add_name(f.pool, "b:80", 2, 1, &reason), -EINVAL);
	assert_string_equal(reason, "a pool may have 1024 backends, and a name counts as many as "
				    "it may have addresses");
	assert_int_equal(config_add_name(f.pool, "b:80", 1, 1, &reason), 0);
	config_free(f.config);
}

/* A name must not lead back to the listener that sends clients there. */
static void test_what_the_listeners_of_a_pool_take(void **state)
{
	static const struct {
		const char *bind, *addr;
		bool v6only, takes;
	} cases[] = {
		{ "192.0.2.1:80", "192.0.2.1:80", true, true },
		{ "192.0.2.1:80", "192.0.2.1:81", true, false },
		{ "192.0.2.1:80", "192.0.2.2:80", true, false },
		{ "192.0.2.0/24:80-90", "192.0.2.9:90", true, true },
		{ "192.0.2.0/24:80-90", "192.0.3.9:90", true, false },
		{ "0.0.0.0:80", "192.0.2.9:80", true, true },
		{ "0.0.0.0:80", "192.0.2.9:81", true, false },
		{ "[::]:80", "192.0.2.9:80", true, false },
		{ "[::]:80", "192.0.2.9:80", false, true },
		{ "[2001:db8::1]:80", "192.0.2.9:80", false, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config_listener *listener;
		struct sockaddr_any addr;
		const char *reason;
		struct fixture f;

		setup(&f);
		assert_int_equal(config_add_listener(f.config, "l", &listener, &reason), 0);
		assert_int_equal(config_add_bind(f.config, listener, cases[i].bind, &reason), 0);
		listener->v6only = cases[i].v6only;
		assert_int_equal(sockaddr_parse(cases[i].addr, &addr, &reason), 0);
		assert_int_equal(config_takes(f.config, 0, &addr), cases[i].takes);
		assert_false(config_takes(f.config, 1, &addr));
		/* The port of the client is one that the listener takes. */
		sockaddr_set_port(&addr, 0);
		if (cases[i].takes)
			assert_true(config_takes(f.config, 0, &addr));
		config_free(f.config);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_a_name),
		cmocka_unit_test(test_a_name_has_backends),
		cmocka_unit_test(test_names_refused),
		cmocka_unit_test(test_the_longest_name),
		cmocka_unit_test(test_addresses_count_as_backends),
		cmocka_unit_test(test_what_the_listeners_of_a_pool_take),
	};

	return cmocka_run_group_tests_name("config_name", tests, NULL, NULL);
}
