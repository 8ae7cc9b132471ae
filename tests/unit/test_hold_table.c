#include "unit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "hold_table.h"

static struct sockaddr_any address(const char *text, uint16_t port)
{
	struct sockaddr_any addr;
	const char *reason;

	assert_int_equal(sockaddr_parse_host(text, &addr, &reason), 0);
	sockaddr_set_port(&addr, port);
	return addr;
}

/* The nth client of the prefix, each of another port. */
static struct sockaddr_any client_of(const char *prefix, unsigned n)
{
	struct sockaddr_any addr = address(prefix, (uint16_t)(1024 + n % 60000));

	addr.in6.sin6_addr.s6_addr[14] = (uint8_t)(n >> 8);
	addr.in6.sin6_addr.s6_addr[15] = (uint8_t)n;
	return addr;
}

static struct hold_entry *add(struct hold_table *table, struct sockaddr_any client)
{
	struct sockaddr_any local = address("2001:db8:80::1", 80);
	struct hold_entry *entry = NULL;

	if (sockaddr_family(&client) == AF_INET)
		local = address("203.0.113.80", 80);
	return hold_table_add(table, &client, &local, &entry) == HOLD_ROOM ? entry : NULL;
}

static void test_found_by_ends_and_id(void **state)
{
	struct sockaddr_any local = address("2001:db8:80::1", 80), other = local;
	struct sockaddr_any client = client_of("2001:db8:1::", 1), near = client;
	struct hold_table table;
	struct hold_entry *entry;
	uint32_t id;

	(void)state;
	assert_int_equal(hold_table_init(&table, 4, 0), 0);
	entry = add(&table, client);
	assert_non_null(entry);
	assert_int_equal(entry->state, HOLD_PENDING);
	id = entry->id;
	assert_ptr_equal(hold_table_find(&table, &client, &local), entry);
	assert_ptr_equal(hold_table_by_id(&table, id), entry);
	sockaddr_set_port(&near, 9);
	assert_null(hold_table_find(&table, &near, &local));
	sockaddr_set_port(&other, 81);
	assert_null(hold_table_find(&table, &client, &other));
	hold_table_remove(&table, entry);
	assert_null(hold_table_find(&table, &client, &local));
	assert_null(hold_table_by_id(&table, id));
	hold_table_destroy(&table);
}

/* An answer that comes late is for nobody, though its place has another client by then. */
static void test_ids_of_a_place_differ(void **state)
{
	struct hold_table table;
	uint32_t before = 0;

	(void)state;
	assert_int_equal(hold_table_init(&table, 1, 0), 0);
	for (unsigned i = 0; i < 70000; i++) {
		struct hold_entry *entry = add(&table, client_of("2001:db8:1::", i));

		assert_non_null(entry);
		if (i > 0) {
			assert_int_not_equal(entry->id, before);
			assert_null(hold_table_by_id(&table, before));
		}
		before = entry->id;
		hold_table_remove(&table, entry);
	}
	assert_null(hold_table_by_id(&table, 1)); /* a place that there is not */
	assert_null(hold_table_by_id(&table, UINT32_MAX));
	hold_table_destroy(&table);
}

static void test_bound_in_all(void **state)
{
	struct hold_entry *entries[100];
	struct hold_table table;

	(void)state;
	assert_int_equal(hold_table_init(&table, 100, 0), 0);
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 100; i++) {
			entries[i] = add(&table, client_of("2001:db8:1::", i));
			assert_non_null(entries[i]);
		}
		assert_null(add(&table, client_of("2001:db8:2::", 1)));
		assert_int_equal(table.n, 100);
		for (unsigned i = 0; i < 100; i++)
			hold_table_remove(&table, entries[(i * 37) % 100]);
		assert_int_equal(table.n, 0);
	}
	hold_table_destroy(&table);
}

static void test_bound_of_a_client(void **state)
{
	struct sockaddr_any v4 = address("198.51.100.10", 1000);
	struct hold_entry *entries[3], *one;
	struct hold_table table;

	(void)state;
	assert_int_equal(hold_table_init(&table, 100, 3), 0);
	/* From anywhere in its /64. */
	for (unsigned i = 0; i < 3; i++)
		entries[i] = add(&table, client_of("2001:db8:1:0:ffff::", i));
	for (unsigned i = 0; i < 3; i++)
		assert_non_null(entries[i]);
	assert_null(add(&table, client_of("2001:db8:1::", 900)));
	assert_int_equal(table.n, 3);
	one = add(&table, client_of("2001:db8:1:1::", 1)); /* another client */
	assert_non_null(one);
	hold_table_remove(&table, entries[1]);
	entries[1] = add(&table, client_of("2001:db8:1::", 900));
	assert_non_null(entries[1]);
	assert_null(add(&table, client_of("2001:db8:1::", 901)));
	for (uint16_t i = 0; i < 3; i++) {
		sockaddr_set_port(&v4, (uint16_t)(1000 + i));
		assert_non_null(add(&table, v4));
	}
	sockaddr_set_port(&v4, 1003);
	assert_null(add(&table, v4));
	v4.in.sin_addr.s_addr = htonl(ntohl(v4.in.sin_addr.s_addr) + 1);
	assert_non_null(add(&table, v4));
	hold_table_destroy(&table);
}

/* Its SYN may have been sent twice, and one of them be late. */
static void test_who_was_let_in_lately(void **state)
{
	struct sockaddr_any local = address("2001:db8:80::1", 80);
	struct sockaddr_any client = client_of("2001:db8:1::", 1), other = client;
	struct hold_table table;
	struct hold_entry *entry;

	(void)state;
	sockaddr_set_port(&other, 2);
	assert_int_equal(hold_table_init(&table, 4, 0), 0);
	assert_false(hold_table_was_lately(&table, &client, &local, 7, 0));
	entry = add(&table, client);
	assert_false(hold_table_was_lately(&table, &client, &local, 7, 1000));
	entry->isn = 7;
	hold_table_remember(&table, entry, 1000);
	hold_table_remove(&table, entry);
	assert_true(hold_table_was_lately(&table, &client, &local, 7, 1000));
	assert_false(hold_table_was_lately(&table, &other, &local, 7, 1000));
	assert_true(hold_table_was_lately(&table, &client, &local, 7, 999 + HOLD_TABLE_LATELY_MS));
	assert_false(
		hold_table_was_lately(&table, &client, &local, 7, 1000 + HOLD_TABLE_LATELY_MS));
	hold_table_destroy(&table);
}

/* As many origins as entries, for as long as it goes on. */
static void test_churn(void **state)
{
	struct hold_entry *entries[64] = { 0 };
	struct hold_table table;
	unsigned n = 0;

	(void)state;
	srand(1);
	assert_int_equal(hold_table_init(&table, 64, 2), 0);
	for (unsigned i = 0; i < 200000; i++) {
		unsigned at = (unsigned)rand() % 64;

		if (entries[at]) {
			hold_table_remove(&table, entries[at]);
			entries[at] = NULL;
			n--;
		} else {
			char prefix[64];

			snprintf(prefix, sizeof(prefix), "2001:db8:%x:%x::", (unsigned)rand() % 4,
				(unsigned)rand() % 20);
			entries[at] = add(&table, client_of(prefix, i));
			n += entries[at] != NULL;
		}
		assert_int_equal(table.n, n);
	}
	hold_table_destroy(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found_by_ends_and_id),
		cmocka_unit_test(test_ids_of_a_place_differ),
		cmocka_unit_test(test_bound_in_all),
		cmocka_unit_test(test_bound_of_a_client),
		cmocka_unit_test(test_who_was_let_in_lately),
		cmocka_unit_test(test_churn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
