#include "unit.h"

#include <string.h>

#include "measures.h"

#define WORKERS 2U

struct fixture {
	struct config_listener listeners[2];
	struct config_backend backends[3];
	struct config_pool pools[2];
	struct config config;
	struct measures *measures;
	struct measures_writer writers[WORKERS];
};

static struct sockaddr_any backend(uint8_t last)
{
	return (struct sockaddr_any){
		.in = { .sin_family = AF_INET,
			.sin_port = htons(80),
			.sin_addr.s_addr = htonl(0xc0000200U + last) },
	};
}

static void make(struct fixture *fixture)
{
	fixture->config.listeners = fixture->listeners;
	fixture->config.n_listeners = 2;
	fixture->config.pools = fixture->pools;
	fixture->config.n_pools = 2;
	fixture->measures = measures_create(&fixture->config, WORKERS);
	assert_non_null(fixture->measures);
	for (size_t i = 0; i < WORKERS; i++)
		measures_writer_init(&fixture->writers[i], fixture->measures, i);
}

static void set_up(struct fixture *fixture)
{
	*fixture = (struct fixture){ 0 };
	fixture->listeners[0].name = (char *)"web";
	fixture->listeners[1].name = (char *)"mail";
	for (uint8_t i = 0; i < 3; i++)
		fixture->backends[i].addr = backend((uint8_t)(i + 1));
	fixture->pools[0] = (struct config_pool){
		.name = (char *)"one", .backends = fixture->backends, .n_backends = 2
	};
	fixture->pools[1] = (struct config_pool){
		.name = (char *)"two", .backends = &fixture->backends[2], .n_backends = 1
	};
	make(fixture);
}

static void serve(const struct measures_writer *writer, const struct config_listener *listener,
	uint64_t connect_us, uint64_t duration_us)
{
	measures_accepted(writer, listener);
	measures_begun(writer, listener);
	measures_connected(writer, listener, connect_us);
	measures_moved(writer, listener, 1, 5);
	measures_moved(writer, listener, 2, 0);
	measures_ended(writer, listener, STATS_ENDED_RESET, duration_us);
	measures_left(writer, listener);
}

static void test_sums_of_workers(void **state)
{
	struct measures_listener sum;
	struct fixture f;

	(void)state;
	set_up(&f);
	serve(&f.writers[0], &f.listeners[1], 500, 10000);
	serve(&f.writers[1], &f.listeners[1], 501, 10001);
	serve(&f.writers[1], &f.listeners[1], UINT64_C(99000000), UINT64_C(86400000001));
	measures_begun(&f.writers[0], &f.listeners[1]);
	measures_sum_listener(f.measures, 1, &sum);
	assert_int_equal(sum.accepted, 3);
	assert_int_equal(sum.bytes_in, 9);
	assert_int_equal(sum.bytes_out, 15);
	assert_int_equal(sum.live, 1);
	assert_int_equal(sum.ended[STATS_ENDED_RESET - STATS_ENDED_CLOSED], 3);
	assert_int_equal(sum.ended[0], 0);
	assert_int_equal(sum.connect.counts[0], 1); /* a time at a bound is below it */
	assert_int_equal(sum.connect.counts[1], 1);
	assert_int_equal(sum.connect.counts[MEASURES_BUCKETS - 1], 1);
	assert_int_equal(sum.connect.sum_us, 99001001);
	assert_int_equal(sum.duration.counts[0], 1);
	assert_int_equal(sum.duration.counts[1], 1);
	assert_int_equal(sum.duration.counts[MEASURES_BUCKETS - 1], 1);
	measures_sum_listener(f.measures, 0, &sum);
	assert_int_equal(sum.accepted, 0);
	measures_destroy(f.measures);
}

static void test_successor_of_a_worker(void **state)
{
	struct measures_listener sum;
	struct fixture f;

	(void)state;
	set_up(&f);
	serve(&f.writers[0], &f.listeners[0], 1, 1);
	measures_begun(&f.writers[0], &f.listeners[0]);
	measures_begun(&f.writers[1], &f.listeners[0]);
	measures_writer_init(&f.writers[0], f.measures, 0);
	measures_sum_listener(f.measures, 0, &sum);
	assert_int_equal(sum.live, 1);
	assert_int_equal(sum.accepted, 1);
	measures_destroy(f.measures);
}

static void test_backends(void **state)
{
	struct measures_backend sum;
	struct fixture f;

	(void)state;
	set_up(&f);
	measures_backend(&f.writers[0], 2, true);
	measures_backend(&f.writers[1], 2, true);
	measures_backend(&f.writers[1], 2, false);
	measures_sum_backend(f.measures, 1, 0, &sum);
	assert_int_equal(sum.connects, 2);
	assert_int_equal(sum.connect_failures, 1);
	measures_sum_backend(f.measures, 0, 1, &sum);
	assert_int_equal(sum.connects, 0);
	measures_destroy(f.measures);
}

/* The next image has the same listeners in another order, and a pool without its first backend. */
static void test_next_image(void **state)
{
	struct estate *estate = estate_new();
	struct measures_listener before, after;
	struct measures_backend backend_after;
	struct config_backend moved;
	struct fixture f;

	(void)state;
	assert_non_null(estate);
	set_up(&f);
	serve(&f.writers[0], &f.listeners[0], 700, 20000);
	serve(&f.writers[1], &f.listeners[0], 20000000, 20000);
	measures_begun(&f.writers[1], &f.listeners[0]);
	measures_backend(&f.writers[0], 1, true);
	measures_backend(&f.writers[0], 0, false);
	measures_sum_listener(f.measures, 0, &before);
	assert_int_equal(measures_bequeath(f.measures, estate), 0);
	measures_destroy(f.measures);

	f.listeners[0].name = (char *)"mail";
	f.listeners[1].name = (char *)"web";
	moved = f.backends[1];
	f.backends[0] = moved;
	f.pools[0].n_backends = 1;
	make(&f);
	measures_inherit(f.measures, estate);
	measures_sum_listener(f.measures, 1, &after);
	assert_int_equal(before.live, 1);
	before.live = 0; /* those are counted by who goes on with them */
	assert_memory_equal(&before, &after, sizeof(before));
	measures_sum_listener(f.measures, 0, &after);
	assert_int_equal(after.accepted, 0);
	measures_sum_backend(f.measures, 0, 0, &backend_after);
	assert_int_equal(backend_after.connects, 1);
	assert_int_equal(backend_after.connect_failures, 0);
	measures_destroy(f.measures);
	estate_free(estate);
}

static void test_nothing_to_write_to(void **state)
{
	const struct config_listener listener = { 0 };
	struct measures_writer writer;

	(void)state;
	measures_writer_init(&writer, NULL, 0);
	serve(&writer, &listener, 1, 1);
	measures_backend(&writer, 0, true);
	assert_null(writer.listeners);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums_of_workers),
		cmocka_unit_test(test_successor_of_a_worker),
		cmocka_unit_test(test_backends),
		cmocka_unit_test(test_next_image),
		cmocka_unit_test(test_nothing_to_write_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
