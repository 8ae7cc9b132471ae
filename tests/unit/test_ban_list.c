#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ban_list.h"

#define NOW 1000000U

/* The kernel's sets as our changes have them: at most so many prefixes, as text. */
#define SET_MAX 512
struct kernel {
	char held[SET_MAX][BAN_TEXT_MAX];
	size_t n;
};

static struct ban parse(const char *text)
{
	const char *reason = "";
	struct ban ban;

	if (ban_list_parse(text, &ban, &reason) < 0)
		fail_msg("%s: %s", text, reason);
	return ban;
}

static const char *element_text(const struct nft_guard_element *element, char buf[BAN_TEXT_MAX])
{
	struct ban ban = { .family = element->family, .prefix_len = element->prefix_len };

	memcpy(ban.addr, element->addr, sizeof(ban.addr));
	return ban_list_text(&ban, buf);
}

static size_t find(const struct kernel *kernel, const char *text)
{
	for (size_t i = 0; i < kernel->n; i++)
		if (strcmp(kernel->held[i], text) == 0)
			return i;
	return SET_MAX;
}

static bool is_within(const struct ban *outer, const struct ban *inner)
{
	for (unsigned bit = 0; bit < outer->prefix_len; bit++)
		if ((outer->addr[bit / 8] ^ inner->addr[bit / 8]) & 0x80 >> bit % 8)
			return false;
	return outer->family == inner->family && outer->prefix_len <= inner->prefix_len;
}

/* As the kernel does: what is removed must be there, what is added must not overlap. */
static void apply(struct kernel *kernel, struct ban_changes *changes)
{
	char text[BAN_TEXT_MAX];

	for (size_t i = 0; i < changes->n_remove; i++) {
		size_t at = find(kernel, element_text(&changes->remove[i], text));

		assert_in_range(at, 0, SET_MAX - 1);
		memcpy(kernel->held[at], kernel->held[--kernel->n], BAN_TEXT_MAX);
	}
	for (size_t i = 0; i < changes->n_add; i++) {
		struct ban new, other;

		new = parse(element_text(&changes->add[i], text));
		for (size_t k = 0; k < kernel->n; k++) {
			other = parse(kernel->held[k]);
			assert_false(is_within(&other, &new) || is_within(&new, &other));
		}
		assert_in_range(kernel->n, 0, SET_MAX - 1);
		snprintf(kernel->held[kernel->n++], BAN_TEXT_MAX, "%s", text);
	}
	ban_changes_clear(changes);
}

static void put(struct ban_list *list, struct kernel *kernel, const char *text, uint64_t until_ms)
{
	struct ban_changes changes = { 0 };
	struct ban ban = parse(text);

	ban.until_ms = until_ms;
	assert_int_equal(ban_list_put(list, &ban, "why", NOW, &changes), 0);
	apply(kernel, &changes);
}

static void take(struct ban_list *list, struct kernel *kernel, const char *text)
{
	struct ban_changes changes = { 0 };
	struct ban ban = parse(text);

	assert_int_equal(ban_list_remove(list, &ban, NOW, &changes), 0);
	apply(kernel, &changes);
}

/* expected: prefixes with a space behind each. */
static void check(const struct kernel *kernel, const char *expected)
{
	char text[BAN_TEXT_MAX];
	size_t n = 0;

	for (const char *p = expected; *p; p += strcspn(p, " ") + 1, n++) {
		snprintf(text, sizeof(text), "%.*s", (int)strcspn(p, " "), p);
		if (find(kernel, text) == SET_MAX)
			fail_msg("%s is missing", text);
	}
	assert_int_equal(kernel->n, n);
}

static void test_parse(void **state)
{
	static const char *const good[][2] = {
		{ "2001:db8:1::/64", "2001:db8:1::/64" },
		{ "2001:db8:1::5/64", "2001:db8:1::/64" },
		{ "2001:db8::1", "2001:db8::1" },
		{ "2001:db8::1/128", "2001:db8::1" },
		{ "192.0.2.1", "192.0.2.1" },
		{ "192.0.2.77/24", "192.0.2.0/24" },
		{ "128.0.0.0/1", "128.0.0.0/1" },
		{ "::ffff:192.0.2.1", "192.0.2.1" },
		{ "::ffff:192.0.2.1/120", "192.0.2.0/24" },
	};
	static const char *const bad[] = { "", "x", "192.0.2.1/33", "::/0", "0.0.0.0/0",
		"::ffff:0.0.0.0/96", "2001:db8::/129", "192.0.2.1:80", "fe80::1%lo", "192.0.2.1/",
		"192.0.2.0/-1", "192.0.2" };
	char text[BAN_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct ban ban = parse(good[i][0]);

		assert_string_equal(ban_list_text(&ban, text), good[i][1]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *reason = NULL;
		struct ban ban;

		assert_int_equal(ban_list_parse(bad[i], &ban, &reason), -EINVAL);
		assert_non_null(reason);
	}
}

static void test_reasons(void **state)
{
	char text[BAN_REASON_MAX + 2];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[BAN_REASON_MAX] = '\0';
	assert_true(ban_list_reason_is_fine(text));
	text[BAN_REASON_MAX] = 'x';
	text[BAN_REASON_MAX + 1] = '\0';
	assert_false(ban_list_reason_is_fine(text));
	assert_true(ban_list_reason_is_fine(""));
	assert_true(ban_list_reason_is_fine("caf\xc3\xa9 \"x\""));
	assert_false(ban_list_reason_is_fine("a\nb"));
	assert_false(ban_list_reason_is_fine("a\x7f"));
}

static void test_only_the_outermost_are_in_force(void **state)
{
	struct ban_list list = { 0 };
	struct kernel kernel = { 0 };

	(void)state;
	put(&list, &kernel, "2001:db8:1:1::/64", 0);
	put(&list, &kernel, "2001:db8:1:2::5", 0);
	put(&list, &kernel, "2001:db8:2::/64", 0);
	put(&list, &kernel, "192.0.2.1", 0);
	check(&kernel, "2001:db8:1:1::/64 2001:db8:1:2::5 2001:db8:2::/64 192.0.2.1 ");
	put(&list, &kernel, "2001:db8:1::/48", 0);
	check(&kernel, "2001:db8:1::/48 2001:db8:2::/64 192.0.2.1 ");
	put(&list, &kernel, "2001:db8:1:1::7", 0);
	check(&kernel, "2001:db8:1::/48 2001:db8:2::/64 192.0.2.1 ");
	put(&list, &kernel, "2001:db8::/32", 0);
	check(&kernel, "2001:db8::/32 192.0.2.1 ");
	assert_int_equal(list.n, 7);
	take(&list, &kernel, "2001:db8::/32");
	check(&kernel, "2001:db8:1::/48 2001:db8:2::/64 192.0.2.1 ");
	/* One that was not in force changes nothing. */
	take(&list, &kernel, "2001:db8:1:2::5");
	check(&kernel, "2001:db8:1::/48 2001:db8:2::/64 192.0.2.1 ");
	take(&list, &kernel, "2001:db8:1::/48");
	check(&kernel, "2001:db8:1:1::/64 2001:db8:2::/64 192.0.2.1 ");
	ban_list_clear(&list);
}

static void test_same_prefix_again(void **state)
{
	struct ban_list list = { 0 };
	struct ban_changes changes = { 0 };
	struct ban ban = parse("192.0.2.1");

	(void)state;
	ban.until_ms = NOW + 5000;
	assert_int_equal(ban_list_put(&list, &ban, "first", NOW, &changes), 0);
	assert_int_equal(changes.n_add, 1);
	assert_int_equal(changes.add[0].timeout_ms, 5000);
	assert_string_equal(changes.add[0].comment, "first");
	ban_changes_clear(&changes);
	ban.until_ms = 0;
	assert_int_equal(ban_list_put(&list, &ban, "second", NOW + 1, &changes), 0);
	assert_int_equal(list.n, 1);
	assert_int_equal(changes.n_remove, 1);
	assert_int_equal(changes.n_add, 1);
	assert_int_equal(changes.add[0].timeout_ms, 0);
	assert_string_equal(changes.add[0].comment, "second");
	ban_changes_clear(&changes);
	ban_list_clear(&list);
}

static void test_removal_of_what_is_not_there(void **state)
{
	struct ban_list list = { 0 };
	struct kernel kernel = { 0 };
	struct ban_changes changes = { 0 };
	struct ban ban = parse("2001:db8:1::5");
	char text[BAN_TEXT_MAX];

	(void)state;
	put(&list, &kernel, "2001:db8:1::/64", 0);
	assert_int_equal(ban_list_remove(&list, &ban, NOW, &changes), -ENOENT);
	assert_int_equal(changes.n_remove + changes.n_add, 0);
	assert_string_equal(ban_list_text(ban_list_cover(&list, &ban), text), "2001:db8:1::/64");
	ban = parse("2001:db8:2::5");
	assert_null(ban_list_cover(&list, &ban));
	ban_list_clear(&list);
}

/* The kernel lets the ended ones go; those within that still hold take their place. */
static void test_ends(void **state)
{
	struct ban_list list = { 0 };
	struct kernel kernel = { 0 };
	struct ban_changes changes = { 0 };
	size_t n = 0;

	(void)state;
	assert_int_equal(ban_list_next(&list), 0);
	put(&list, &kernel, "2001:db8::/32", NOW + 10);
	put(&list, &kernel, "2001:db8:1::/48", NOW + 10);
	put(&list, &kernel, "2001:db8:1:1::/64", NOW + 20);
	put(&list, &kernel, "2001:db8:1:1::1", 0);
	put(&list, &kernel, "192.0.2.1", NOW + 30);
	check(&kernel, "2001:db8::/32 192.0.2.1 ");
	assert_int_equal(ban_list_next(&list), NOW + 10);
	assert_int_equal(ban_list_expire(&list, NOW + 9, &changes, &n), 0);
	assert_int_equal(n + changes.n_add + changes.n_remove, 0);
	kernel.n = 0;
	assert_int_equal(ban_list_expire(&list, NOW + 10, &changes, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(changes.n_remove, 0);
	apply(&kernel, &changes);
	check(&kernel, "2001:db8:1:1::/64 ");
	kernel.n = 0;
	assert_int_equal(ban_list_expire(&list, NOW + 30, &changes, &n), 0);
	assert_int_equal(n, 2);
	apply(&kernel, &changes);
	check(&kernel, "2001:db8:1:1::1 ");
	assert_int_equal(ban_list_next(&list), 0);
	assert_int_equal(list.n, 1);
	ban_list_clear(&list);
}

static void test_all(void **state)
{
	struct ban_list list = { 0 };
	struct kernel kernel = { 0 }, again = { 0 };
	struct ban_changes changes = { 0 };

	(void)state;
	put(&list, &kernel, "2001:db8::/32", NOW + 10);
	put(&list, &kernel, "2001:db8:1::/48", 0);
	put(&list, &kernel, "192.0.2.0/24", 0);
	assert_int_equal(ban_list_all(&list, NOW, &changes), 0);
	apply(&again, &changes);
	check(&again, "2001:db8::/32 192.0.2.0/24 ");
	ban_list_clear(&list);
}

static void test_full(void **state)
{
	struct ban_list list = { 0 };
	struct ban_changes changes = { 0 };
	struct ban ban = { .family = AF_INET, .prefix_len = 32 };

	(void)state;
	for (unsigned i = 0; i < BAN_LIST_MAX; i++) {
		ban.addr[1] = (uint8_t)(i >> 8);
		ban.addr[2] = (uint8_t)i;
		assert_int_equal(ban_list_put(&list, &ban, "", NOW, &changes), 0);
		ban_changes_clear(&changes);
	}
	/* One that is there has room. */
	assert_int_equal(ban_list_put(&list, &ban, "x", NOW, &changes), 0);
	ban_changes_clear(&changes);
	ban.addr[0] = 1;
	assert_int_equal(ban_list_put(&list, &ban, "", NOW, &changes), -ENOSPC);
	assert_int_equal(list.n, BAN_LIST_MAX);
	assert_int_equal(changes.n_add, 0);
	ban_list_clear(&list);
}

/* Any changes: what is held overlaps nowhere, and has within just what a look at all bans says. */
static void test_any_changes(void **state)
{
	static struct kernel kernel;
	struct ban_list list = { 0 };
	unsigned seed = 7;

	(void)state;
	kernel.n = 0;
	for (unsigned round = 0; round < 4000; round++) {
		char text[BAN_TEXT_MAX];
		struct ban_changes changes = { 0 };
		struct ban ban;

		seed = seed * 1103515245U + 12345U;
		snprintf(text, sizeof(text), "2001:db8:%x:%x::/%u", seed >> 16 & 3, seed >> 20 & 3,
			32 + (seed >> 24 & 3) * 16);
		ban = parse(text);
		if (seed >> 28 & 1)
			assert_int_equal(ban_list_put(&list, &ban, "", NOW, &changes), 0);
		else
			(void)ban_list_remove(&list, &ban, NOW, &changes);
		apply(&kernel, &changes);
		for (size_t i = 0; i < list.n; i++) {
			bool outermost = ban_list_cover(&list, list.bans[i]) == NULL;

			assert_int_equal(list.bans[i]->in_force, outermost);
			ban_list_text(list.bans[i], text);
			assert_int_equal(find(&kernel, text) < SET_MAX, outermost);
		}
	}
	ban_list_clear(&list);
}

/* For the sanitizer: what cannot be had is NULL, as it is without one. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

/* Without memory for the changes the list is right all the same: each ban within comes into force.
 */
static void test_end_without_memory(void **state)
{
	struct ban_changes none = { .n_add = SIZE_MAX / 4, .room_add = SIZE_MAX / 4 };
	struct ban_changes changes = { 0 };
	struct ban_list list = { 0 };
	struct ban ban;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 2; i++) {
		ban = parse(i ? "2001:db8:2::/48" : "2001:db8:1::/48");
		ban.until_ms = NOW + 1;
		assert_int_equal(ban_list_put(&list, &ban, "", NOW, &changes), 0);
		ban = parse(i ? "2001:db8:2::1" : "2001:db8:1::1");
		assert_int_equal(ban_list_put(&list, &ban, "", NOW, &changes), 0);
	}
	ban_changes_clear(&changes);
	assert_int_equal(ban_list_expire(&list, NOW + 1, &none, &n), -ENOMEM);
	assert_int_equal(list.n, 2);
	assert_int_equal(ban_list_all(&list, NOW + 1, &changes), 0);
	assert_int_equal(changes.n_add, 2);
	ban_changes_clear(&changes);
	ban_list_clear(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_only_the_outermost_are_in_force),
		cmocka_unit_test(test_same_prefix_again),
		cmocka_unit_test(test_removal_of_what_is_not_there),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_end_without_memory),
		cmocka_unit_test(test_any_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
