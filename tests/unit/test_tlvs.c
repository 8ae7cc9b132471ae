#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "tlvs.h"
#include "unique_id.h"

/* Types: ALPN, AUTHORITY, UNIQUE_ID, CRC32C, NOOP, SSL, one of a vendor. */
static const uint8_t area[] = { 0x01, 0, 2, 'h', '2', 0x02, 0, 3, 'a', '.', 'b', 0x05, 0, 2, 'i',
	'd', 0x03, 0, 4, 1, 2, 3, 4, 0x04, 0, 1, 0, 0x20, 0, 5, 1, 0, 0, 0, 0, 0xea, 0, 1, 9, 0x05,
	0, 1, 'x' };

static struct config_tlvs passing(const char *const *names)
{
	struct config_tlvs config = { 0 };
	const char *reason = NULL;

	for (; *names; names++)
		if (config_add_pass(&config, *names, &reason) != 0)
			fail_msg("%s: %s", *names, reason);
	return config;
}

static void test_pass_in_order(void **state)
{
	const struct config_tlvs config =
		passing((const char *const[]){ "0xEA", "authority", "ssl", "unique-id", NULL });
	static const uint8_t expected[] = { 0x02, 0, 3, 'a', '.', 'b', 0x20, 0, 5, 1, 0, 0, 0, 0,
		0xea, 0, 1, 9 };
	uint8_t buf[sizeof(area)];
	struct tlvs_passed passed;

	(void)state;
	assert_true(tlvs_passes_any(&config));
	passed = tlvs_pass(&config, area, sizeof(area), 52, 4096, buf);
	assert_int_equal(passed.len, sizeof(expected));
	assert_memory_equal(buf, expected, sizeof(expected));
	assert_int_equal(passed.left_out, 0);
	assert_int_equal(passed.unique_id.type, PROXYHDR_TLV_UNIQUE_ID);
	assert_int_equal(passed.unique_id.len, 2);
	assert_memory_equal(passed.unique_id.value, "id", 2);
}

static void test_pass_nothing(void **state)
{
	const struct config_tlvs config = { 0 };
	const struct config_tlvs other = passing((const char *const[]){ "netns", NULL });
	uint8_t buf[sizeof(area)];

	(void)state;
	assert_false(tlvs_passes_any(&config));
	assert_int_equal(tlvs_pass(&config, area, sizeof(area), 52, 4096, buf).len, 0);
	assert_int_equal(tlvs_pass(&other, area, sizeof(area), 52, 4096, buf).len, 0);
	assert_int_equal(tlvs_pass(&other, area, sizeof(area), 52, 4096, buf).left_out, 0);
	assert_int_equal(tlvs_pass(&other, NULL, 0, 52, 4096, buf).len, 0);
}

/* Each that does not fit stays out alone; smaller ones behind it still go. */
static void test_budget(void **state)
{
	const struct config_tlvs config =
		passing((const char *const[]){ "alpn", "authority", "ssl", "0xEA", NULL });
	static const struct {
		size_t max, len;
		unsigned left_out;
	} cases[] = { { 52 + 23, 23, 0 }, { 52 + 22, 19, 1 }, { 52 + 18, 15, 1 },
		{ 52 + 15, 15, 1 }, { 52 + 11, 11, 2 }, { 52 + 10, 9, 2 }, { 52 + 8, 5, 3 },
		{ 52 + 4, 4, 3 }, { 52 + 3, 0, 4 }, { 52, 0, 4 }, { 10, 0, 4 } };
	uint8_t buf[sizeof(area)];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tlvs_passed passed =
			tlvs_pass(&config, area, sizeof(area), 52, cases[i].max, buf);

		if (passed.len != cases[i].len || passed.left_out != cases[i].left_out)
			fail_msg("max %zu: %zu bytes, %u left out", cases[i].max, passed.len,
				passed.left_out);
	}
}

/* An id that comes from upstream has the place that ours would have had. */
static void test_budget_of_unique_id(void **state)
{
	struct config_tlvs config = passing((const char *const[]){ "unique-id", "0xEA", NULL });
	uint8_t long_id[3 + 40] = { 0x05, 0, 40 };
	uint8_t empty[] = { 0x05, 0, 0, 0x05, 0, 1, 'x' };
	uint8_t buf[sizeof(area)];
	struct tlvs_passed passed;

	(void)state;
	config.unique_id = config.crc32c = true;
	assert_int_equal(tlvs_own_len(&config), 35 + 7);
	passed = tlvs_pass(&config, area, sizeof(area), 52, 52 + 42, buf);
	assert_int_equal(passed.unique_id.len, 2);
	assert_int_equal(passed.len, 4); /* what was won */
	passed = tlvs_pass(&config, long_id, sizeof(long_id), 52, 52 + 42 + 7, buf);
	assert_int_equal(passed.unique_id.type, 0);
	assert_int_equal(passed.left_out, 1);
	passed = tlvs_pass(&config, long_id, sizeof(long_id), 52, 52 + 42 + 8, buf);
	assert_int_equal(passed.unique_id.len, 40);
	assert_int_equal(passed.left_out, 0);
	/* An empty one names nothing. */
	passed = tlvs_pass(&config, empty, sizeof(empty), 52, 4096, buf);
	assert_int_equal(passed.unique_id.len, 1);
}

static void test_put(void **state)
{
	struct config_tlvs config = { 0 };
	static const uint8_t expected[] = { 0xe0, 0, 2, 'h', 'i', 0xf7, 0, 0, 0x05, 0, 2, 'i', 'd',
		0xea, 0, 0 };
	static const uint8_t passed[] = { 0xea, 0, 0 };
	const char *reason = NULL;
	uint8_t buf[64];

	(void)state;
	assert_int_equal(tlvs_put(&config, NULL, 0, NULL, 0, buf, sizeof(buf)), 0);
	assert_int_equal(config_add_custom(&config, "0xE0", "hi", 2, &reason), 0);
	assert_int_equal(config_add_custom(&config, "0xf7", NULL, 0, &reason), 0);
	assert_int_equal(tlvs_own_len(&config), 8);
	assert_int_equal(tlvs_put(&config, (const uint8_t *)"id", 2, passed, 3, buf, sizeof(buf)),
		sizeof(expected));
	assert_memory_equal(buf, expected, sizeof(expected));
	assert_int_equal(tlvs_put(&config, (const uint8_t *)"id", 2, passed, 3, buf, 15), 0);
	assert_int_equal(tlvs_put(&config, (const uint8_t *)"id", 2, passed, 3, buf, 16), 16);
	free(config.custom);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pass_in_order),
		cmocka_unit_test(test_pass_nothing),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_budget_of_unique_id),
		cmocka_unit_test(test_put),
	};

	return cmocka_run_group_tests_name("tlvs", tests, NULL, NULL);
}
