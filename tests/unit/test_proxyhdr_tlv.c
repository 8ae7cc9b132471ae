/* SPDX-License-Identifier: MIT */
/* TLVs and the CRC32c: proxy-protocol.txt sections 2.2 and 2.2.1 to 2.2.8. */
#include "internal.h"
#include "test_proxyhdr_util.h"

static const uint8_t with_addresses[] = { 0x11, 0x12, 0x21, 0x22, 0x31, 0x32 };

/* The check value everyone gives, the vectors of RFC 3720 appendix B.4, and a header by HAProxy. */
static void test_crc32c_vectors(void **state)
{
	uint8_t data[32];
	uint32_t crc;

	(void)state;

	crc = ~proxyhdr_crc32c_update(PROXYHDR_CRC32C_INIT, BYTES("123456789"));
	assert_int_equal(crc, 0xe3069283);
	memset(data, 0, sizeof(data));
	assert_int_equal(~proxyhdr_crc32c_update(PROXYHDR_CRC32C_INIT, data, 32), 0x8a9136aa);
	memset(data, 0xff, sizeof(data));
	assert_int_equal(~proxyhdr_crc32c_update(PROXYHDR_CRC32C_INIT, data, 32), 0x62a8ab43);
	for (size_t i = 0; i < 32; i++)
		data[i] = (uint8_t)i;
	assert_int_equal(~proxyhdr_crc32c_update(PROXYHDR_CRC32C_INIT, data, 32), 0x46dd794e);

	/* in two pieces */
	crc = proxyhdr_crc32c_update(PROXYHDR_CRC32C_INIT, data, 7);
	assert_int_equal(~proxyhdr_crc32c_update(crc, data + 7, 25), 0x46dd794e);
}

/* By the instruction, if there is one, and in software: every length, from any address. */
static void test_crc32c_ways_agree(void **state)
{
	uint8_t data[96];

	(void)state;

	srandom(7);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)random();
	for (size_t at = 0; at < 8; at++)
		for (size_t len = 0; at + len <= sizeof(data); len++)
			assert_int_equal(proxyhdr_crc32c_update(0x12345678U, data + at, len),
				proxyhdr_crc32c_in_software(0x12345678U, data + at, len));
	assert_int_equal(
		~proxyhdr_crc32c_in_software(PROXYHDR_CRC32C_INIT, BYTES("123456789")), 0xe3069283);
}

/* The same sum one bit at a time, straight from the polynomial. */
static uint32_t slow_crc32c(const uint8_t *data, size_t len)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
	}
	return ~crc;
}

/* Puts a CRC32c TLV at the end, by the slow sum. */
static void wire_add_crc(struct wire *wire)
{
	uint32_t crc;

	wire_add_tlv(wire, 3, "\0\0\0", 4);
	crc = slow_crc32c(wire->data, wire->len);
	for (size_t i = 0; i < 4; i++)
		wire->data[wire->len - 4 + i] = (uint8_t)(crc >> (24 - 8 * i));
}

static void test_crc32c_every_byte(void **state)
{
	(void)state;

	for (unsigned i = 0; i < 256; i++) {
		uint8_t byte = (uint8_t)i;

		assert_int_equal(~proxyhdr_crc32c_update(PROXYHDR_CRC32C_INIT, &byte, 1),
			slow_crc32c(&byte, 1));
	}
}

/* Headers with TLVs as they are met: HAProxy's, AWS's, Azure's, Google's, all at once. */
static void add_usual_tlvs(struct wire *wire)
{
	wire_add_tlv(wire, PROXYHDR_TLV_ALPN, "h2", 2);
	wire_add_tlv(wire, PROXYHDR_TLV_AUTHORITY, "www.example.com", 15);
	wire_add_tlv(wire, PROXYHDR_TLV_NOOP, "", 0);
	wire_add_tlv(wire, PROXYHDR_TLV_UNIQUE_ID, "0123456789abcdef", 16);
	wire_add_tlv(wire, PROXYHDR_TLV_SSL,
		"\x07\0\0\0\0\x21\0\7TLSv1.3\x22\0\4name\x23\0\26TLS_AES_128_GCM_SHA256\x24\0\0",
		5 + 10 + 7 + 25 - 4 + 3);
	wire_add_tlv(wire, PROXYHDR_TLV_NETNS, "blue", 4);
	wire_add_tlv(wire, 0xEA, "\1vpce-08d2bf15fac5001c9", 23);
	wire_add_tlv(wire, 0xEE, "\1\x78\x56\x34\x12", 5);
	wire_add_tlv(wire, 0xE0, "\0\0\0\0\0\0\x12\x34", 8);
	wire_add_tlv(wire, 0xFF, "", 0);
}

static void test_usual_tlvs(void **state)
{
	static struct wire wire;
	static const uint8_t types[] = { 1, 2, 4, 5, 0x20, 0x30, 0xea, 0xee, 0xe0, 0xff, 3 };

	(void)state;

	for (size_t i = 0; i < sizeof(with_addresses); i++) {
		struct proxyhdr_tlv_iter iter;
		struct proxyhdr_tlv tlv = { .type = 0 };
		struct proxyhdr hdr;
		size_t n = 0;

		wire_start(&wire, 0x21, with_addresses[i]);
		add_usual_tlvs(&wire);
		wire_add_crc(&wire);
		assert_prefixes(wire.data, wire.len, &hdr);

		proxyhdr_tlv_start(&iter, hdr.tlvs, hdr.tlvs_len);
		while (proxyhdr_tlv_next(&iter, &tlv) > 0) {
			assert_true(n < sizeof(types));
			assert_int_equal(tlv.type, types[n++]);
			if (tlv.type == 0xea)
				assert_memory_equal(tlv.value, "\1vpce-08d2bf15fac5001c9", 23);
		}
		assert_int_equal(n, sizeof(types));
		assert_int_equal(iter.error, 0);
	}
}

/* Each type of 256, alone, empty and with a byte; 3 and nothing else has a length of its own. */
static void test_every_type(void **state)
{
	static struct wire wire;

	(void)state;

	for (unsigned type = 0; type < 256; type++) {
		for (size_t len = 0; len < 2; len++) {
			struct proxyhdr hdr;

			wire_start(&wire, 0x21, 0x21);
			wire_add_tlv(&wire, (uint8_t)type, "x", len);
			if (type == 3) {
				assert_invalid(wire.data, wire.len, PROXYHDR_REASON_CRC32C_LENGTH);
				continue;
			}
			assert_prefixes(wire.data, wire.len, &hdr);
			assert_int_equal(hdr.tlvs_len, 3 + len);
		}
	}
}

/* One or two bytes behind the addresses, or behind the last TLV, are no TLV. */
static void test_stray_bytes(void **state)
{
	static struct wire wire;

	(void)state;

	for (size_t i = 0; i < sizeof(with_addresses); i++) {
		for (size_t tlvs = 0; tlvs < 3; tlvs++) {
			for (size_t stray = 1; stray <= 2; stray++) {
				wire_start(&wire, 0x21, with_addresses[i]);
				for (size_t n = 0; n < tlvs; n++)
					wire_add_tlv(&wire, 0xe0, "abc", n);
				wire_add(&wire, "\4\0", stray);
				assert_invalid(wire.data, wire.len, PROXYHDR_REASON_TLV_SHORT);
				/* known before the stray byte is there */
				assert_invalid(
					wire.data, wire.len - stray, PROXYHDR_REASON_TLV_SHORT);
			}
		}
	}
}

/* Whether area[0..len) is made of whole TLVs: the rule once more, as short as it gets. */
static bool whole_tlvs(const uint8_t *area, size_t len)
{
	size_t one;

	if (len < 3)
		return len == 0;
	one = 3 + (size_t)area[1] * 256 + area[2];
	return one <= len && whole_tlvs(area + one, len - one);
}

/*
 * A TLV's length takes every value from 0 to 300 in a header where 21 is the right one. The bytes
 * it leaves over are NOOPs, seen from their start or from within.
 */
static void test_every_length(void **state)
{
	static struct wire wire;
	unsigned valid = 0;

	(void)state;

	for (unsigned len = 0; len <= 300; len++) {
		struct proxyhdr hdr;
		enum proxyhdr_reason reason;

		wire_start(&wire, 0x21, 0x22);
		wire_add_tlv(&wire, 0xe5, "\4\0\0\4\0\0\4\0\0\4\0\0\4\0\0\4\0\0\4\0", 21);
		wire.data[53] = (uint8_t)(len >> 8);
		wire.data[54] = (uint8_t)(len & 255);

		if (whole_tlvs(wire.data + 52, wire.len - 52)) {
			valid++;
			assert_prefixes(wire.data, wire.len, &hdr);
			continue;
		}
		assert_int_equal(decode(wire.data, wire.len, BOTH, &hdr, &reason), -EBADMSG);
		if (len > 21) {
			assert_invalid(wire.data, 55, PROXYHDR_REASON_TLV_OVERRUN);
			if (len > 255)
				assert_invalid(wire.data, 54, PROXYHDR_REASON_TLV_OVERRUN);
		}
		if (len == 19 || len == 20)
			assert_invalid(wire.data, 55, PROXYHDR_REASON_TLV_SHORT);
	}
	assert_true(valid >= 8);
}

static void test_length_rules(void **state)
{
	static const uint8_t value[200];
	static struct wire wire;
	struct proxyhdr hdr;

	(void)state;

	/* CRC32c: 4 and nothing else */
	for (size_t len = 0; len < 200; len++) {
		if (len == 4)
			continue;
		wire_start(&wire, 0x21, 0x11);
		wire_add_tlv(&wire, 3, value, len);
		assert_int_equal(wire.data[28], 3);
		assert_invalid(wire.data, wire.len, PROXYHDR_REASON_CRC32C_LENGTH);
		assert_invalid(wire.data, 31, PROXYHDR_REASON_CRC32C_LENGTH);
	}

	/* UNIQUE_ID: up to 128 */
	for (size_t len = 0; len < 200; len++) {
		wire_start(&wire, 0x21, 0x11);
		wire_add_tlv(&wire, 5, value, len);
		if (len <= 128) {
			assert_prefixes(wire.data, wire.len, &hdr);
			continue;
		}
		assert_invalid(wire.data, wire.len, PROXYHDR_REASON_UNIQUE_ID_LENGTH);
		assert_invalid(wire.data, 31, PROXYHDR_REASON_UNIQUE_ID_LENGTH);
	}

	wire_start(&wire, 0x21, 0x11);
	wire_add_crc(&wire);
	wire_add_crc(&wire);
	assert_invalid(wire.data, wire.len, PROXYHDR_REASON_CRC32C_TWICE);
	assert_invalid(wire.data, 36, PROXYHDR_REASON_CRC32C_TWICE);
}

/* The CRC may stand anywhere among the TLVs; the sum is over all of the header, and no payload. */
static void test_crc_first(void **state)
{
	static struct wire wire;
	uint32_t crc;

	(void)state;

	wire_start(&wire, 0x21, 0x21);
	wire_add_tlv(&wire, 3, "\0\0\0", 4);
	wire_add_tlv(&wire, 0xe1, "behind", 6);
	crc = slow_crc32c(wire.data, wire.len);
	for (size_t i = 0; i < 4; i++)
		wire.data[55 + i] = (uint8_t)(crc >> (24 - 8 * i));
	assert_prefixes(wire.data, wire.len, NULL);
}

/*
 * Every bit of a protected header, flipped: never accepted with other endpoints. What is accepted
 * is a header that turned into LOCAL, which tells none, and one whose CRC32c turned into another
 * type.
 */
static void test_every_bit_flipped(void **state)
{
	static struct wire wire;

	(void)state;

	for (size_t i = 0; i < sizeof(with_addresses); i++) {
		struct proxyhdr good;
		enum proxyhdr_reason reason;
		unsigned local = 0;
		unsigned unprotected = 0;

		wire_start(&wire, 0x21, with_addresses[i]);
		add_usual_tlvs(&wire);
		wire_add_crc(&wire);
		assert_int_equal(decode(wire.data, wire.len, BOTH, &good, &reason), 0);

		for (size_t bit = 0; bit < wire.len * 8; bit++) {
			struct proxyhdr hdr;

			wire.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
			if (decode(wire.data, wire.len, BOTH, &hdr, &reason) == 0) {
				if (bit / 8 == 12) {
					local++;
					assert_int_equal(hdr.command, PROXYHDR_LOCAL);
					assert_int_equal(hdr.family, PROXYHDR_UNSPEC);
				} else {
					unprotected++;
					assert_int_equal(bit / 8, wire.len - 7);
					assert_true(same_header(&hdr, &good));
				}
			}
			wire.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		}
		assert_int_equal(local, 1);
		assert_int_equal(unprotected, 8);
	}
}

/* The error is sticky, and nothing is handed out at it. */
static void test_iterator_errors(void **state)
{
	static const uint8_t area[] = { 4, 0, 0, 0xe0, 0, 2, 7, 8, 0xe1, 0, 1 };
	struct proxyhdr_tlv_iter iter;
	struct proxyhdr_tlv tlv;

	(void)state;

	for (size_t len = 0; len <= sizeof(area); len++) {
		bool whole = len == 0 || len == 3 || len == 8;
		int r;

		proxyhdr_tlv_start(&iter, area, len);
		memset(&tlv, 0xa5, sizeof(tlv));
		while ((r = proxyhdr_tlv_next(&iter, &tlv)) > 0)
			assert_true(tlv.value + tlv.len <= area + len);
		assert_int_equal(r, whole ? 0 : -EBADMSG);
		for (int again = 0; again < 3; again++)
			assert_int_equal(proxyhdr_tlv_next(&iter, &tlv), r);
		assert_int_equal(tlv.type, len < 3 ? 0xa5 : len < 8 ? 4 : 0xe0);
	}

	proxyhdr_tlv_start(&iter, NULL, 0);
	assert_int_equal(proxyhdr_tlv_next(&iter, &tlv), 0);
}

static void test_ssl(void **state)
{
	static const uint8_t value[] = "\x05\x01\x02\x03\x04\x21\0\7TLSv1.2\x22\0\4name\x25\0";
	struct proxyhdr_tlv tlv = { .type = PROXYHDR_TLV_SSL, .value = value };
	struct proxyhdr_tlv sub;
	struct proxyhdr_tlv_iter iter;
	uint8_t client = 0xa5;
	uint32_t verify = 0xa5;

	(void)state;

	for (tlv.len = 0; tlv.len < 5; tlv.len++)
		assert_int_equal(proxyhdr_tlv_ssl(&tlv, &client, &verify, &iter), -EBADMSG);
	tlv.type = PROXYHDR_TLV_NETNS;
	assert_int_equal(proxyhdr_tlv_ssl(&tlv, &client, &verify, &iter), -EINVAL);
	assert_int_equal(client, 0xa5);
	assert_int_equal(verify, 0xa5);

	tlv.type = PROXYHDR_TLV_SSL;
	assert_int_equal(proxyhdr_tlv_ssl(&tlv, &client, &verify, &iter), 0);
	assert_int_equal(proxyhdr_tlv_next(&iter, &sub), 0);
	tlv.len = sizeof(value) - 1;
	assert_int_equal(proxyhdr_tlv_ssl(&tlv, &client, &verify, &iter), 0);
	assert_int_equal(client, 5);
	assert_int_equal(verify, 0x01020304);
	assert_int_equal(proxyhdr_tlv_next(&iter, &sub), 1);
	assert_int_equal(sub.type, PROXYHDR_TLV_SSL_VERSION);
	assert_memory_equal(sub.value, "TLSv1.2", 7);
	assert_int_equal(proxyhdr_tlv_next(&iter, &sub), 1);
	assert_int_equal(sub.type, PROXYHDR_TLV_SSL_CN);
	assert_int_equal(proxyhdr_tlv_next(&iter, &sub), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc32c_vectors),
		cmocka_unit_test(test_crc32c_ways_agree),
		cmocka_unit_test(test_crc32c_every_byte),
		cmocka_unit_test(test_usual_tlvs),
		cmocka_unit_test(test_every_type),
		cmocka_unit_test(test_stray_bytes),
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_length_rules),
		cmocka_unit_test(test_crc_first),
		cmocka_unit_test(test_every_bit_flipped),
		cmocka_unit_test(test_iterator_errors),
		cmocka_unit_test(test_ssl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
