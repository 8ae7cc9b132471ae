#include "unit.h"

#include <arpa/inet.h>
#include <string.h>

#include "name_merge.h"

#define SLOTS 4

static struct in_addr address(uint32_t host)
{
	return (struct in_addr){ htonl(host) };
}

/* The hosts, up to the first 0, into the slots. */
static size_t merge(struct name_slot *slots, size_t n_slots, const uint32_t *hosts)
{
	struct in_addr addrs[16];
	size_t n = 0;

	for (; hosts[n]; n++)
		addrs[n] = address(hosts[n]);
	return name_merge(slots, n_slots, addrs, &n);
}

static void assert_slot(const struct name_slot *slot, uint32_t host, enum name_slot_change change)
{
	assert_int_equal(slot->there, host != 0);
	assert_int_equal(slot->change, change);
	if (host)
		assert_int_equal(ntohl(slot->addr.s_addr), host);
}

static void test_stay_go_and_come(void **state)
{
	struct name_slot slots[SLOTS] = { 0 };

	(void)state;
	assert_int_equal(merge(slots, SLOTS, (uint32_t[]){ 30, 10, 20, 0 }), 0);
	for (size_t i = 0; i < 3; i++)
		assert_slot(&slots[i], (uint32_t)(i + 1) * 10, NAME_SLOT_NEW);
	assert_slot(&slots[3], 0, NAME_SLOT_SAME);
	assert_int_equal(merge(slots, SLOTS, (uint32_t[]){ 10, 30, 5, 0 }), 0);
	assert_slot(&slots[0], 10, NAME_SLOT_SAME);
	assert_slot(&slots[1], 0, NAME_SLOT_GONE);
	assert_slot(&slots[2], 30, NAME_SLOT_SAME);
	assert_slot(&slots[3], 5, NAME_SLOT_NEW);
	assert_int_equal(merge(slots, SLOTS, (uint32_t[]){ 5, 30, 10, 0 }), 0);
	for (size_t i = 0; i < SLOTS; i++)
		assert_int_equal(slots[i].change, NAME_SLOT_SAME);
	assert_int_equal(merge(slots, SLOTS, (uint32_t[]){ 0 }), 0);
	for (size_t i = 0; i < SLOTS; i++)
		assert_slot(&slots[i], 0, i == 1 ? NAME_SLOT_SAME : NAME_SLOT_GONE);
}

static void test_all_change_at_once(void **state)
{
	struct name_slot slots[SLOTS] = { 0 };

	(void)state;
	assert_int_equal(merge(slots, SLOTS, (uint32_t[]){ 1, 2, 3, 4, 0 }), 0);
	assert_int_equal(merge(slots, SLOTS, (uint32_t[]){ 11, 12, 13, 14, 0 }), 0);
	for (size_t i = 0; i < SLOTS; i++)
		assert_slot(&slots[i], (uint32_t)i + 11, NAME_SLOT_NEW);
}

static void test_doubles_count_once(void **state)
{
	struct name_slot slots[SLOTS] = { 0 };

	(void)state;
	assert_int_equal(merge(slots, SLOTS, (uint32_t[]){ 9, 9, 8, 9, 8, 7, 7, 0 }), 0);
	assert_slot(&slots[0], 7, NAME_SLOT_NEW);
	assert_slot(&slots[2], 9, NAME_SLOT_NEW);
	assert_slot(&slots[3], 0, NAME_SLOT_SAME);
}

/* Which ones are left out depends on the addresses alone, as other gateways choose, too. */
static void test_too_many(void **state)
{
	struct name_slot slots[SLOTS] = { 0 }, late[SLOTS] = { 0 };

	(void)state;
	assert_int_equal(merge(slots, SLOTS, (uint32_t[]){ 6, 5, 4, 3, 2, 1, 0 }), 2);
	assert_int_equal(merge(late, SLOTS, (uint32_t[]){ 4, 5, 6, 0xf0000000, 0 }), 0);
	assert_int_equal(merge(late, SLOTS, (uint32_t[]){ 1, 2, 3, 4, 5, 6, 0 }), 2);
	for (size_t i = 0; i < SLOTS; i++)
		assert_slot(&slots[i], (uint32_t)i + 1, NAME_SLOT_NEW);
	assert_slot(&late[0], 4, NAME_SLOT_SAME);
	for (size_t i = 1; i < SLOTS; i++)
		assert_slot(&late[i], (uint32_t)i, NAME_SLOT_NEW);
}

/* The connections of one that is gone would be counted as those of the one that comes. */
static void test_choice_of_a_free_slot(void **state)
{
	struct name_slot slots[SLOTS] = { 0 };

	(void)state;
	(void)merge(slots, SLOTS, (uint32_t[]){ 1, 2, 3, 4, 0 });
	slots[0].live = 7;
	slots[1].live = 9;
	slots[2].live = 3;
	slots[3].live = 5;
	(void)merge(slots, SLOTS, (uint32_t[]){ 0 });
	assert_int_equal(merge(slots, SLOTS, (uint32_t[]){ 100, 0 }), 0);
	assert_slot(&slots[2], 100, NAME_SLOT_NEW);
	/* One that comes back finds its own. */
	slots[0].live = slots[1].live = slots[3].live = 0;
	assert_int_equal(merge(slots, SLOTS, (uint32_t[]){ 100, 4, 99, 2, 0 }), 0);
	assert_slot(&slots[0], 99, NAME_SLOT_NEW);
	assert_slot(&slots[1], 2, NAME_SLOT_NEW);
	assert_slot(&slots[2], 100, NAME_SLOT_SAME);
	assert_slot(&slots[3], 4, NAME_SLOT_NEW);
}

static void test_one_slot(void **state)
{
	struct name_slot slot = { 0 };

	(void)state;
	assert_int_equal(merge(&slot, 1, (uint32_t[]){ 2, 3, 0 }), 1);
	assert_slot(&slot, 2, NAME_SLOT_NEW);
	assert_int_equal(merge(&slot, 1, (uint32_t[]){ 3, 0 }), 0);
	assert_slot(&slot, 3, NAME_SLOT_NEW);
	assert_int_equal(merge(&slot, 1, (uint32_t[]){ 0 }), 0);
	assert_slot(&slot, 0, NAME_SLOT_GONE);
	assert_int_equal(ntohl(slot.addr.s_addr), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stay_go_and_come),
		cmocka_unit_test(test_all_change_at_once),
		cmocka_unit_test(test_doubles_count_once),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_choice_of_a_free_slot),
		cmocka_unit_test(test_one_slot),
	};

	return cmocka_run_group_tests_name("name_merge", tests, NULL, NULL);
}
