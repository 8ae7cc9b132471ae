#include "unit.h"

#include <errno.h>
#include <string.h>

#include "config_file.h"
#include "hold_map.h"

#define POOL "pool p { backend \"192.0.2.10:80\" {} }\n"
#define HOLD "pool = p accept = after-backend"

static struct config *parsed(const char *text)
{
	char error[CONFIG_ERROR_MAX];
	struct config *config = NULL;

	if (config_file_parse("t", text, strlen(text), &config, error) != 0)
		fail_msg("%s\nrefused: %s", text, error);
	return config;
}

/* The name of the listener that holds clients of the address; NULL: none does. */
static const char *held_by(const struct hold_map *map, const char *local)
{
	struct sockaddr_any addr;
	const char *reason;
	size_t bind = 0;

	assert_int_equal(sockaddr_parse(local, &addr, &reason), 0);
	if (hold_map_find(map, &addr, &bind) < 0)
		return NULL;
	assert_true(bind < map->n_binds);
	return map->binds[bind].listener->name;
}

static void test_narrowest_wins(void **state)
{
	struct config *config = parsed(POOL
		"listener all { bind = \"*:80\" " HOLD " }\n"
		"listener one { bind = \"[2001:db8::1]:80\" pool = p }\n"
		"listener two { bind = { \"[2001:db8::2]:80\", \"[2001:db8::2]:81\" } " HOLD " }\n"
		"listener net { bind = \"[2001:db8:1::/64]:70-90\" pool = p }\n"
		"listener far { bind = \"[::]:443\" pool = p }\n"
		"listener dns { bind = \"[::]:80\" protocol = udp pool = p }\n");
	struct hold_map map;

	(void)state;
	assert_true(hold_map_wanted(config));
	assert_int_equal(hold_map_init(&map, config), 0);
	assert_int_equal(map.n_binds, 6); /* not those of the last two */
	assert_string_equal(held_by(&map, "[2001:db8:2::1]:80"), "all");
	assert_string_equal(held_by(&map, "192.0.2.1:80"), "all");
	assert_null(held_by(&map, "[2001:db8::1]:80"));
	assert_string_equal(held_by(&map, "[2001:db8::2]:80"), "two");
	assert_string_equal(held_by(&map, "[2001:db8::2]:81"), "two");
	assert_null(held_by(&map, "[2001:db8:1::9]:80"));
	assert_null(held_by(&map, "[2001:db8:2::1]:443"));
	assert_null(held_by(&map, "192.0.2.1:81"));
	hold_map_destroy(&map);
	hold_map_destroy(&map);
	config_free(config);
}

static void test_ipv4_clients_of_an_ipv6_socket(void **state)
{
	struct config *both =
		parsed(POOL "listener l { bind = \"[::]:80\" v6only = no " HOLD " }\n");
	struct config *six = parsed(POOL "listener l { bind = \"[::]:80\" " HOLD " }\n");
	struct hold_map map;

	(void)state;
	assert_int_equal(hold_map_init(&map, both), 0);
	assert_string_equal(held_by(&map, "192.0.2.1:80"), "l");
	assert_null(held_by(&map, "192.0.2.1:81"));
	hold_map_destroy(&map);
	assert_int_equal(hold_map_init(&map, six), 0);
	assert_null(held_by(&map, "192.0.2.1:80"));
	hold_map_destroy(&map);
	config_free(both);
	config_free(six);
}

static void test_nobody_is_held(void **state)
{
	struct config *config = parsed(POOL "listener l { bind = \"[::]:80\" pool = p }\n");
	struct hold_map map;

	(void)state;
	assert_false(hold_map_wanted(config));
	assert_int_equal(hold_map_init(&map, config), 0);
	assert_int_equal(map.n_binds, 0);
	assert_null(held_by(&map, "[2001:db8::1]:80"));
	hold_map_destroy(&map);
	config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_narrowest_wins),
		cmocka_unit_test(test_ipv4_clients_of_an_ipv6_socket),
		cmocka_unit_test(test_nobody_is_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
