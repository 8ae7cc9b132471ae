/* SPDX-License-Identifier: MIT */
/* Encoding, compared byte by byte; and what the decoder makes of it. */
#include "test_proxyhdr_util.h"

#include <arpa/inet.h>

static struct proxyhdr make(uint8_t version, enum proxyhdr_family family,
	enum proxyhdr_transport transport, const char *src, uint16_t sport, const char *dst,
	uint16_t dport)
{
	struct proxyhdr hdr = { .version = version,
		.command = PROXYHDR_PROXY,
		.family = family,
		.transport = transport };
	int af = family == PROXYHDR_INET ? AF_INET : AF_INET6;

	assert_int_equal(inet_pton(af, src, hdr.src.addr), 1);
	assert_int_equal(inet_pton(af, dst, hdr.dst.addr), 1);
	hdr.src.port = sport;
	hdr.dst.port = dport;
	return hdr;
}

/* Encodes into a heap buffer of exactly the right size, and shows that one byte less is refused. */
static void assert_encodes(const struct proxyhdr *hdr, const void *expected, size_t expected_len)
{
	uint8_t *buf = malloc(expected_len);
	size_t len = 4711;

	assert_non_null(buf);
	memset(buf, 0xa5, expected_len);
	for (size_t size = 0; size < expected_len; size++)
		assert_int_equal(proxyhdr_encode(hdr, buf, size, &len), -ENOSPC);
	assert_int_equal(len, 4711);
	for (size_t i = 0; i < expected_len; i++)
		assert_int_equal(buf[i], 0xa5);

	assert_int_equal(proxyhdr_encode(hdr, buf, expected_len, &len), 0);
	assert_int_equal(len, expected_len);
	assert_memory_equal(buf, expected, expected_len);
	free(buf);
}

static void assert_refused(const struct proxyhdr *hdr, int expected)
{
	uint8_t buf[512] = { 0xa5 };
	size_t len = 4711;

	assert_int_equal(proxyhdr_encode(hdr, buf, sizeof(buf), &len), expected);
	assert_int_equal(len, 4711);
	assert_int_equal(buf[0], 0xa5);
}

#define LONG6 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

static void test_v1_lines(void **state)
{
	static const struct {
		enum proxyhdr_family family;
		const char *src;
		uint16_t sport;
		const char *dst;
		uint16_t dport;
		const char *line;
	} cases[] = {
		{ PROXYHDR_INET, "192.168.0.1", 56324, "192.168.0.11", 443,
			"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n" },
		{ PROXYHDR_INET, "0.0.0.0", 0, "255.255.255.255", 65535,
			"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n" },
		{ PROXYHDR_INET6, "2001:db8::1", 50000, "2001:db8::80", 443,
			"PROXY TCP6 2001:db8::1 2001:db8::80 50000 443\r\n" },
		{ PROXYHDR_INET6, LONG6, 65535, LONG6, 65535,
			"PROXY TCP6 " LONG6 " " LONG6 " 65535 65535\r\n" },
		{ PROXYHDR_INET6, "::", 1, "::1", 10, "PROXY TCP6 :: ::1 1 10\r\n" },
		/* RFC 5952: the longest run, the first of equals, no single group */
		{ PROXYHDR_INET6, "1:0:0:2:0:0:0:3", 1, "1:0:0:2:3:0:0:4", 2,
			"PROXY TCP6 1:0:0:2::3 1::2:3:0:0:4 1 2\r\n" },
		{ PROXYHDR_INET6, "1:0:2:3:4:5:6:7", 1, "1:2:3:4:5:6:0:0", 2,
			"PROXY TCP6 1:0:2:3:4:5:6:7 1:2:3:4:5:6:: 1 2\r\n" },
		{ PROXYHDR_INET6, "0:0:3:4:5:6:7:8", 1, "0:2:3:4:5:6:7:0", 2,
			"PROXY TCP6 ::3:4:5:6:7:8 0:2:3:4:5:6:7:0 1 2\r\n" },
		/* the grammar has no dotted form in IPv6 */
		{ PROXYHDR_INET6, "::ffff:192.0.2.1", 1, "64:ff9b::192.0.2.33", 2,
			"PROXY TCP6 ::ffff:c000:201 64:ff9b::c000:221 1 2\r\n" },
	};

	(void)state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct proxyhdr hdr = make(1, cases[i].family, PROXYHDR_STREAM, cases[i].src,
			cases[i].sport, cases[i].dst, cases[i].dport);
		struct proxyhdr back;

		assert_encodes(&hdr, cases[i].line, strlen(cases[i].line));
		assert_prefixes((const uint8_t *)cases[i].line, strlen(cases[i].line), &back);
		hdr.consumed = back.consumed;
		assert_true(same_header(&hdr, &back));
	}
}

static void test_v1_unknown(void **state)
{
	struct proxyhdr hdr = { .version = 1, .command = PROXYHDR_PROXY };

	(void)state;

	assert_encodes(&hdr, "PROXY UNKNOWN\r\n", 15);
	hdr.command = PROXYHDR_LOCAL;
	assert_encodes(&hdr, "PROXY UNKNOWN\r\n", 15);
	hdr = make(1, PROXYHDR_INET, PROXYHDR_STREAM, "1.2.3.4", 1, "5.6.7.8", 2);
	hdr.command = PROXYHDR_LOCAL;
	assert_encodes(&hdr, "PROXY UNKNOWN\r\n", 15);
}

static void test_v2_bytes(void **state)
{
	struct proxyhdr hdr;
	uint8_t local_unix[232] = SIGNATURE "\x21\x31\x00\xd8/run/a";

	(void)state;

	hdr = make(2, PROXYHDR_INET6, PROXYHDR_STREAM, "2001:db8::1", 50000, "2001:db8::80", 443);
	assert_encodes(&hdr,
		SIGNATURE "\x21\x21\x00\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
			  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x80\xc3\x50\x01\xbb",
		PROXYHDR_V2_INET6_LEN);

	hdr = make(2, PROXYHDR_INET, PROXYHDR_DGRAM, "192.0.2.1", 53, "198.51.100.9", 65535);
	assert_encodes(&hdr,
		SIGNATURE "\x21\x12\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x09\x00\x35\xff\xff",
		PROXYHDR_V2_INET_LEN);

	hdr = (struct proxyhdr){ .version = 2,
		.command = PROXYHDR_PROXY,
		.family = PROXYHDR_UNIX,
		.transport = PROXYHDR_STREAM };
	memcpy(hdr.src.addr, "/run/a", 6);
	memcpy(hdr.dst.addr, "/run/b", 6);
	memcpy(local_unix + 16 + 108, "/run/b", 6);
	assert_encodes(&hdr, local_unix, PROXYHDR_V2_UNIX_LEN);

	hdr = (struct proxyhdr){ .version = 2, .command = PROXYHDR_LOCAL };
	assert_encodes(&hdr, SIGNATURE "\x20\x00\x00\x00", PROXYHDR_V2_MIN);
	hdr.command = PROXYHDR_PROXY;
	assert_encodes(&hdr, SIGNATURE "\x21\x00\x00\x00", PROXYHDR_V2_MIN);

	/* LOCAL with addresses, when told so */
	hdr = make(2, PROXYHDR_INET, PROXYHDR_STREAM, "1.2.3.4", 1, "5.6.7.8", 2);
	hdr.command = PROXYHDR_LOCAL;
	assert_encodes(&hdr, SIGNATURE "\x20\x11\x00\x0c\1\2\3\4\5\6\7\x08\0\1\0\2", 28);
}

/* All combinations of version, command, family and transport: the header says which there are. */
static void test_every_combination(void **state)
{
	(void)state;

	for (unsigned version = 0; version < 4; version++) {
		for (unsigned n = 0; n < 4 * 6 * 5; n++) {
			struct proxyhdr hdr = { .version = (uint8_t)version,
				.command = (enum proxyhdr_command)(n % 4),
				.family = (enum proxyhdr_family)(n / 4 % 6),
				.transport = (enum proxyhdr_transport)(n / 24) };
			unsigned byte13 = (n / 4 % 6) << 4 | n / 24;
			bool valid = n % 4 < 2 && wire_block_len(byte13) >= 0 &&
				     (version == 2 ||
					     (version == 1 && byte13 < 0x30 && byte13 % 16 < 2));
			uint8_t buf[232];
			size_t len = 0;

			assert_int_equal(
				proxyhdr_encode(&hdr, buf, sizeof(buf), &len), valid ? 0 : -EINVAL);
			if (valid && version == 2)
				assert_int_equal(buf[13], byte13);
		}
	}
}

static void test_refusals(void **state)
{
	static const uint8_t noop[] = { 4, 0, 0 };
	static const uint8_t crc[] = { 3, 0, 4, 0, 0, 0, 0 };
	static const uint8_t overrun[] = { 4, 0, 1 };
	static uint8_t unique[3 + 129] = { 5, 0, 129 };
	static uint8_t longest[65535 - 12] = { 0xe0, 0xff, 0xff - 12 - 3 };
	struct proxyhdr hdr;

	(void)state;

	hdr = make(1, PROXYHDR_INET, PROXYHDR_STREAM, "1.2.3.4", 1, "5.6.7.8", 2);
	hdr.tlvs = noop;
	hdr.tlvs_len = sizeof(noop);
	assert_refused(&hdr, -EINVAL);

	hdr.version = 2;
	assert_encodes(&hdr, SIGNATURE "\x21\x11\x00\x0f\1\2\3\4\5\6\7\x08\0\1\0\2\4\0\0", 31);
	hdr.tlvs_len = 2;
	assert_refused(&hdr, -EINVAL);
	hdr.tlvs = crc;
	hdr.tlvs_len = sizeof(crc);
	assert_refused(&hdr, -EINVAL);
	hdr.tlvs = overrun;
	hdr.tlvs_len = sizeof(overrun);
	assert_refused(&hdr, -EINVAL);
	hdr.tlvs = unique;
	hdr.tlvs_len = sizeof(unique);
	assert_refused(&hdr, -EINVAL);
	hdr.tlvs = longest;
	hdr.tlvs_len = sizeof(longest);
	assert_refused(&hdr, -ENOSPC);
	hdr.tlvs_len = sizeof(longest) + 1;
	assert_refused(&hdr, -EMSGSIZE);
	hdr.tlvs = NULL;
	hdr.tlvs_len = 3;
	assert_refused(&hdr, -EINVAL);

	/* numbers whose lower bits would make a family and a transport that exist */
	hdr = (struct proxyhdr){ .version = 2,
		.command = PROXYHDR_PROXY,
		.family = (enum proxyhdr_family)0x11,
		.transport = PROXYHDR_STREAM };
	assert_refused(&hdr, -EINVAL);
	hdr.family = PROXYHDR_UNSPEC;
	hdr.transport = (enum proxyhdr_transport)0x11;
	assert_refused(&hdr, -EINVAL);

	hdr = (struct proxyhdr){ .version = 2,
		.command = PROXYHDR_PROXY,
		.family = PROXYHDR_UNIX,
		.transport = PROXYHDR_STREAM,
		.src = { .port = 1 } };
	assert_refused(&hdr, -EINVAL);
	hdr.src.port = 0;
	hdr.dst.port = 1;
	assert_refused(&hdr, -EINVAL);
}

/* Appends to a header of its own and expects it to fail without a trace. */
static void assert_append_fails(const uint8_t *data, size_t len, size_t size, uint8_t type,
	uint16_t value_len, int expected)
{
	static const uint8_t value[65535];
	uint8_t *buf = malloc(size);
	size_t before = len;

	assert_non_null(buf);
	memset(buf, 0xa5, size);
	memcpy(buf, data, len < size ? len : size);
	assert_int_equal(proxyhdr_tlv_append(buf, size, &len, type, value, value_len), expected);
	assert_int_equal(len, before);
	assert_memory_equal(buf, data, len < size ? len : size);
	for (size_t i = len; i < size; i++)
		assert_int_equal(buf[i], 0xa5);
	free(buf);
}

static void test_append(void **state)
{
	static struct wire wire;
	uint8_t buf[128];
	size_t len;

	(void)state;

	wire_start(&wire, 0x21, 0x21);
	memcpy(buf, wire.data, wire.len);
	len = wire.len;
	wire_add_tlv(&wire, 0xe0, "\1\2\3", 3);
	wire_add_tlv(&wire, 4, NULL, 0);
	wire_add_tlv(&wire, 5, "id", 2);
	assert_int_equal(proxyhdr_tlv_append(buf, sizeof(buf), &len, 0xe0, "\1\2\3", 3), 0);
	assert_int_equal(proxyhdr_tlv_append(buf, sizeof(buf), &len, 4, NULL, 0), 0);
	assert_int_equal(proxyhdr_tlv_append(buf, len + 5, &len, 5, "id", 2), 0);
	assert_int_equal(len, wire.len);
	assert_memory_equal(buf, wire.data, len);

	assert_append_fails(buf, len, len, 4, 0, -ENOSPC);
	assert_append_fails(buf, len, len + 2, 4, 0, -ENOSPC);
	assert_append_fails(buf, len, len + 5, 4, 3, -ENOSPC);
	assert_append_fails(buf, len, len + 300, 5, 129, -EINVAL);
	assert_append_fails(buf, len, len, 5, 128, -ENOSPC);
	assert_append_fails(buf, len, len + 300, 3, 4, -EINVAL);
	assert_append_fails(buf, len, len - 1, 4, 0, -EINVAL);
	assert_append_fails(buf, len - 1, len + 9, 4, 0, -EINVAL);
	assert_append_fails(buf, 15, 64, 4, 0, -EINVAL);
	assert_append_fails(BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"), 64, 4, 0, -EINVAL);
	assert_append_fails(BYTES(SIGNATURE "\x31\x00\0\0"), 64, 4, 0, -EINVAL);
	assert_append_fails(BYTES(SIGNATURE "\x22\x00\0\0"), 64, 4, 0, -EINVAL);
	assert_append_fails(BYTES(SIGNATURE "\x20\x41\0\0"), 64, 4, 0, -EINVAL);
	assert_append_fails(BYTES(SIGNATURE "\x21\x11\0\0"), 64, 4, 0, -EINVAL);
	assert_append_fails(BYTES(SIGNATURE "\x20\x00\0\2xx"), 64, 4, 0, -EINVAL);
	assert_append_fails(BYTES("\r\n\r\n\0\r\nQUIT\r\x20\x00\0\0"), 64, 4, 0, -EINVAL);
}

/* Up to what the length field can say, and no further. */
static void test_append_until_full(void **state)
{
	static uint8_t buf[PROXYHDR_V2_MAX + 1000];
	static const uint8_t value[65535];
	struct proxyhdr hdr = make(2, PROXYHDR_INET, PROXYHDR_STREAM, "1.2.3.4", 1, "5.6.7.8", 2);
	enum proxyhdr_reason reason;
	struct proxyhdr back;
	size_t len = 0;

	(void)state;

	assert_int_equal(proxyhdr_encode(&hdr, buf, sizeof(buf), &len), 0);
	assert_append_fails(buf, len, sizeof(buf), 0xe0, 65535 - 12 - 2, -EMSGSIZE);
	assert_int_equal(
		proxyhdr_tlv_append(buf, sizeof(buf), &len, 0xe0, value, 65535 - 12 - 3 - 7), 0);
	assert_int_equal(proxyhdr_crc32c_append(buf, sizeof(buf), &len), 0);
	assert_int_equal(len, PROXYHDR_V2_MAX);
	assert_int_equal(decode(buf, len, BOTH, &back, &reason), 0);
	assert_append_fails(buf, len, sizeof(buf), 4, 0, -EINVAL);

	/* the same one byte longer */
	len = 28;
	buf[14] = 0;
	buf[15] = 12;
	assert_int_equal(
		proxyhdr_tlv_append(buf, sizeof(buf), &len, 0xe0, value, 65535 - 12 - 3 - 6), 0);
	assert_int_equal(proxyhdr_crc32c_append(buf, sizeof(buf), &len), -EMSGSIZE);
}

/* A header with CRC32c as HAProxy 2.6 sends it, and its refusal of anything behind it. */
static void test_crc32c(void **state)
{
	struct proxyhdr hdr =
		make(2, PROXYHDR_INET6, PROXYHDR_STREAM, "2001:db8::1", 50000, "2001:db8::80", 443);
	struct proxyhdr back;
	uint8_t buf[96];
	size_t len = 0;

	(void)state;

	assert_int_equal(proxyhdr_encode(&hdr, buf, sizeof(buf), &len), 0);
	assert_int_equal(proxyhdr_tlv_append(buf, sizeof(buf), &len, 0xe0, "\1\2", 2), 0);
	for (size_t size = len; size < len + 7; size++)
		assert_int_equal(proxyhdr_crc32c_append(buf, size, &len), -ENOSPC);
	assert_int_equal(len, 57);
	assert_int_equal(proxyhdr_crc32c_append(buf, 64, &len), 0);
	assert_int_equal(len, 64);
	assert_memory_equal(buf + 57, "\3\0\4\x38\x4d\xf8\xfc", 7);
	assert_prefixes(buf, len, &back);

	assert_append_fails(buf, len, 96, 4, 0, -EINVAL);
	assert_int_equal(proxyhdr_crc32c_append(buf, sizeof(buf), &len), -EINVAL);
	assert_int_equal(len, 64);

	/* LOCAL may carry one as well */
	hdr = (struct proxyhdr){ .version = 2, .command = PROXYHDR_LOCAL };
	assert_int_equal(proxyhdr_encode(&hdr, buf, sizeof(buf), &len), 0);
	assert_int_equal(proxyhdr_crc32c_append(buf, sizeof(buf), &len), 0);
	assert_int_equal(len, 23);
	assert_prefixes(buf, len, &back);
}

/* Random headers there and back, with TLVs; what comes back encodes to the same bytes. */
static void test_round_trip(void **state)
{
	static const uint8_t kinds[] = { 0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32 };
	static const size_t addr_len[] = { 0, 4, 16, 108 };

	(void)state;

	srandom(42);
	for (unsigned n = 0; n < 20000; n++) {
		uint8_t kind = kinds[(size_t)random() % sizeof(kinds)];
		bool v1 = kind < 0x30 && kind % 16 < 2 && n % 3 == 0;
		struct proxyhdr hdr = { .version = v1 ? 1 : 2,
			.command = PROXYHDR_PROXY,
			.family = (enum proxyhdr_family)(kind >> 4),
			.transport = (enum proxyhdr_transport)(kind & 15) };
		uint8_t tlvs[] = { 0xe0, 0, 2, (uint8_t)random(), (uint8_t)random(), 4, 0, 0 };
		bool ports = kind > 0 && kind < 0x30;
		struct proxyhdr back;
		enum proxyhdr_reason reason;
		uint8_t first[300];
		uint8_t second[300];
		size_t len = 0;
		size_t again = 0;

		for (size_t i = 0; i < addr_len[kind >> 4]; i++) {
			hdr.src.addr[i] = (uint8_t)(random() % 3 ? random() : 0);
			hdr.dst.addr[i] = (uint8_t)(random() % 3 ? 0 : random());
		}
		hdr.src.port = ports ? (uint16_t)random() : 0;
		hdr.dst.port = ports ? (uint16_t)random() : 0;
		if (!v1 && kind > 0 && n % 2) {
			hdr.tlvs = tlvs;
			hdr.tlvs_len = sizeof(tlvs);
		}

		assert_int_equal(proxyhdr_encode(&hdr, first, sizeof(first), &len), 0);
		assert_int_equal(decode(first, len, BOTH, &back, &reason), 0);
		hdr.consumed = len;
		assert_true(same_header(&hdr, &back));
		assert_int_equal(proxyhdr_encode(&back, second, sizeof(second), &again), 0);
		assert_int_equal(again, len);
		assert_memory_equal(first, second, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v1_lines),
		cmocka_unit_test(test_v1_unknown),
		cmocka_unit_test(test_v2_bytes),
		cmocka_unit_test(test_every_combination),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_append_until_full),
		cmocka_unit_test(test_crc32c),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
