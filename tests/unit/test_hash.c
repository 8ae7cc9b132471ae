#include "unit.h"

#include "hash.h"

/* The first of the vectors of SipHash's authors: key 00..0f, message 00, 01, 02, ... */
static void test_vectors(void **state)
{
	const struct hash_key key = { { 0x0706050403020100U, 0x0f0e0d0c0b0a0908U } };
	static const struct {
		size_t len;
		uint64_t hash;
	} vectors[] = {
		{ 0, 0x726fdb47dd0e0e31U },
		{ 1, 0x74f839c593dc67fdU },
		{ 8, 0x93f5f5799a932462U },
		{ 15, 0xa129ca6149be45e5U },
	};
	uint8_t data[16];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		assert_true(hash_bytes(&key, data, vectors[i].len) == vectors[i].hash);
}

static void test_keys_differ(void **state)
{
	struct hash_key a, b;

	(void)state;
	assert_int_equal(hash_key_init(&a), 0);
	assert_int_equal(hash_key_init(&b), 0);
	assert_true(hash_bytes(&a, "x", 1) != hash_bytes(&b, "x", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_keys_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
