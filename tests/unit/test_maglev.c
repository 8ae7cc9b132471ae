#include "unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "maglev.h"

#define CLIENTS	   100000U
#define TABLE_SUM  0x9296f1bfU
#define CLIENT_SUM 0xef5df117U

static struct sockaddr_any address(uint32_t host, uint16_t port)
{
	return (struct sockaddr_any){ .in = { .sin_family = AF_INET,
					      .sin_port = htons(port),
					      .sin_addr = { htonl(host) } } };
}

static struct sockaddr_any client(uint32_t i)
{
	struct sockaddr_any made = { .in6 = {
					     .sin6_family = AF_INET6, .sin6_port = htons(40000) } };

	made.in6.sin6_addr.s6_addr[0] = 0x20;
	made.in6.sin6_addr.s6_addr[1] = 0x01;
	memcpy(made.in6.sin6_addr.s6_addr + 4, &i, sizeof(i));
	return made;
}

static void targets_of(struct maglev_target *targets, size_t n)
{
	for (size_t i = 0; i < n; i++)
		targets[i] = (struct maglev_target){ address(0x0a000001 + (uint32_t)i, 80), 100 };
}

static void count(const uint16_t *slots, size_t n, unsigned *shares)
{
	memset(shares, 0, n * sizeof(*shares));
	for (size_t i = 0; i < MAGLEV_SLOTS; i++) {
		assert_true(slots[i] < n);
		shares[slots[i]]++;
	}
}

static void test_equal_weights_have_equal_shares(void **state)
{
	static const size_t sizes[] = { 1, 2, 3, 10, 100, 1024 };
	static uint16_t slots[MAGLEV_SLOTS];
	struct maglev_target targets[1024];
	unsigned shares[1024];

	(void)state;
	targets_of(targets, 1024);
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		assert_int_equal(maglev_build(targets, sizes[s], slots), 0);
		count(slots, sizes[s], shares);
		for (size_t i = 0; i < sizes[s]; i++)
			assert_in_range(
				shares[i], MAGLEV_SLOTS / sizes[s], MAGLEV_SLOTS / sizes[s] + 1);
	}
}

static void test_shares_follow_weights(void **state)
{
	static const uint32_t weights[] = { 65535, 30000, 1, 0, 100, 65535 };
	static uint16_t slots[MAGLEV_SLOTS];
	struct maglev_target targets[6];
	unsigned shares[6];
	double sum = 0;

	(void)state;
	targets_of(targets, 6);
	for (size_t i = 0; i < 6; i++) {
		targets[i].weight = weights[i];
		sum += weights[i];
	}
	assert_int_equal(maglev_build(targets, 6, slots), 0);
	count(slots, 6, shares);
	for (size_t i = 0; i < 6; i++) {
		double exact = MAGLEV_SLOTS * weights[i] / sum;

		assert_true(shares[i] >= exact - 2 && shares[i] <= exact + 2);
	}
	assert_int_equal(shares[3], 0);
}

static void test_order_of_targets_does_not_matter(void **state)
{
	static uint16_t slots[MAGLEV_SLOTS], other[MAGLEV_SLOTS];
	struct maglev_target targets[10], turned[10];

	(void)state;
	targets_of(targets, 10);
	for (size_t i = 0; i < 10; i++) {
		targets[i].weight = (uint32_t)(i + 1);
		turned[9 - i] = targets[i];
	}
	assert_int_equal(maglev_build(targets, 10, slots), 0);
	assert_int_equal(maglev_build(turned, 10, other), 0);
	for (size_t i = 0; i < MAGLEV_SLOTS; i++)
		assert_int_equal(slots[i], 9 - other[i]);
}

/* Whichever of ten goes: of the other nine's clients at most 2 % get another server. */
static void test_one_of_ten_removed_moves_few_others(void **state)
{
	static uint16_t slots[MAGLEV_SLOTS], other[MAGLEV_SLOTS];
	struct maglev_target targets[10], fewer[10];

	(void)state;
	targets_of(targets, 10);
	assert_int_equal(maglev_build(targets, 10, slots), 0);
	for (size_t gone = 0; gone < 10; gone++) {
		unsigned moved = 0, stayed = 0;

		memcpy(fewer, targets, sizeof(fewer));
		fewer[gone].weight = 0;
		assert_int_equal(maglev_build(fewer, 10, other), 0);
		for (uint32_t i = 0; i < CLIENTS; i++) {
			struct sockaddr_any who = client(i);
			size_t slot = maglev_slot(&who, MAGLEV_CLIENT, 0);

			if (slots[slot] == gone)
				continue;
			moved += slots[slot] != other[slot];
			stayed += slots[slot] == other[slot];
		}
		print_message("without target %zu: %u of %u others' clients move\n", gone, moved,
			moved + stayed);
		assert_true(moved * 50 <= moved + stayed);
	}
}

static void test_what_makes_a_client(void **state)
{
	struct sockaddr_any a = client(1), b = client(1), v4 = address(0xcb007107, 1);
	unsigned same[3] = { 0 };

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		b.in6.sin6_port = htons((uint16_t)i);
		assert_int_equal(
			maglev_slot(&a, MAGLEV_CLIENT, 0), maglev_slot(&b, MAGLEV_CLIENT, 0));
		same[0] += maglev_slot(&a, MAGLEV_CLIENT_PORT, 0) ==
			   maglev_slot(&b, MAGLEV_CLIENT_PORT, 0);
		b.in6.sin6_addr.s6_addr[15] = (uint8_t)(i + 1);
		b.in6.sin6_addr.s6_addr[14] = (uint8_t)(i >> 8);
		assert_int_equal(
			maglev_slot(&a, MAGLEV_CLIENT_64, 0), maglev_slot(&b, MAGLEV_CLIENT_64, 0));
		same[1] += maglev_slot(&a, MAGLEV_CLIENT, 0) == maglev_slot(&b, MAGLEV_CLIENT, 0);
		b = client(1);
		v4.in.sin_addr.s_addr = htonl(0xcb007107 + i);
		same[2] += maglev_slot(&v4, MAGLEV_CLIENT_64, 0) ==
			   maglev_slot(&v4, MAGLEV_CLIENT_64, 1);
	}
	for (int i = 0; i < 3; i++)
		assert_true(same[i] <= 1);
}

/* The table is a promise between gateways of all versions: this one must never change. */
static void test_table_is_what_it_always_was(void **state)
{
	static uint16_t slots[MAGLEV_SLOTS];
	struct maglev_target targets[5];
	uint32_t sum = 0;

	(void)state;
	targets_of(targets, 5);
	assert_int_equal(maglev_build(targets, 5, slots), 0);
	for (size_t i = 0; i < MAGLEV_SLOTS; i++)
		sum = sum * 31 + slots[i];
	assert_int_equal(sum, TABLE_SUM);
	sum = 0;
	for (uint32_t i = 0; i < 1000; i++) {
		struct sockaddr_any who = client(htonl(i));

		sum = sum * 31 + (uint32_t)maglev_slot(&who, MAGLEV_CLIENT, 0);
	}
	assert_int_equal(sum, CLIENT_SUM);
}

static void test_nothing_to_choose_from(void **state)
{
	static uint16_t slots[MAGLEV_SLOTS];
	struct maglev_target targets[2];

	(void)state;
	targets_of(targets, 2);
	targets[0].weight = targets[1].weight = 0;
	slots[7] = 77;
	assert_int_equal(maglev_build(targets, 2, slots), -EINVAL);
	assert_int_equal(maglev_build(NULL, 0, slots), -EINVAL);
	assert_int_equal(slots[7], 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_weights_have_equal_shares),
		cmocka_unit_test(test_shares_follow_weights),
		cmocka_unit_test(test_order_of_targets_does_not_matter),
		cmocka_unit_test(test_one_of_ten_removed_moves_few_others),
		cmocka_unit_test(test_what_makes_a_client),
		cmocka_unit_test(test_table_is_what_it_always_was),
		cmocka_unit_test(test_nothing_to_choose_from),
	};

	return cmocka_run_group_tests_name("maglev", tests, NULL, NULL);
}
