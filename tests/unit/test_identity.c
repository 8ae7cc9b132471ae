#include "unit.h"

#include <errno.h>
#include <proxyhdr.h>
#include <string.h>

#include "identity.h"

static struct sockaddr_any addr(const char *text)
{
	struct sockaddr_any result;
	const char *reason;

	assert_int_equal(sockaddr_parse(text, &result, &reason), 0);
	return result;
}

static size_t header(enum identity identity, const char *client, const char *local, uint8_t *buf)
{
	struct sockaddr_any c = addr(client), l = addr(local);
	size_t len = 999;

	assert_int_equal(identity_header(identity, IPPROTO_TCP, &c, &l, NULL, buf, &len), 0);
	return len;
}

static void test_v2_inet6(void **state)
{
	/* Written by hand from section 2.2. */
	static const uint8_t expected[52] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55,
		0x49, 0x54, 0x0a, 0x21, 0x21, 0x00, 0x24, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0x01, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80,
		0xc3, 0x50, 0x01, 0xbb };
	uint8_t buf[IDENTITY_HEADER_MAX];

	(void)state;
	assert_int_equal(
		header(IDENTITY_PROXY_V2, "[2001:db8::1]:50000", "[2001:db8::80]:443", buf), 52);
	assert_memory_equal(buf, expected, 52);
}

static void test_v2_inet(void **state)
{
	static const uint8_t behind_signature[] = { 0x21, 0x11, 0x00, 0x0c, 192, 0, 2, 1, 203, 0,
		113, 80, 0xc3, 0x50, 0x00, 0x50 };
	uint8_t buf[IDENTITY_HEADER_MAX];

	(void)state;
	assert_int_equal(header(IDENTITY_PROXY_V2, "192.0.2.1:50000", "203.0.113.80:80", buf), 28);
	assert_memory_equal(buf + 12, behind_signature, sizeof(behind_signature));
}

/* A pair of v4-mapped addresses is an IPv4 client on a dual-stack socket. */
static void test_mapped_pair_is_inet(void **state)
{
	uint8_t mapped[IDENTITY_HEADER_MAX], plain[IDENTITY_HEADER_MAX];

	(void)state;
	assert_int_equal(header(IDENTITY_PROXY_V2, "[::ffff:192.0.2.1]:50000",
				 "[::ffff:203.0.113.80]:80", mapped),
		28);
	header(IDENTITY_PROXY_V2, "192.0.2.1:50000", "203.0.113.80:80", plain);
	assert_memory_equal(mapped, plain, 28);
}

/* A proxy in front of us may have to write an IPv4 client like that. */
static void test_mapped_client_alone_stays(void **state)
{
	static const uint8_t client[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1 };
	uint8_t buf[IDENTITY_HEADER_MAX];

	(void)state;
	assert_int_equal(
		header(IDENTITY_PROXY_V2, "[::ffff:192.0.2.1]:50000", "[2001:db8::80]:80", buf),
		52);
	assert_int_equal(buf[13], 0x21);
	assert_memory_equal(buf + 16, client, sizeof(client));
}

static void test_v1(void **state)
{
	uint8_t buf[IDENTITY_HEADER_MAX];
	size_t len;

	(void)state;
	len = header(IDENTITY_PROXY_V1, "[2001:db8::1]:50000", "[2001:db8::80]:443", buf);
	assert_int_equal(len, strlen("PROXY TCP6 2001:db8::1 2001:db8::80 50000 443\r\n"));
	assert_memory_equal(buf, "PROXY TCP6 2001:db8::1 2001:db8::80 50000 443\r\n", len);
	len = header(IDENTITY_PROXY_V1, "192.0.2.1:1", "203.0.113.80:65535", buf);
	assert_memory_equal(buf, "PROXY TCP4 192.0.2.1 203.0.113.80 1 65535\r\n", len);
}

static void test_extra(void **state)
{
	static const uint8_t tlvs[] = { 0xe0, 0, 2, 'h', 'i' };
	const struct identity_extra both = { tlvs, sizeof(tlvs), true };
	const struct identity_extra crc = { NULL, 0, true };
	struct sockaddr_any client = addr("192.0.2.1:1"), local = addr("203.0.113.80:2");
	uint8_t buf[IDENTITY_HEADER_MAX], plain[IDENTITY_HEADER_MAX];
	struct proxyhdr decoded;
	size_t len;

	(void)state;
	assert_int_equal(
		identity_header(IDENTITY_PROXY_V2, IPPROTO_TCP, &client, &local, &both, buf, &len),
		0);
	assert_int_equal(len, 28 + 5 + 7);
	assert_int_equal(buf[15], 12 + 5 + 7);
	assert_memory_equal(buf + 28, tlvs, sizeof(tlvs));
	assert_int_equal(proxyhdr_decode(buf, len, PROXYHDR_ACCEPT_V2, &decoded, NULL), 0);
	buf[28 + 3] ^= 1; /* the checksum is right, and checked */
	assert_int_equal(proxyhdr_decode(buf, len, PROXYHDR_ACCEPT_V2, &decoded, NULL), -EBADMSG);
	assert_int_equal(identity_header(IDENTITY_PROXY_V2_FIRST, IPPROTO_UDP, &client, &local,
				 &crc, buf, &len),
		0);
	assert_int_equal(len, 28 + 7);
	assert_int_equal(buf[13], 0x12);
	/* Version 1 has no room for any of it. */
	assert_int_equal(
		identity_header(IDENTITY_PROXY_V1, IPPROTO_TCP, &client, &local, &both, buf, &len),
		0);
	assert_int_equal(len, header(IDENTITY_PROXY_V1, "192.0.2.1:1", "203.0.113.80:2", plain));
	assert_memory_equal(buf, plain, len);
}

static void test_extra_that_does_not_fit(void **state)
{
	struct sockaddr_any client = addr("192.0.2.1:1"), local = addr("203.0.113.80:2");
	static uint8_t tlvs[IDENTITY_HEADER_MAX] = { 0xe0 };
	struct identity_extra extra = { tlvs, IDENTITY_HEADER_MAX - 28 - 7, true };
	uint8_t buf[IDENTITY_HEADER_MAX];
	size_t len = 77;

	(void)state;
	for (int more = 0; more < 2; more++) {
		tlvs[1] = (uint8_t)((extra.tlvs_len - 3) >> 8);
		tlvs[2] = (uint8_t)(extra.tlvs_len - 3);
		assert_int_equal(identity_header(IDENTITY_PROXY_V2, IPPROTO_TCP, &client, &local,
					 &extra, buf, &len),
			more ? -EMSGSIZE : 0);
		assert_int_equal(len, IDENTITY_HEADER_MAX);
		extra.tlvs_len++;
	}
}

static void test_none(void **state)
{
	uint8_t buf[IDENTITY_HEADER_MAX];

	(void)state;
	assert_int_equal(header(IDENTITY_NONE, "192.0.2.1:1", "203.0.113.80:1", buf), 0);
}

/* Two families make no header; saying anything would be a lie. */
static void test_mixed_families_are_refused(void **state)
{
	struct sockaddr_any v4 = addr("192.0.2.1:1"), v6 = addr("[2001:db8::1]:1");
	struct sockaddr_any nothing = { 0 };
	uint8_t buf[IDENTITY_HEADER_MAX];
	size_t len = 77;

	(void)state;
	assert_int_equal(identity_header(IDENTITY_PROXY_V2, IPPROTO_TCP, &v4, &v6, NULL, buf, &len),
		-EINVAL);
	assert_int_equal(identity_header(IDENTITY_PROXY_V1, IPPROTO_TCP, &v6, &v4, NULL, buf, &len),
		-EINVAL);
	assert_int_equal(identity_header(IDENTITY_PROXY_V2, IPPROTO_TCP, &nothing, &nothing, NULL,
				 buf, &len),
		-EINVAL);
	assert_int_equal(len, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v2_inet6),
		cmocka_unit_test(test_v2_inet),
		cmocka_unit_test(test_mapped_pair_is_inet),
		cmocka_unit_test(test_mapped_client_alone_stays),
		cmocka_unit_test(test_v1),
		cmocka_unit_test(test_extra),
		cmocka_unit_test(test_extra_that_does_not_fit),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_mixed_families_are_refused),
	};

	return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
