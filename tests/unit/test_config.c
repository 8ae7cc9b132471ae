#include "unit.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "log.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct fixture {
	struct config *config;
	struct config_listener *listener;
	struct config_pool *pool;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *reason = NULL;

	assert_non_null(f);
	f->config = config_new();
	assert_non_null(f->config);
	assert_int_equal(config_add_listener(f->config, "web", &f->listener, &reason), 0);
	assert_int_equal(config_add_pool(f->config, "web", &f->pool, &reason), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	config_free(f->config);
	free(f);
	return 0;
}

static void assert_refused(int err, const char *reason, const char *expected, const char *text)
{
	if (err != -EINVAL)
		fail_msg("\"%s\" was taken (%d)", text, err);
	if (!reason || strcmp(reason, expected) != 0)
		fail_msg("\"%s\": %s", text, reason);
}

static void assert_address(const struct sockaddr_any *addr, const char *expected)
{
	char buf[SOCKADDR_TEXT_MAX];

	assert_string_equal(sockaddr_format(addr, buf), expected);
}

static void assert_bind(const struct config_bind *bind, const char *expected)
{
	char buf[CONFIG_BIND_TEXT_MAX];

	assert_string_equal(config_bind_text(bind, buf), expected);
}

static void test_defaults(void **state)
{
	struct fixture *f = *state;
	struct config *config = f->config;

	assert_int_equal(config->workers, 0);
	assert_int_equal(config->drain_ms, 30000);
	assert_int_equal(config->max_flows, 0);
	assert_null(config->user);
	assert_int_equal(config->log, LOG_TARGET_STDERR);
	assert_int_equal(config->log_level, LOG_LEVEL_INFO);
	assert_int_equal(config->access_log, LOG_TARGET_STDOUT);
	assert_null(config->access_log_path);
	assert_int_equal(config->n_listeners, 1);
	assert_int_equal(config->n_pools, 1);

	assert_string_equal(f->listener->name, "web");
	assert_int_equal(f->listener->n_binds, 0);
	assert_true(f->listener->v6only);
	assert_int_equal(f->listener->pool, 0);
	assert_int_equal(f->listener->identity, IDENTITY_PROXY_V2);
	assert_int_equal(f->listener->timeouts.connect_ms, 5000);
	assert_int_equal(f->listener->timeouts.idle_ms, 600000);
	assert_int_equal(f->listener->timeouts.half_closed_ms, 600000);
	assert_int_equal(f->listener->timeouts.dead_peer_ms, 30000);
	assert_int_equal(f->listener->backlog, 4096);

	assert_string_equal(f->pool->name, "web");
	assert_int_equal(f->pool->n_backends, 0);
	assert_int_equal(f->pool->n_sources, 0);
}

static void test_free_takes_nothing(void **state)
{
	struct config *config = config_new();

	(void)state;
	config_free(NULL);
	assert_non_null(config);
	assert_int_equal(config->n_listeners, 0);
	assert_int_equal(config->n_pools, 0);
	config_free(config);
}

static void test_names(void **state)
{
	static const char length[] = "a name has 1 to 63 characters";
	static const char letters[] = "a name has letters, digits, '-', '_' and '.' only";
	static const char name64[] =
		"0123456789012345678901234567890123456789012345678901234567890123";
	static const char *const good[] = { "a", "Z9", "-", "web-1_b.example", "0",
		name64 + 1 /* 63 characters */ };
	static const struct {
		const char *name, *reason;
	} bad[] = { { "", length }, { name64, length }, { "a b", letters }, { "a/b", letters },
		{ "caf\xc3\xa9", letters }, { "a\n", letters }, { "@", letters }, { "[", letters },
		{ "`", letters }, { "{", letters }, { ":", letters }, { "\"", letters } };
	struct fixture *f = *state;
	struct config_listener *listener;
	struct config_pool *pool;
	const char *reason;

	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(config_add_listener(f->config, good[i], &listener, &reason), 0);
		assert_string_equal(listener->name, good[i]);
		assert_int_equal(config_add_pool(f->config, good[i], &pool, &reason), 0);
		assert_string_equal(pool->name, good[i]);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		int err;

		reason = NULL;
		err = config_add_listener(f->config, bad[i].name, &listener, &reason);
		assert_refused(err, reason, bad[i].reason, bad[i].name);
		reason = NULL;
		err = config_add_pool(f->config, bad[i].name, &pool, &reason);
		assert_refused(err, reason, bad[i].reason, bad[i].name);
	}
	assert_int_equal(f->config->n_listeners, 1 + COUNT(good));
	assert_int_equal(f->config->n_pools, 1 + COUNT(good));
}

static void test_names_once(void **state)
{
	struct fixture *f = *state;
	struct config_listener *listener;
	struct config_pool *pool;
	const char *reason = NULL;
	int err;

	err = config_add_listener(f->config, "web", &listener, &reason);
	assert_refused(
		err, reason, "there is a listener of this name already: choose another", "web");
	err = config_add_pool(f->config, "web", &pool, &reason);
	assert_refused(err, reason, "there is a pool of this name already: choose another", "web");
	assert_int_equal(config_add_listener(f->config, "Web", &listener, &reason), 0);
	assert_int_equal(config_add_pool(f->config, "Web", &pool, &reason), 0);
}

static void test_most_listeners_and_pools(void **state)
{
	struct fixture *f = *state;
	struct config_listener *listener;
	struct config_pool *pool;
	const char *reason = NULL;
	char name[16];
	int err;

	for (unsigned i = 1; i < 256; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(config_add_listener(f->config, name, &listener, &reason), 0);
		assert_int_equal(config_add_pool(f->config, name, &pool, &reason), 0);
	}
	err = config_add_listener(f->config, "last", &listener, &reason);
	assert_refused(
		err, reason, "there may be 256 listeners: give one several addresses", "last");
	err = config_add_pool(f->config, "last", &pool, &reason);
	assert_refused(err, reason, "there may be 256 pools", "last");
	assert_int_equal(f->config->n_listeners, 256);
	assert_int_equal(f->config->n_pools, 256);
	assert_string_equal(f->config->listeners[0].name, "web");
	assert_string_equal(f->config->pools[255].name, "n255");
}

static void test_find_pool(void **state)
{
	struct fixture *f = *state;
	struct config_pool *pool;
	const char *reason;
	size_t found = 77;

	assert_int_equal(config_add_pool(f->config, "other", &pool, &reason), 0);
	assert_int_equal(config_find_pool(f->config, "nobody", &found), -ENOENT);
	assert_int_equal(config_find_pool(f->config, "", &found), -ENOENT);
	assert_int_equal(config_find_pool(f->config, "WEB", &found), -ENOENT);
	assert_int_equal(found, 77);
	assert_int_equal(config_find_pool(f->config, "other", &found), 0);
	assert_int_equal(found, 1);
	assert_int_equal(config_find_pool(f->config, "web", &found), 0);
	assert_int_equal(found, 0);
}

static void test_binds(void **state)
{
	struct fixture *f = *state;
	const char *reason = NULL;

	assert_int_equal(config_add_bind(f->config, f->listener, "[2001:db8::1]:80", &reason), 0);
	assert_int_equal(config_add_bind(f->config, f->listener, "192.0.2.1:80", &reason), 0);
	assert_int_equal(config_add_bind(f->config, f->listener, "*:8080", &reason), 0);
	assert_int_equal(config_add_bind(f->config, f->listener, "*:65535", &reason), 0);
	assert_int_equal(f->listener->n_binds, 6);
	assert_address(&f->listener->binds[0].addr, "[2001:db8::1]:80");
	assert_address(&f->listener->binds[1].addr, "192.0.2.1:80");
	assert_address(&f->listener->binds[2].addr, "[::]:8080");
	assert_address(&f->listener->binds[3].addr, "0.0.0.0:8080");
	assert_address(&f->listener->binds[4].addr, "[::]:65535");
	assert_address(&f->listener->binds[5].addr, "0.0.0.0:65535");
}

static void test_binds_refused(void **state)
{
	static const char taken[] = "a listener has this address already: each may be bound once";
	static const char multicast[] = "a client cannot connect to a multicast address";
	static const char port[] =
		"a port is a number from 1 to 65535, a range like 1000-2000, or * for all";
	static const char alone[] =
		"an address is missing: write all there are as '*', like '*:8080'";
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{ "8080", alone },
		{ ":8080", alone },
		{ ":", "this is no address: write 192.0.2.1:80 or [2001:db8::1]:80" },
		{ "192.0.2.1:80", taken },
		{ "[2001:db8:0::1]:80", taken },
		{ "[::]:90", taken },
		{ "0.0.0.0:90", taken },
		{ "*:90", taken },
		{ "224.0.0.1:80", multicast },
		{ "239.255.255.255:80", multicast },
		{ "[ff02::1]:80", multicast },
		{ "[::ffff:192.0.2.1]:80", "write the IPv4 address itself, like 192.0.2.1:80" },
		{ "[fe80::1]:80",
			"a link-local address needs its interface, like [fe80::1%eth0]:80" },
		{ "*:", port },
		{ "*:0", port },
		{ "*:65536", port },
		{ "*:000080", port },
		{ "*:80 ", port },
		{ "*:99999999999999999999999999999999999999999999999999", port },
		{ "*", "a port is missing: write 192.0.2.1:80 or [2001:db8::1]:80" },
		{ "*80", "a port is missing: write 192.0.2.1:80 or [2001:db8::1]:80" },
		{ "", "a port is missing: write 192.0.2.1:80 or [2001:db8::1]:80" },
		{ "**:80", "this is no address: write 192.0.2.1:80 or [2001:db8::1]:80" },
		{ "2001:db8::1", "write an IPv6 address in brackets: [2001:db8::1]:80" },
	};
	struct fixture *f = *state;
	struct config_listener *other;
	const char *reason = NULL;

	assert_int_equal(config_add_bind(f->config, f->listener, "192.0.2.1:80", &reason), 0);
	assert_int_equal(config_add_bind(f->config, f->listener, "[2001:db8::1]:80", &reason), 0);
	assert_int_equal(config_add_bind(f->config, f->listener, "*:90", &reason), 0);
	/* Another listener may not have them either. */
	assert_int_equal(config_add_listener(f->config, "other", &other, &reason), 0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		int err;

		reason = NULL;
		err = config_add_bind(f->config, other, cases[i].text, &reason);
		assert_refused(err, reason, cases[i].reason, cases[i].text);
	}
	assert_int_equal(config_add_bind(f->config, other, "192.0.2.1:81", &reason), 0);
	assert_int_equal(other->n_binds, 1);
}

static void test_overlap(void **state)
{
	struct fixture *f = *state;
	const struct config_bind *v6 = NULL, *v4 = NULL;
	struct config_listener *other;
	const char *reason;

	assert_int_equal(config_add_bind(f->config, f->listener, "192.0.2.1:80", &reason), 0);
	assert_int_equal(config_add_listener(f->config, "other", &other, &reason), 0);
	assert_int_equal(config_add_bind(f->config, other, "[2001:db8::1]:80", &reason), 0);
	assert_int_equal(config_add_bind(f->config, other, "[::]:81", &reason), 0);
	other->v6only = false;
	assert_false(config_find_overlap(f->config, other, &v6, &v4));
	assert_int_equal(config_add_bind(f->config, other, "[::]:80", &reason), 0);
	assert_true(config_find_overlap(f->config, other, &v6, &v4));
	assert_bind(v6, "[::]:80");
	assert_bind(v4, "192.0.2.1:80");
	other->v6only = true;
	assert_false(config_find_overlap(f->config, other, &v6, &v4));
}

static void test_most_binds(void **state)
{
	struct fixture *f = *state;
	const char *reason = NULL;
	char text[32];
	int err;

	for (unsigned i = 0; i < 256; i++) {
		snprintf(text, sizeof(text), "192.0.2.%u:80", i);
		assert_int_equal(config_add_bind(f->config, f->listener, text, &reason), 0);
	}
	err = config_add_bind(f->config, f->listener, "[::]:80", &reason);
	assert_refused(err, reason, "a listener may have 256 addresses", "[::]:80");
	assert_int_equal(f->listener->n_binds, 256);
	assert_address(&f->listener->binds[0].addr, "192.0.2.0:80");
	assert_address(&f->listener->binds[255].addr, "192.0.2.255:80");
}

static void test_backends(void **state)
{
	struct fixture *f = *state;
	const char *reason = NULL;

	assert_int_equal(config_add_backend(f->pool, "192.0.2.10:80", 100, &reason), 0);
	assert_int_equal(config_add_backend(f->pool, "192.0.2.10:81", 0, &reason), 0);
	assert_int_equal(config_add_backend(f->pool, "127.0.0.1:1", CONFIG_WEIGHT_MAX, &reason), 0);
	assert_int_equal(config_add_backend(f->pool, "223.255.255.255:65535", 1, &reason), 0);
	assert_int_equal(f->pool->n_backends, 4);
	assert_address(&f->pool->backends[0].addr, "192.0.2.10:80");
	assert_int_equal(f->pool->backends[0].weight, 100);
	assert_int_equal(f->pool->backends[1].weight, 0);
	assert_address(&f->pool->backends[2].addr, "127.0.0.1:1");
	assert_int_equal(f->pool->backends[2].weight, 65535);
	assert_address(&f->pool->backends[3].addr, "223.255.255.255:65535");
}

static void test_backends_refused(void **state)
{
	static const char form[] = "a backend is an IPv4 address or a name, and a port, like "
				   "192.0.2.10:80 or db.example:5432";
	static const char unicast[] = "no server can have this address: name one unicast address";
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{ "", form },
		{ "192.0.2.10", form },
		{ "192.0.2.10:0", form },
		{ "192.0.2.10:65536", form },
		{ "192.0.2.10:http", form },
		{ "server:80", form },
		{ "*:80", form },
		{ "[2001:db8::1]:80", form },
		{ "[::ffff:192.0.2.10]:80", form },
		{ "0.0.0.0:80", unicast },
		{ "0.255.255.255:80", unicast },
		{ "224.0.0.1:80", unicast },
		{ "239.255.255.255:80", unicast },
		{ "240.0.0.1:80", unicast },
		{ "255.255.255.255:80", unicast },
		{ "192.0.2.1:80", "the pool has this backend already: give it a weight instead" },
	};
	struct fixture *f = *state;
	const char *reason = NULL;

	assert_int_equal(config_add_backend(f->pool, "192.0.2.1:80", 1, &reason), 0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		int err;

		reason = NULL;
		err = config_add_backend(f->pool, cases[i].text, 1, &reason);
		assert_refused(err, reason, cases[i].reason, cases[i].text);
	}
	assert_int_equal(f->pool->n_backends, 1);
}

static void test_most_backends(void **state)
{
	struct fixture *f = *state;
	const char *reason = NULL;
	char text[32];
	int err;

	for (unsigned i = 0; i < 1024; i++) {
		snprintf(text, sizeof(text), "10.0.%u.%u:80", i / 256, i % 256);
		assert_int_equal(config_add_backend(f->pool, text, i, &reason), 0);
	}
	err = config_add_backend(f->pool, "192.0.2.1:80", 1, &reason);
	assert_refused(err, reason, "a pool may have 1024 backends", "192.0.2.1:80");
	assert_int_equal(f->pool->n_backends, 1024);
	assert_address(&f->pool->backends[1023].addr, "10.0.3.255:80");
	assert_int_equal(f->pool->backends[1023].weight, 1023);
}

static void test_sources(void **state)
{
	static const char form[] = "a source is an IPv4 address of this machine, like 192.0.2.1";
	static const char *const bad[] = { "", "192.0.2.1:80", "192.0.2", "::1", "[::1]",
		"::ffff:192.0.2.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "eth0", "*" };
	struct fixture *f = *state;
	const char *reason = NULL;
	char text[32];
	int err;

	assert_int_equal(config_add_source(f->pool, "10.0.0.1", &reason), 0);
	assert_address(&f->pool->sources[0], "10.0.0.1:0");
	for (size_t i = 0; i < COUNT(bad); i++) {
		reason = NULL;
		err = config_add_source(f->pool, bad[i], &reason);
		assert_refused(err, reason, form, bad[i]);
	}
	err = config_add_source(f->pool, "10.0.0.1", &reason);
	assert_refused(err, reason, "the pool has this source already", "10.0.0.1");
	for (unsigned i = 1; i < 256; i++) {
		snprintf(text, sizeof(text), "10.0.1.%u", i);
		assert_int_equal(config_add_source(f->pool, text, &reason), 0);
	}
	err = config_add_source(f->pool, "10.0.2.1", &reason);
	assert_refused(err, reason, "a pool may have 256 sources", "10.0.2.1");
	assert_int_equal(f->pool->n_sources, 256);
	assert_address(&f->pool->sources[255], "10.0.1.255:0");
}

static void test_workers(void **state)
{
	static const char *const bad[] = { "", "0", "00", "257", "-1", "+1", "1 ", " 1", "1.0", "x",
		"Auto", "auto ", "4294967297", "99999999999999999999", "0x10" };
	const char *reason = NULL;
	uint32_t workers = 77;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		int err;

		reason = NULL;
		err = config_parse_workers(bad[i], &workers, &reason);
		assert_refused(err, reason, "workers is auto or a number from 1 to 256", bad[i]);
		assert_int_equal(workers, 77);
	}
	assert_int_equal(config_parse_workers("auto", &workers, &reason), 0);
	assert_int_equal(workers, 0);
	assert_int_equal(config_parse_workers("1", &workers, &reason), 0);
	assert_int_equal(workers, 1);
	assert_int_equal(config_parse_workers("256", &workers, &reason), 0);
	assert_int_equal(workers, CONFIG_WORKERS_MAX);
	assert_int_equal(config_parse_workers("016", &workers, &reason), 0);
	assert_int_equal(workers, 16);
}

static void test_access_log(void **state)
{
	static const char form[] = "access-log is off, stdout, stderr, journal or a path from / on";
	static const struct {
		const char *text;
		enum log_target target;
	} words[] = { { "off", LOG_TARGET_OFF }, { "stdout", LOG_TARGET_STDOUT },
		{ "/var/log/a", LOG_TARGET_FILE }, { "stderr", LOG_TARGET_STDERR },
		{ "/", LOG_TARGET_FILE }, { "/b", LOG_TARGET_FILE },
		{ "journal", LOG_TARGET_JOURNAL } };
	static const char *const bad[] = { "", "access.log", "./access.log", "Off", "none",
		"stdout ", "on", "~/log" };
	struct fixture *f = *state;
	char path[PATH_MAX + 1];
	const char *reason = NULL;
	int err;

	for (size_t i = 0; i < COUNT(words); i++) {
		assert_int_equal(config_set_access_log(f->config, words[i].text, &reason), 0);
		assert_int_equal(f->config->access_log, words[i].target);
		if (words[i].target == LOG_TARGET_FILE)
			assert_string_equal(f->config->access_log_path, words[i].text);
		else
			assert_null(f->config->access_log_path);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		reason = NULL;
		err = config_set_access_log(f->config, bad[i], &reason);
		assert_refused(err, reason, form, bad[i]);
	}
	assert_int_equal(f->config->access_log, LOG_TARGET_JOURNAL);

	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[PATH_MAX] = '\0';
	err = config_set_access_log(f->config, path, &reason);
	assert_refused(err, reason, form, "a path too long");
	path[PATH_MAX - 1] = '\0';
	assert_int_equal(config_set_access_log(f->config, path, &reason), 0);
	assert_string_equal(f->config->access_log_path, path);
}

static void test_user(void **state)
{
	static const char *const bad[] = { "", "a b", "root:root", "-\n",
		"0123456789012345678901234567890123456789012345678901234567890123" };
	struct fixture *f = *state;
	const char *reason = NULL;

	for (size_t i = 0; i < COUNT(bad); i++) {
		int err;

		reason = NULL;
		err = config_set_user(f->config, bad[i], &reason);
		assert_refused(err, reason,
			"user is the name of a user of this machine, like nobody", bad[i]);
	}
	assert_null(f->config->user);
	assert_int_equal(config_set_user(f->config, "nobody", &reason), 0);
	assert_string_equal(f->config->user, "nobody");
	assert_int_equal(config_set_user(f->config, "www-data", &reason), 0);
	assert_string_equal(f->config->user, "www-data");
}

static void test_words(void **state)
{
	static const char *const levels[] = { "error", "warning", "info", "debug" };
	static const char *const identities[] = { "proxy-v2", "proxy-v1", "none" };
	static const char *const bad[] = { "", "Error", "error ", "proxy", "proxy-v3", "notice",
		"None" };
	enum identity identity = IDENTITY_COUNT;
	const char *reason = NULL;
	int level = 77;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		int err;

		reason = NULL;
		err = config_parse_log_level(bad[i], &level, &reason);
		assert_refused(err, reason, "log-level is error, warning, info or debug", bad[i]);
		reason = NULL;
		err = config_parse_identity(bad[i], &identity, &reason);
		assert_refused(
			err, reason, "identity is proxy-v2, proxy-v1, none or transparent", bad[i]);
	}
	assert_int_equal(level, 77);
	assert_int_equal(identity, IDENTITY_COUNT);
	for (size_t i = 0; i < COUNT(levels); i++) {
		assert_int_equal(config_parse_log_level(levels[i], &level, &reason), 0);
		assert_int_equal(level, i);
	}
	for (size_t i = 0; i < COUNT(identities); i++) {
		assert_int_equal(config_parse_identity(identities[i], &identity, &reason), 0);
		assert_int_equal(identity, i);
		assert_string_equal(config_identity_name(identity), identities[i]);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),
		cmocka_unit_test(test_free_takes_nothing),
		TEST(test_names),
		TEST(test_names_once),
		TEST(test_most_listeners_and_pools),
		TEST(test_find_pool),
		TEST(test_binds),
		TEST(test_binds_refused),
		TEST(test_overlap),
		TEST(test_most_binds),
		TEST(test_backends),
		TEST(test_backends_refused),
		TEST(test_most_backends),
		TEST(test_sources),
		cmocka_unit_test(test_workers),
		TEST(test_access_log),
		TEST(test_user),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
