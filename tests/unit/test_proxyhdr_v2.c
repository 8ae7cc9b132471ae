/* SPDX-License-Identifier: MIT */
/* Decoding version 2: proxy-protocol.txt section 2.2, without its TLVs. */
#include "test_proxyhdr_util.h"

/* Headers of other makers: HAProxy's and AWS's as seen on the wire, and the text's own numbers. */
static void test_vectors(void **state)
{
	static const uint8_t tcp6[] = SIGNATURE "\x21\x21\x00\x24"
						"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
						"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x80"
						"\xc3\x50\x01\xbb";
	static const uint8_t udp4[] = SIGNATURE "\x21\x12\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x09"
						"\x00\x35\xff\xff";
	struct proxyhdr hdr;

	(void)state;

	assert_prefixes(tcp6, sizeof(tcp6) - 1, &hdr);
	assert_int_equal(hdr.version, 2);
	assert_int_equal(hdr.command, PROXYHDR_PROXY);
	assert_int_equal(hdr.family, PROXYHDR_INET6);
	assert_int_equal(hdr.transport, PROXYHDR_STREAM);
	assert_memory_equal(hdr.src.addr, tcp6 + 16, 16);
	assert_memory_equal(hdr.dst.addr, tcp6 + 32, 16);
	assert_int_equal(hdr.src.port, 50000);
	assert_int_equal(hdr.dst.port, 443);
	assert_null(hdr.tlvs);

	assert_prefixes(udp4, sizeof(udp4) - 1, &hdr);
	assert_int_equal(hdr.family, PROXYHDR_INET);
	assert_int_equal(hdr.transport, PROXYHDR_DGRAM);
	assert_memory_equal(hdr.src.addr, "\xc0\x00\x02\x01", 4);
	assert_memory_equal(hdr.dst.addr, "\xc6\x33\x64\x09", 4);
	assert_int_equal(hdr.src.port, 53);
	assert_int_equal(hdr.dst.port, 65535);

	assert_prefixes(BYTES(SIGNATURE "\x20\x00\x00\x00"), &hdr);
	assert_int_equal(hdr.command, PROXYHDR_LOCAL);
	assert_int_equal(hdr.family, PROXYHDR_UNSPEC);
}

/* What the text says of bytes 12 and 13, written down a second time. */
static bool expect_valid(unsigned byte12, unsigned byte13)
{
	if (byte12 == 0x20)
		return true;
	return byte12 == 0x21 && wire_block_len(byte13) >= 0;
}

static enum proxyhdr_reason expect_reason(unsigned byte12)
{
	if (byte12 / 16 != 2)
		return PROXYHDR_REASON_V2_VERSION;
	return byte12 % 16 > 1 ? PROXYHDR_REASON_V2_COMMAND : PROXYHDR_REASON_V2_FAMILY;
}

/* All 65,536 values of bytes 12 and 13, before a block that every family finds long enough. */
static void test_every_command_and_family(void **state)
{
	uint8_t data[16 + 216] = SIGNATURE;
	unsigned valid = 0;

	(void)state;

	data[15] = 216;
	for (unsigned value = 0; value < 65536; value++) {
		unsigned byte12 = value >> 8;
		unsigned byte13 = value & 255;
		struct proxyhdr hdr;
		enum proxyhdr_reason reason;
		bool bad12 = byte12 != 0x20 && byte12 != 0x21;
		int early;
		int r;

		data[12] = (uint8_t)byte12;
		data[13] = (uint8_t)byte13;
		/* 24 and 36 zeroes more are no TLVs: 0x00 0x0000, again and again, are. */
		r = decode(data, sizeof(data), BOTH, &hdr, &reason);
		if (!expect_valid(byte12, byte13)) {
			assert_int_equal(r, -EBADMSG);
			assert_int_equal(reason, expect_reason(byte12));
			early = decode(data, bad12 ? 13 : 14, BOTH, &hdr, &reason);
			assert_int_equal(early, -EBADMSG);
			assert_int_equal(reason, expect_reason(byte12));
			assert_int_equal(
				decode(data, bad12 ? 12 : 13, BOTH, &hdr, &reason), -EAGAIN);
			continue;
		}
		valid++;
		assert_int_equal(r, 0);
		assert_int_equal(hdr.consumed, sizeof(data));
		assert_int_equal(hdr.command, byte12 & 15);
		assert_int_equal(hdr.family, byte12 & 1 ? byte13 >> 4 : 0);
		assert_int_equal(hdr.transport, byte12 & 1 ? byte13 & 15 : 0);
	}
	assert_int_equal(valid, 256 + 7);
}

static const uint8_t families[] = { 0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32 };

/* Every family, with the bytes of both ends told apart. */
static void test_every_family(void **state)
{
	static const size_t addr_len[] = { 0, 4, 16, 108 };
	static struct wire wire;

	(void)state;

	for (size_t i = 0; i < sizeof(families); i++) {
		unsigned family = families[i] >> 4;
		size_t n = addr_len[family];
		struct proxyhdr hdr;
		struct proxyhdr_endpoint src = { .port = 0 };
		struct proxyhdr_endpoint dst = { .port = 0 };

		wire_start(&wire, 0x21, families[i]);
		assert_prefixes(wire.data, wire.len, &hdr);
		for (size_t k = 0; k < n; k++) {
			src.addr[k] = (uint8_t)(k + 1);
			dst.addr[k] = (uint8_t)(n + k + 1);
		}
		if (family == 1 || family == 2) {
			src.port = (uint16_t)((2 * n + 1) << 8 | (2 * n + 2));
			dst.port = (uint16_t)((2 * n + 3) << 8 | (2 * n + 4));
		}
		assert_memory_equal(hdr.src.addr, src.addr, sizeof(src.addr));
		assert_memory_equal(hdr.dst.addr, dst.addr, sizeof(dst.addr));
		assert_int_equal(hdr.src.port, src.port);
		assert_int_equal(hdr.dst.port, dst.port);
	}
}

/* Each length below the family's is refused, once both its bytes are there. */
static void test_block_too_short(void **state)
{
	static struct wire wire;
	struct proxyhdr hdr;
	enum proxyhdr_reason reason;

	(void)state;

	for (size_t i = 0; i < sizeof(families); i++) {
		for (int length = 0; length < wire_block_len(families[i]); length++) {
			wire_start(&wire, 0x21, families[i]);
			wire.data[15] = (uint8_t)length;
			assert_invalid(wire.data, wire.len, PROXYHDR_REASON_V2_LENGTH);
			assert_invalid(wire.data, 16, PROXYHDR_REASON_V2_LENGTH);
			assert_int_equal(decode(wire.data, 15, BOTH, &hdr, &reason), -EAGAIN);
		}
	}
}

/* LOCAL and 00: exactly `length` bytes are skipped, and nobody looks at them. */
static void test_skipped_blocks(void **state)
{
	static const size_t lengths[] = { 0, 1, 2, 3, 11, 12, 36, 217, 1000 };
	static const uint8_t heads[][2] = { { 0x20, 0x00 }, { 0x20, 0x11 }, { 0x20, 0x21 },
		{ 0x20, 0x31 }, { 0x20, 0xff }, { 0x20, 0x40 }, { 0x20, 0x03 }, { 0x20, 0x10 },
		{ 0x21, 0x00 } };
	/* A TLV that runs out, two CRCs that do not match: all the same to a block that is skipped.
	 */
	static const uint8_t junk[1000] = "\x03\x00\x04zzzz\x03\x00\x04zzzz\xe0\xff\xff";
	static struct wire wire;

	(void)state;

	for (size_t h = 0; h < sizeof(heads) / sizeof(heads[0]); h++) {
		for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
			struct proxyhdr hdr;

			wire.len = 0;
			wire_add(&wire, SIGNATURE, 12);
			wire_add(&wire, heads[h], 2);
			wire_add(&wire, "\0", 2);
			wire_add(&wire, junk, lengths[i]);
			assert_prefixes(wire.data, wire.len, &hdr);
			assert_int_equal(hdr.command, heads[h][0] & 1);
			assert_int_equal(hdr.family, PROXYHDR_UNSPEC);
			assert_int_equal(hdr.transport, PROXYHDR_TRANSPORT_UNSPEC);
			assert_int_equal(hdr.tlvs_len, 0);
			assert_null(hdr.tlvs);
		}
	}
}

/* The longest header that there is, behind which nothing is counted in. */
static void test_longest(void **state)
{
	static struct wire wire;
	struct proxyhdr hdr;
	enum proxyhdr_reason reason;
	static uint8_t value[65535 - 12 - 3];

	(void)state;

	wire_start(&wire, 0x21, 0x11);
	wire_add_tlv(&wire, 0xe0, value, sizeof(value));
	assert_int_equal(wire.len, PROXYHDR_V2_MAX);
	assert_int_equal(decode(wire.data, wire.len, BOTH, &hdr, &reason), 0);
	assert_int_equal(hdr.consumed, PROXYHDR_V2_MAX);
	assert_int_equal(hdr.tlvs_len, sizeof(value) + 3);
	assert_int_equal(decode(wire.data, wire.len - 1, BOTH, &hdr, &reason), -EAGAIN);
}

/* A wrong signature is refused at its first wrong byte, whichever it is. */
static void test_signature(void **state)
{
	static struct wire wire;
	struct proxyhdr hdr;
	enum proxyhdr_reason reason;

	(void)state;

	for (size_t at = 0; at < 12; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			wire_start(&wire, 0x21, 0x11);
			wire.data[at] ^= (uint8_t)(1U << bit);
			assert_invalid(wire.data, wire.len, PROXYHDR_REASON_SIGNATURE);
			assert_invalid(wire.data, at + 1, PROXYHDR_REASON_SIGNATURE);
			assert_int_equal(decode(wire.data, at, BOTH, &hdr, &reason), -EAGAIN);
		}
	}
}

static void test_versions_accepted(void **state)
{
	static struct wire wire;
	struct proxyhdr hdr;
	enum proxyhdr_reason reason;

	(void)state;

	wire_start(&wire, 0x21, 0x11);
	assert_int_equal(decode(wire.data, wire.len, V2, &hdr, &reason), 0);
	assert_int_equal(decode(wire.data, wire.len, V1, &hdr, &reason), -EBADMSG);
	assert_int_equal(reason, PROXYHDR_REASON_REFUSED);
	assert_int_equal(decode(wire.data, 12, V1, &hdr, &reason), -EBADMSG);
	assert_int_equal(reason, PROXYHDR_REASON_REFUSED);
	assert_int_equal(decode(wire.data, 11, V1, &hdr, &reason), -EBADMSG);
	assert_int_equal(reason, PROXYHDR_REASON_SIGNATURE);
}

/* A datagram stands for itself: no payload is fine, a header in part or none at all is not. */
static void test_datagrams(void **state)
{
	static struct wire wire;
	struct proxyhdr hdr;
	enum proxyhdr_reason reason;

	(void)state;

	wire_start(&wire, 0x21, 0x22);
	wire_add(&wire, "", 0);
	assert_int_equal(decode(wire.data, wire.len, V2 | PROXYHDR_DATAGRAM, &hdr, &reason), 0);
	assert_int_equal(hdr.consumed, wire.len);
	assert_int_equal(decode(wire.data, 0, V2 | PROXYHDR_DATAGRAM, &hdr, &reason), -EBADMSG);
	assert_int_equal(reason, PROXYHDR_REASON_TRUNCATED);

	/* The header tells the client's transport, which need not be the relay's. */
	wire_start(&wire, 0x21, 0x21);
	assert_int_equal(decode(wire.data, wire.len, V2 | PROXYHDR_DATAGRAM, &hdr, &reason), 0);
}

static void test_reason_texts(void **state)
{
	(void)state;

	for (int a = 0; a <= PROXYHDR_REASON_CRC32C_MISMATCH; a++) {
		const char *text = proxyhdr_reason_text((enum proxyhdr_reason)a);

		assert_non_null(text);
		assert_null(strpbrk(text, "\"\\\n"));
		for (int b = 0; b < a; b++)
			assert_string_not_equal(
				text, proxyhdr_reason_text((enum proxyhdr_reason)b));
	}
	assert_string_equal(
		proxyhdr_reason_text((enum proxyhdr_reason)(PROXYHDR_REASON_CRC32C_MISMATCH + 1)),
		"unknown reason");
	assert_string_equal(proxyhdr_reason_text((enum proxyhdr_reason)999), "unknown reason");
	assert_string_equal(proxyhdr_reason_text((enum proxyhdr_reason) - 1), "unknown reason");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_every_command_and_family),
		cmocka_unit_test(test_every_family),
		cmocka_unit_test(test_block_too_short),
		cmocka_unit_test(test_skipped_blocks),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_signature),
		cmocka_unit_test(test_versions_accepted),
		cmocka_unit_test(test_datagrams),
		cmocka_unit_test(test_reason_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
