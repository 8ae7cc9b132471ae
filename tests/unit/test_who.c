#include "unit.h"

#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "who.h"

#define ENTRIES 8U
#define FLOWS	4U
#define SECOND	UINT64_C(1000000)
#define NOW	(UINT64_C(1795497129) * SECOND)
#define KEEP	(600 * SECOND)
#define MAX	32U

struct fixture {
	struct config config;
	struct config_listener listeners[2];
	struct stats *stats;
	struct who *who;
	struct who_writer writer;
};

static struct sockaddr_any ipv4(uint32_t host, uint16_t port)
{
	return (struct sockaddr_any){
		.in = { .sin_family = AF_INET,
			.sin_port = htons(port),
			.sin_addr.s_addr = htonl(0x0a000000U + host) },
	};
}

static struct sockaddr_any ipv6(uint32_t host, uint16_t port)
{
	struct sockaddr_any addr = {
		.in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) },
	};

	memcpy(&addr.in6.sin6_addr, &host, sizeof(host));
	return addr;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	f->listeners[0].name = (char[]){ "tcp" };
	f->listeners[0].protocol = IPPROTO_TCP;
	f->listeners[1].protocol = IPPROTO_UDP;
	f->config = (struct config){
		.who = { .keep_ms = (uint32_t)(KEEP / 1000), .entries = ENTRIES },
		.max_flows = FLOWS,
		.listeners = f->listeners,
		.n_listeners = 2,
	};
	f->stats = stats_create(2);
	f->who = who_create(&f->config, 2);
	*state = f;
	return !f->stats || !f->who || who_writer_init(&f->writer, f->who, 1, &f->stats[1]) < 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	who_writer_destroy(&f->writer);
	who_destroy(f->who);
	stats_destroy(f->stats, 2);
	free(f);
	return 0;
}

/* A flow from port that began at us and is entered at now; who the client is follows from n. */
static uint32_t begin_late(
	struct fixture *f, size_t listener, uint16_t port, uint32_t n, uint64_t us, uint64_t now)
{
	const struct who_entry entry = {
		.listener = &f->listeners[listener],
		.client = ipv6(n, 40000),
		.local = ipv6(1, 80),
		.source = ipv4(1, port),
		.backend = ipv4(100 + n, 8080),
		.began_us = us,
		.unique_id = "id",
		.unique_id_len = 2,
	};

	return who_begin(&f->writer, &entry, now);
}

static uint32_t begin(struct fixture *f, size_t listener, uint16_t port, uint32_t n, uint64_t us)
{
	return begin_late(f, listener, port, n, us, us);
}

static struct who_query query_of(uint16_t port, uint64_t now_us)
{
	return (struct who_query){ .source = ipv4(1, port), .now_us = now_us };
}

static size_t count(const struct fixture *f, uint16_t port, uint64_t now_us)
{
	const struct who_query query = query_of(port, now_us);
	struct who_entry entries[MAX];

	return who_find(f->who, &query, entries, MAX);
}

static void test_live_and_ended(void **state)
{
	struct fixture *f = *state;
	struct who_query query = query_of(1000, NOW + SECOND);
	struct sockaddr_any client = ipv6(7, 40000), local = ipv6(1, 80), source = ipv4(1, 1000),
			    backend = ipv4(107, 8080);
	struct who_entry entry;
	uint32_t slot = begin(f, 0, 1000, 7, NOW);

	assert_int_not_equal(slot, 0);
	assert_int_equal(who_find(f->who, &query, &entry, 1), 1);
	assert_true(sockaddr_equal(&entry.client, &client));
	assert_true(sockaddr_equal(&entry.local, &local));
	assert_true(sockaddr_equal(&entry.source, &source));
	assert_true(sockaddr_equal(&entry.backend, &backend));
	assert_ptr_equal(entry.listener, &f->listeners[0]);
	assert_int_equal(entry.began_us, NOW);
	assert_int_equal(entry.ended_us, 0);

	who_end(&f->writer, slot, NOW + 5 * SECOND);
	query.now_us = NOW + 6 * SECOND;
	assert_int_equal(entry.unique_id_len, 2);
	assert_memory_equal(entry.unique_id, "id", 2);
	assert_int_equal(who_find(f->who, &query, &entry, 1), 1);
	assert_int_equal(entry.ended_us, NOW + 5 * SECOND);

	assert_int_equal(count(f, 1000, NOW + 5 * SECOND + KEEP), 1);
	assert_int_equal(count(f, 1000, NOW + 5 * SECOND + KEEP + 1), 0);
	assert_int_equal(count(f, 1001, NOW + 6 * SECOND), 0);
}

/* A live flow is known for as long as it lives. */
static void test_long_life(void **state)
{
	struct fixture *f = *state;

	begin(f, 0, 1000, 7, NOW);
	assert_int_equal(count(f, 1000, NOW + 100 * KEEP), 1);
}

static void test_filters(void **state)
{
	struct fixture *f = *state;
	struct who_query query = query_of(1000, NOW);
	struct who_entry entries[MAX];

	begin(f, 0, 1000, 1, NOW);
	begin(f, 1, 1000, 2, NOW + 1);
	assert_int_equal(who_find(f->who, &query, entries, MAX), 2);
	query.protocol = IPPROTO_UDP;
	assert_int_equal(who_find(f->who, &query, entries, MAX), 1);
	assert_ptr_equal(entries[0].listener, &f->listeners[1]);
	query.protocol = 0;
	query.backend = ipv4(101, 8080);
	assert_int_equal(who_find(f->who, &query, entries, MAX), 1);
	assert_ptr_equal(entries[0].listener, &f->listeners[0]);
	query.backend = ipv4(102, 0);
	assert_int_equal(who_find(f->who, &query, entries, MAX), 1);
	query.backend = ipv4(102, 8081);
	assert_int_equal(who_find(f->who, &query, entries, MAX), 0);
	query = query_of(1000, NOW);
	query.source = ipv4(2, 1000);
	assert_int_equal(who_find(f->who, &query, entries, MAX), 0);
}

/* One port, several clients one after the other: the latest first, and each by its time. */
static void test_same_port(void **state)
{
	struct fixture *f = *state;
	struct who_query query = query_of(1000, NOW + 100 * SECOND);
	struct who_entry entries[MAX];

	for (uint32_t n = 0; n < 3; n++) {
		uint64_t us = NOW + n * 10 * SECOND;

		who_end(&f->writer, begin(f, 0, 1000, n, us), us + 5 * SECOND);
	}
	assert_int_equal(who_find(f->who, &query, entries, MAX), 3);
	assert_int_equal(entries[0].began_us, NOW + 20 * SECOND);
	assert_int_equal(entries[1].began_us, NOW + 10 * SECOND);
	assert_int_equal(entries[2].began_us, NOW);
	assert_int_equal(who_find(f->who, &query, entries, 2), 3);
	assert_int_equal(entries[0].began_us, NOW + 20 * SECOND);
	assert_int_equal(entries[1].began_us, NOW + 10 * SECOND);

	for (uint32_t n = 0; n < 3; n++) {
		query.from_us = NOW + n * 10 * SECOND + 5 * SECOND;
		query.to_us = query.from_us + SECOND - 1;
		assert_int_equal(who_find(f->who, &query, entries, MAX), 1);
		assert_int_equal(entries[0].began_us, NOW + n * 10 * SECOND);
		query.from_us++;
		assert_int_equal(who_find(f->who, &query, entries, MAX), 0);
	}
	query.from_us = query.to_us = NOW - 1;
	assert_int_equal(who_find(f->who, &query, entries, MAX), 0);
	query.to_us = NOW;
	assert_int_equal(who_find(f->who, &query, entries, MAX), 1);
}

static uint64_t counter(const struct fixture *f, enum stats_counter which)
{
	return stats_sum(f->stats, 2, which);
}

/* So many that have ended are kept; the oldest goes first, and is counted if it was young. */
static void test_overwritten(void **state)
{
	struct fixture *f = *state;

	for (uint16_t n = 0; n < ENTRIES; n++)
		who_end(&f->writer, begin(f, 0, (uint16_t)(1000 + n), n, NOW), NOW + n);
	begin(f, 0, 2000, 1, NOW + SECOND);
	assert_int_equal(counter(f, STATS_WHO_OVERWRITTEN), 1);
	assert_int_equal(count(f, 1000, NOW + SECOND), 0);
	assert_int_equal(count(f, 1001, NOW + SECOND), 1);
	assert_int_equal(count(f, 2000, NOW + SECOND), 1);
	/* One fewer has ended, so that there is room for one. */
	begin(f, 0, 2001, 1, NOW + SECOND);
	assert_int_equal(counter(f, STATS_WHO_OVERWRITTEN), 1);
	assert_int_equal(count(f, 1001, NOW + SECOND), 1);
}

/* A flow that was handed over began long before what it displaces ended: that is no sign of haste.
 */
static void test_displaced_by_an_old_flow(void **state)
{
	struct fixture *f = *state;

	for (uint16_t n = 0; n < ENTRIES; n++)
		who_end(&f->writer, begin(f, 0, (uint16_t)(1000 + n), n, NOW), NOW + n);
	begin_late(f, 0, 2000, 1, NOW - SECOND, NOW + KEEP);
	assert_int_equal(counter(f, STATS_WHO_OVERWRITTEN), 0);
	assert_int_equal(count(f, 2000, NOW + KEEP), 1);
}

static void test_old_ones_are_not_missed(void **state)
{
	struct fixture *f = *state;

	for (uint16_t n = 0; n < ENTRIES; n++)
		who_end(&f->writer, begin(f, 0, (uint16_t)(1000 + n), n, NOW), NOW);
	begin(f, 0, 2000, 1, NOW + KEEP);
	assert_int_equal(counter(f, STATS_WHO_OVERWRITTEN), 0);
	begin(f, 0, 2001, 1, NOW + KEEP);
	assert_int_equal(count(f, 2000, NOW + KEEP), 1);
	assert_int_equal(count(f, 2001, NOW + KEEP), 1);
}

static void test_all_live(void **state)
{
	struct fixture *f = *state;

	for (uint16_t n = 0; n < ENTRIES + FLOWS; n++)
		assert_int_not_equal(begin(f, 0, (uint16_t)(1000 + n), n, NOW), 0);
	assert_int_equal(begin(f, 0, 2000, 1, NOW), 0);
	assert_int_equal(counter(f, STATS_WHO_UNTRACKED), 1);
	who_end(&f->writer, 0, NOW);
	assert_int_equal(count(f, 1000, NOW), 1);
	assert_int_equal(count(f, 2000, NOW), 0);
}

static void restart(struct fixture *f)
{
	who_writer_destroy(&f->writer);
	assert_int_equal(who_writer_init(&f->writer, f->who, 1, &f->stats[1]), 0);
}

/* A dead worker's flows have ended; its successor forgets the oldest first, as it would have. */
static void test_succession(void **state)
{
	struct fixture *f = *state;
	struct who_query query = query_of(1000, NOW + 2 * SECOND);
	struct who_entry entry;
	uint32_t first, second;

	first = begin(f, 0, 1001, 1, NOW);
	second = begin(f, 0, 1002, 2, NOW);
	begin(f, 0, 1000, 3, NOW);
	who_end(&f->writer, second, NOW + 1);
	who_end(&f->writer, first, NOW + 2);
	who_bury(f->who, 1, NOW + SECOND);
	who_bury(f->who, 0, NOW + 2 * SECOND);
	restart(f);
	assert_int_equal(who_find(f->who, &query, &entry, 1), 1);
	assert_int_equal(entry.ended_us, NOW + SECOND);
	for (uint16_t n = 3; n < ENTRIES; n++)
		who_end(&f->writer, begin(f, 0, (uint16_t)(1000 + n), n, NOW), NOW + 2 * SECOND);
	begin(f, 0, 2000, 4, NOW + 2 * SECOND);
	assert_int_equal(count(f, 1002, NOW + 2 * SECOND), 0);
	assert_int_equal(count(f, 1001, NOW + 2 * SECOND), 1);
	assert_int_equal(count(f, 1000, NOW + 2 * SECOND), 1);
	assert_int_equal(counter(f, STATS_WHO_OVERWRITTEN), 1);
}

/* Never ends: flows one after the other, each telling the same number in all its parts. */
static void write_always(struct fixture *f)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (uint32_t n = 1;; n = n % 3 + 1) {
		uint32_t slot = begin(f, 0, (uint16_t)(1000 + n % 2), n, NOW + n);

		if (n % 2)
			who_end(&f->writer, slot, NOW + n);
		else
			who_end(&f->writer, slot, NOW + n + 1);
	}
}

static void check_whole(const struct fixture *f)
{
	struct who_query query = query_of(1000, NOW);
	struct who_entry entries[MAX];
	size_t n;

	for (uint16_t port = 1000; port < 1002; port++) {
		query.source = ipv4(1, port);
		n = who_find(f->who, &query, entries, MAX);
		for (size_t i = 0; i < n && i < MAX; i++) {
			uint32_t number = (uint32_t)(entries[i].began_us - NOW);
			struct sockaddr_any client = ipv6(number, 40000);
			struct sockaddr_any backend = ipv4(100 + number, 8080);

			assert_in_range(number, 1, 3);
			assert_int_equal(1000 + number % 2, port);
			assert_true(sockaddr_equal(&entries[i].client, &client));
			assert_true(sockaddr_equal(&entries[i].backend, &backend));
		}
	}
}

/* A reader never sees half of a flow: not of a writer that goes on, nor of one that was killed. */
static void test_killed_in_the_middle(void **state)
{
	struct fixture *f = *state;
	struct who_entry entries[MAX];

	for (int round = 0; round < 50; round++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			write_always(f);
		while (count(f, 1000, NOW) == 0 || count(f, 1001, NOW) == 0)
			sched_yield();
		for (int i = 0; i < 1000; i++)
			check_whole(f);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		who_bury(f->who, 1, NOW + SECOND);
		restart(f);
		check_whole(f);
		for (uint16_t port = 1000; port < 1002; port++) {
			const struct who_query query = query_of(port, NOW);
			size_t n = who_find(f->who, &query, entries, MAX);

			for (size_t i = 0; i < n; i++)
				assert_int_not_equal(entries[i].ended_us, 0);
		}
	}
}

static void test_off(void **state)
{
	struct fixture *f = *state;
	struct config config = { .listeners = f->listeners, .n_listeners = 2 };
	const struct who_entry entry = { .listener = &f->listeners[0] };
	struct who_writer writer;

	assert_null(who_create(&config, 1));
	assert_int_equal(who_writer_init(&writer, NULL, 0, f->stats), 0);
	assert_int_equal(who_begin(&writer, &entry, 0), 0);
	who_end(&writer, 0, NOW);
	who_writer_destroy(&writer);
	who_bury(NULL, 0, NOW);
	who_destroy(NULL);
}

/* The one that was found, and no other that has its slot later. */
static void test_doom(void **state)
{
	struct fixture *f = *state;
	struct who_filter filter = { .to_us = UINT64_MAX, .source = ipv4(1, 1001) };
	struct who_entry entry;
	uint32_t slots[2], again;

	for (uint32_t i = 0; i < 2; i++)
		slots[i] = begin(f, 0, (uint16_t)(1000 + i), i, NOW + i);
	assert_int_equal(who_list(f->who, &filter, &entry, 1), 1);
	assert_int_equal(sockaddr_port(&entry.source), 1001);
	assert_false(who_is_doomed(&f->writer, slots[1]));
	assert_true(who_doom(f->who, &entry));
	assert_true(who_is_doomed(&f->writer, slots[1]));
	assert_false(who_is_doomed(&f->writer, slots[0]));
	assert_false(who_is_doomed(&f->writer, 0));
	who_end(&f->writer, slots[1], NOW + SECOND);
	assert_false(who_doom(f->who, &entry));
	for (uint32_t i = 1; i < ENTRIES; i++)
		who_end(&f->writer, begin(f, 0, 2000, 1, NOW + KEEP), NOW + KEEP);
	again = begin(f, 0, 1001, 1, NOW + 2 * KEEP);
	assert_int_equal(again, slots[1]);
	assert_false(who_is_doomed(&f->writer, again));
	assert_false(who_doom(f->who, &entry));
	assert_false(who_is_doomed(&f->writer, again));
}

/* Memory is asked for many slots at a time: nothing of them, or of a neighbour's, is lost by it. */
static void test_many_fresh_slots(void **state)
{
	const uint32_t entries = 600;
	struct fixture *f = *state;
	struct who_writer writers[2];
	struct who_entry found;

	f->config.who.entries = entries;
	who_writer_destroy(&f->writer);
	who_destroy(f->who);
	f->who = who_create(&f->config, 2);
	assert_non_null(f->who);
	for (size_t w = 0; w < 2; w++)
		assert_int_equal(who_writer_init(&writers[w], f->who, w, &f->stats[w]), 0);
	for (uint32_t i = 0; i < 2 * entries; i++) {
		f->writer = writers[i % 2];
		who_end(&f->writer, begin(f, 0, (uint16_t)(1000 + i), i, NOW), NOW + 1);
		writers[i % 2] = f->writer;
	}
	for (uint32_t i = 0; i < 2 * entries; i++) {
		const struct who_query query = query_of((uint16_t)(1000 + i), NOW);
		struct sockaddr_any client = ipv6(i, 40000);

		assert_int_equal(who_find(f->who, &query, &found, 1), 1);
		assert_true(sockaddr_equal(&found.client, &client));
		assert_int_equal(found.worker, i % 2);
		assert_int_equal(found.unique_id_len, 2);
		assert_memory_equal(found.unique_id, "id", 2);
	}
	assert_int_equal(f->stats[0].value[STATS_WHO_OVERWRITTEN], 0);
	who_writer_destroy(&writers[0]);
	f->writer = writers[1]; /* which is torn down */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* Live ones alone, the latest first; of many, the latest. */
static void test_list(void **state)
{
	struct fixture *f = *state;
	struct who_filter filter = { .to_us = UINT64_MAX };
	struct who_entry entries[MAX];
	uint32_t slots[6];

	/* Not in the order of their times. */
	for (uint32_t i = 0; i < 6; i++)
		slots[i] = begin(f, i % 2, (uint16_t)(1000 + i), i, NOW + (i * 5 % 6) * SECOND);
	assert_int_equal(who_list(f->who, &filter, entries, MAX), 6);
	for (size_t i = 0; i < 6; i++)
		assert_true(entries[i].began_us == NOW + (5 - i) * SECOND);
	assert_int_equal(entries[0].worker, 1);
	for (size_t max = 0; max < 6; max++) {
		assert_int_equal(who_list(f->who, &filter, entries, max), 6);
		for (size_t i = 0; i < max; i++)
			assert_true(entries[i].began_us == NOW + (5 - i) * SECOND);
	}
	who_end(&f->writer, slots[1], NOW + 10 * SECOND); /* the latest */
	assert_int_equal(who_list(f->who, &filter, entries, MAX), 5);
	assert_true(entries[0].began_us == NOW + 4 * SECOND);
}

static size_t count_listed(const struct fixture *f, const struct who_filter *filter)
{
	struct who_entry entries[MAX];

	return who_list(f->who, filter, entries, MAX);
}

static void test_list_filter(void **state)
{
	struct fixture *f = *state;
	struct who_filter all = { .to_us = UINT64_MAX }, filter = all;

	begin(f, 0, 1000, 1, NOW);
	begin(f, 1, 1001, 2, NOW + SECOND);
	begin(f, 1, 1002, 3, NOW + 2 * SECOND);
	filter.listener = &f->listeners[1];
	assert_int_equal(count_listed(f, &filter), 2);
	filter = all;
	filter.protocol = IPPROTO_TCP;
	assert_int_equal(count_listed(f, &filter), 1);
	filter = all;
	filter.backend = ipv4(102, 0);
	assert_int_equal(count_listed(f, &filter), 1);
	filter.backend = ipv4(102, 8081);
	assert_int_equal(count_listed(f, &filter), 0);
	filter = all;
	filter.from_us = NOW + 1;
	filter.to_us = NOW + SECOND;
	assert_int_equal(count_listed(f, &filter), 1);
	filter = all;
	filter.client = (struct prefix){ .addr = ipv6(3, 0), .len = 128 };
	assert_int_equal(count_listed(f, &filter), 1);
	/* What tells the fixture's clients apart are the lower bits of the first byte. */
	filter.client.len = 6;
	assert_int_equal(count_listed(f, &filter), 3);
	filter.client = (struct prefix){ .addr = ipv4(1, 0), .len = 0 };
	assert_int_equal(count_listed(f, &filter), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_live_and_ended),
		TEST(test_many_fresh_slots),
		TEST(test_long_life),
		TEST(test_filters),
		TEST(test_same_port),
		TEST(test_overwritten),
		TEST(test_displaced_by_an_old_flow),
		TEST(test_old_ones_are_not_missed),
		TEST(test_all_live),
		TEST(test_succession),
		TEST(test_killed_in_the_middle),
		TEST(test_list),
		TEST(test_list_filter),
		TEST(test_doom),
		TEST(test_off),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("who", tests, NULL, NULL);
}
