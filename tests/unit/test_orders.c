#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config_file.h"
#include "orders.h"
#include "pool.h"

#define LISTENER "listener \"l\" { bind = \"[::]:80\" pool = \"pq\" }\n"
#define OTHER	 "pool \"o\" { backend \"10.0.0.1:80\" {} }\n"
#define TWO                                                              \
	LISTENER OTHER "pool \"pq\" { backend \"10.0.0.1:80\" { weight " \
		       "= 20 } backend \"10.0.0.2:*\" {} }"
#define TURNED                                                                 \
	LISTENER "pool \"pq\" { backend \"10.0.0.2:*\" {} backend \"10.0.0.1:" \
		 "80\" { weight = 20 } }" OTHER
#define CHANGED                                                          \
	LISTENER OTHER "pool \"pq\" { backend \"10.0.0.1:80\" { weight " \
		       "= 30 } backend \"10.0.0.2:*\" {} }"
#define GONE LISTENER OTHER "pool \"pq\" { backend \"10.0.0.3:80\" {} }"
#define NAMED                                                                   \
	"listener \"l\" { bind = \"[::]:80\" pool = \"pq\" }\n" OTHER           \
	"pool \"pq\" { backend \"db.example:80\" { weight = 20 addresses = 2 }" \
	" balance = maglev }"

struct fixture {
	struct config *config;
	struct pool_state *state;
	struct drain_state *drains;
	struct orders *orders;
};

static void setup(struct fixture *f, const char *text)
{
	char error[CONFIG_ERROR_MAX];

	if (config_file_parse("x", text, strlen(text), &f->config, error) != 0)
		fail_msg("%s", error);
	f->state = pool_state_create(f->config, 1);
	assert_non_null(f->state);
	f->drains = drain_state_create(f->config->n_listeners, 1000);
	assert_non_null(f->drains);
	f->orders = orders_new(f->config, f->state, f->drains);
	assert_non_null(f->orders);
}

static void teardown(struct fixture *f)
{
	orders_free(f->orders);
	drain_state_destroy(f->drains);
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

/* What is left of the orders in the next image, with this configuration. */
static void go_on(struct fixture *f, const char *text)
{
	struct estate *estate = estate_new();

	assert_non_null(estate);
	assert_int_equal(orders_bequeath(f->orders, estate), 0);
	teardown(f);
	setup(f, text);
	assert_int_equal(orders_inherit(f->orders, estate), 0);
	estate_free(estate);
}

static void test_set_and_unset(void **state)
{
	struct fixture f;
	uint32_t before;

	(void)state;
	setup(&f, TWO);
	before = pool_state_generation(f.state, 1);
	assert_int_equal(pool_state_weight(f.state, 1, 0), 20);
	assert_int_equal(orders_set_weight(f.orders, 1, 0, 7), 0);
	assert_int_equal(pool_state_weight(f.state, 1, 0), 7);
	assert_int_equal(pool_state_weight(f.state, 0, 0), 100);
	assert_int_not_equal(pool_state_generation(f.state, 1), before);
	assert_int_equal(orders_set_weight(f.orders, 1, 0, 0), 0);
	assert_false(pool_state_serves(f.state, 1, 0));
	assert_int_equal(orders_unset_weight(f.orders, 1, 0), 0);
	assert_int_equal(orders_unset_weight(f.orders, 1, 1), 0);
	assert_true(pool_state_serves(f.state, 1, 0));
	assert_int_equal(pool_state_weight(f.state, 1, 0), 20);
	teardown(&f);
}

static void test_orders_go_on(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, TWO);
	assert_int_equal(orders_set_weight(f.orders, 1, 0, 7), 0);
	assert_int_equal(orders_set_weight(f.orders, 1, 1, 0), 0);
	go_on(&f, TURNED);
	assert_int_equal(pool_state_weight(f.state, 0, 1), 7);
	assert_int_equal(pool_state_weight(f.state, 0, 0), 0);
	assert_int_equal(pool_state_weight(f.state, 1, 0), 100);
	/* The configuration has changed its mind about the first. */
	go_on(&f, CHANGED);
	assert_int_equal(pool_state_weight(f.state, 1, 0), 30);
	assert_int_equal(pool_state_weight(f.state, 1, 1), 0);
	go_on(&f, GONE);
	go_on(&f, TWO);
	assert_int_equal(pool_state_weight(f.state, 1, 0), 20);
	assert_int_equal(pool_state_weight(f.state, 1, 1), 100);
	teardown(&f);
}

/* What it is about comes, goes, and comes back in another place. */
static void test_of_a_name(void **state)
{
	const struct sockaddr_any one = address("10.0.0.1:80"), two = address("10.0.0.2:80");
	struct fixture f;

	(void)state;
	setup(&f, NAMED);
	assert_int_equal(orders_set_weight(f.orders, 1, 0, 5), -ENOENT);
	pool_state_set_address(f.state, 1, 0, &one, true, 1);
	assert_int_equal(orders_set_weight(f.orders, 1, 0, 5), 0);
	pool_state_set_address(f.state, 1, 0, NULL, true, 2);
	pool_state_set_address(f.state, 1, 0, &two, true, 3);
	assert_int_equal(pool_state_weight(f.state, 1, 0), 20);
	pool_state_set_address(f.state, 1, 1, &one, true, 4);
	assert_int_equal(pool_state_weight(f.state, 1, 1), 5);
	go_on(&f, NAMED);
	assert_int_equal(pool_state_weight(f.state, 1, 0), 20);
	pool_state_set_address(f.state, 1, 0, &one, true, 1);
	assert_int_equal(pool_state_weight(f.state, 1, 0), 5);
	teardown(&f);
}

/* A drain, unlike a weight, is not what the configuration speaks of. */
static void test_drains_go_on(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, TWO);
	assert_int_equal(orders_drain_backend(f.orders, 1, 0, 12345), 0);
	assert_int_equal(orders_drain_backend(f.orders, 1, 1, DRAIN_NO_DEADLINE), 0);
	assert_int_equal(orders_set_weight(f.orders, 1, 0, 7), 0);
	orders_drain_listener(f.orders, 0, 54321, 5);
	assert_false(drain_state_refuses(f.drains, 0, 4));
	assert_false(pool_state_serves(f.state, 1, 0));
	go_on(&f, CHANGED);
	assert_true(pool_state_drained(f.state, 1, 0) == 12345);
	assert_true(pool_state_drained(f.state, 1, 1) == DRAIN_NO_DEADLINE);
	assert_true(pool_state_drained(f.state, 0, 0) == DRAIN_NONE);
	assert_true(drain_state_until(f.drains, 0) == 54321);
	assert_true(drain_state_refuses(f.drains, 0, 4));
	assert_int_equal(pool_state_weight(f.state, 1, 0), 30);
	assert_int_equal(orders_drain_backend(f.orders, 1, 0, DRAIN_NONE), 0);
	assert_true(pool_state_serves(f.state, 1, 0));
	orders_drain_listener(f.orders, 0, DRAIN_NONE, 0);
	assert_false(drain_state_refuses(f.drains, 0, 4));
	go_on(&f, GONE);
	go_on(&f, TWO);
	assert_true(pool_state_serves(f.state, 1, 0));
	assert_true(pool_state_serves(f.state, 1, 1));
	teardown(&f);
}

/* Its clients go elsewhere, and nobody else does. */
static void test_who_moves(void **state)
{
	static const char three[] =
		LISTENER "pool \"pq\" { balance = maglev backend \"10.0.0.1:80\" {}"
			 "backend \"10.0.0.2:80\" {} backend \"10.0.0.3:80\" {} }";
	struct sockaddr_any client = { .in6.sin6_family = AF_INET6 };
	const struct pool_request request = { .client = &client, .now_ms = 1 };
	size_t before[500];
	struct fixture f;
	struct pool pool;

	(void)state;
	setup(&f, three);
	assert_int_equal(pool_init(&pool, f.config, 0, f.state, 0), 0);
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 500; i++) {
			size_t picked;

			client.in6.sin6_addr.s6_addr32[3] = i;
			picked = pool_pick(&pool, &request);
			if (round == 0)
				before[i] = picked;
			else if (round == 1 && before[i] == 1)
				assert_int_not_equal(picked, 1);
			else
				assert_int_equal(picked, before[i]);
		}
		assert_int_equal(orders_drain_backend(f.orders, 0, 1,
					 round == 0 ? DRAIN_NO_DEADLINE : DRAIN_NONE),
			0);
	}
	pool_destroy(&pool);
	teardown(&f);
}

/* What another release or a damaged estate may say. */
static void test_strange_estates(void **state)
{
	static const char *const names[] = { "weight ", "weight  ", "weight pq", "weight pq 1",
		"weight x 10.0.0.1:80", "weight pq 10.0.0.1:81", "weight pq :0", "drain",
		"drain pq", "drain x 10.0.0.1:80", "drain-listener x" };
	struct estate *estate = estate_new();
	struct fixture f;

	(void)state;
	setup(&f, TWO);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(estate_add_number(estate, names[i], 20 << 16 | 3), 0);
	assert_int_equal(estate_add_number(estate, "weight pq 10.0.0.2:0", -1), 0);
	assert_int_equal(orders_inherit(f.orders, estate), 0);
	assert_int_equal(pool_state_weight(f.state, 1, 0), 20);
	assert_int_equal(pool_state_weight(f.state, 1, 1), 100);
	estate_free(estate);
	teardown(&f);
}

/* Two gateways with the same weights in force agree, whoever has given the weights. */
static void test_gateways_agree(void **state)
{
	static const char three[] =
		LISTENER "pool \"pq\" { balance = maglev backend \"10.0.0.1:80\" { weight = 9 }"
			 "backend \"10.0.0.2:80\" {} backend \"10.0.0.3:80\" {} }";
	static const char other[] =
		LISTENER "pool \"pq\" { balance = maglev backend \"10.0.0.3:80\" {}"
			 "backend \"10.0.0.2:80\" { weight = 0 }"
			 "backend \"10.0.0.1:80\" { weight = 30 } }";
	struct sockaddr_any client = { .in6.sin6_family = AF_INET6 };
	const struct pool_request request = { .client = &client, .now_ms = 1 };
	struct fixture a, b;
	struct pool of_a, of_b;
	unsigned picks[3] = { 0 };

	(void)state;
	setup(&a, three);
	setup(&b, other);
	assert_int_equal(pool_init(&of_a, a.config, 0, a.state, 0), 0);
	assert_int_equal(pool_init(&of_b, b.config, 0, b.state, 0), 0);
	assert_int_equal(orders_set_weight(a.orders, 0, 0, 30), 0);
	assert_int_equal(orders_set_weight(a.orders, 0, 1, 0), 0);
	for (unsigned i = 0; i < 2000; i++) {
		size_t picked;

		client.in6.sin6_addr.s6_addr32[3] = i;
		picked = pool_pick(&of_a, &request);
		assert_int_equal(pool_pick(&of_b, &request), 2 - picked);
		picks[picked]++;
	}
	assert_int_equal(picks[1], 0);
	assert_in_range(picks[0], 350, 570); /* 30 of 130 */
	pool_destroy(&of_a);
	pool_destroy(&of_b);
	teardown(&a);
	teardown(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_and_unset),
		cmocka_unit_test(test_orders_go_on),
		cmocka_unit_test(test_of_a_name),
		cmocka_unit_test(test_drains_go_on),
		cmocka_unit_test(test_who_moves),
		cmocka_unit_test(test_strange_estates),
		cmocka_unit_test(test_gateways_agree),
	};

	return cmocka_run_group_tests_name("orders", tests, NULL, NULL);
}
