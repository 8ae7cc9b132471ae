/* SPDX-License-Identifier: MIT */
/* Decoding version 1: the grammar of proxy-protocol.txt section 2.1, line by line. */
#include "test_proxyhdr_util.h"

#include <arpa/inet.h>
#include <stdio.h>

struct valid_case {
	const char *line;
	enum proxyhdr_family family;
	const char *src;
	uint16_t sport;
	const char *dst;
	uint16_t dport;
};

#define G7 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:"

static const struct valid_case valid[] = {
	/* the examples of the text, and its longest lines */
	{ "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", PROXYHDR_INET, "192.168.0.1", 56324,
		"192.168.0.11", 443 },
	{ "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", PROXYHDR_INET,
		"255.255.255.255", 65535, "255.255.255.255", 65535 },
	{ "PROXY TCP6 " G7 "ffff " G7 "ffff 65535 65535\r\n", PROXYHDR_INET6, G7 "ffff", 65535,
		G7 "ffff", 65535 },
	{ "PROXY UNKNOWN\r\n", PROXYHDR_UNSPEC, NULL, 0, NULL, 0 },
	{ "PROXY UNKNOWN " G7 "ffff " G7 "ffff 65535 65535\r\n", PROXYHDR_UNSPEC, NULL, 0, NULL,
		0 },
	/* the smallest numbers */
	{ "PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", PROXYHDR_INET, "0.0.0.0", 0, "0.0.0.0", 0 },
	{ "PROXY TCP6 :: :: 0 0\r\n", PROXYHDR_INET6, "::", 0, "::", 0 },
	{ "PROXY TCP4 10.0.100.9 1.20.0.250 1 10\r\n", PROXYHDR_INET, "10.0.100.9", 1, "1.20.0.250",
		10 },
	/* IPv6 in its forms */
	{ "PROXY TCP6 2001:db8::1 2001:DB8::80 50000 443\r\n", PROXYHDR_INET6, "2001:db8::1", 50000,
		"2001:db8::80", 443 },
	{ "PROXY TCP6 2001:0db8:0000:0000:0000:0000:0000:0001 ::1 1 2\r\n", PROXYHDR_INET6,
		"2001:db8::1", 1, "::1", 2 },
	{ "PROXY TCP6 1:2:3:4:5:6:7:: ::2:3:4:5:6:7:8 1 2\r\n", PROXYHDR_INET6, "1:2:3:4:5:6:7:0",
		1, "0:2:3:4:5:6:7:8", 2 },
	{ "PROXY TCP6 1:2:3::5:6:7:8 1:2:3:4:5:6:7:8 1 2\r\n", PROXYHDR_INET6, "1:2:3:0:5:6:7:8", 1,
		"1:2:3:4:5:6:7:8", 2 },
	{ "PROXY TCP6 FE80::A aBcD::EF01 1 2\r\n", PROXYHDR_INET6, "fe80::a", 1, "abcd::ef01", 2 },
	{ "PROXY TCP6 ::ffff:192.0.2.1 64:ff9b::198.51.100.255 1 2\r\n", PROXYHDR_INET6,
		"::ffff:192.0.2.1", 1, "64:ff9b::198.51.100.255", 2 },
	{ "PROXY TCP6 1:2:3:4:5:6:1.2.3.4 ::1.2.3.4 1 2\r\n", PROXYHDR_INET6, "1:2:3:4:5:6:1.2.3.4",
		1, "::1.2.3.4", 2 },
	{ "PROXY TCP6 1:2:3:4:5::1.2.3.4 1::2:3:4:5:1.2.3.4 1 2\r\n", PROXYHDR_INET6,
		"1:2:3:4:5:0:1.2.3.4", 1, "1:0:2:3:4:5:1.2.3.4", 2 },
	/* 107 bytes: 45 and 44 for the addresses, with the shortest ports */
	{ "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255 "
	  "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.25 1 2\r\n",
		PROXYHDR_INET6, "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", 1,
		"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.25", 2 },
	/* "the receiver must ignore anything presented before the CRLF" */
	{ "PROXY UNKNOWN \r\n", PROXYHDR_UNSPEC, NULL, 0, NULL, 0 },
	{ "PROXY UNKNOWN  \xff \r\r\n", PROXYHDR_UNSPEC, NULL, 0, NULL, 0 },
	{ "PROXY UNKNOWN a\rb\nc\r\n", PROXYHDR_UNSPEC, NULL, 0, NULL, 0 },
	{ "PROXY UNKNOWN TCP4 1.2.3.4\r\n", PROXYHDR_UNSPEC, NULL, 0, NULL, 0 },
};

static void assert_address(
	const struct proxyhdr_endpoint *endpoint, enum proxyhdr_family family, const char *text)
{
	uint8_t addr[PROXYHDR_ADDR_MAX] = { 0 };

	if (text)
		assert_int_equal(
			inet_pton(family == PROXYHDR_INET ? AF_INET : AF_INET6, text, addr), 1);
	assert_memory_equal(endpoint->addr, addr, sizeof(addr));
}

static void test_valid_lines(void **state)
{
	(void)state;

	for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++) {
		const struct valid_case *c = &valid[i];
		struct proxyhdr hdr;

		assert_prefixes((const uint8_t *)c->line, strlen(c->line), &hdr);
		assert_int_equal(hdr.version, 1);
		assert_int_equal(hdr.command, PROXYHDR_PROXY);
		assert_int_equal(hdr.family, c->family);
		assert_int_equal(hdr.transport,
			c->family == PROXYHDR_UNSPEC ? PROXYHDR_TRANSPORT_UNSPEC : PROXYHDR_STREAM);
		assert_address(&hdr.src, c->family, c->src);
		assert_address(&hdr.dst, c->family, c->dst);
		assert_int_equal(hdr.src.port, c->sport);
		assert_int_equal(hdr.dst.port, c->dport);
		assert_null(hdr.tlvs);
		assert_int_equal(hdr.tlvs_len, 0);
	}
}

/*
 * Lines that end at their first bad byte: invalid as they are, and incomplete without that byte,
 * so that the refusal is neither late nor early.
 */
static const struct {
	const char *line;
	enum proxyhdr_reason reason;
} invalid[] = {
	{ "G", PROXYHDR_REASON_SIGNATURE },
	{ "p", PROXYHDR_REASON_SIGNATURE },
	{ " ", PROXYHDR_REASON_SIGNATURE },
	{ "PO", PROXYHDR_REASON_SIGNATURE },
	{ "PROXy", PROXYHDR_REASON_SIGNATURE },
	{ "PROXY\t", PROXYHDR_REASON_V1_PROTOCOL },
	{ "PROXY\r", PROXYHDR_REASON_V1_PROTOCOL },
	{ "PROXY  ", PROXYHDR_REASON_V1_PROTOCOL },
	{ "PROXY t", PROXYHDR_REASON_V1_PROTOCOL },
	{ "PROXY UD", PROXYHDR_REASON_V1_PROTOCOL },
	{ "PROXY TCP5", PROXYHDR_REASON_V1_PROTOCOL },
	{ "PROXY TCP ", PROXYHDR_REASON_V1_PROTOCOL },
	{ "PROXY TCP4\r", PROXYHDR_REASON_V1_PROTOCOL },
	{ "PROXY TCP46", PROXYHDR_REASON_V1_PROTOCOL },
	{ "PROXY TCP4  ", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY UNKNOWNx", PROXYHDR_REASON_V1_PROTOCOL },
	{ "PROXY UNKNOWN\n", PROXYHDR_REASON_V1_PROTOCOL },
	{ "PROXY UNKNOWN\r\r", PROXYHDR_REASON_V1_PROTOCOL },
	{ "PROXY UNKNOWn", PROXYHDR_REASON_V1_PROTOCOL },
	/* IPv4 addresses */
	{ "PROXY TCP4 .", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 -", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 +", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 a", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 :", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 256", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 1000", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 00", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 1.01", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 0x", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 1..", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 1.2 ", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 1.2.3 ", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 1.2.3.4.", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 1.2.3.4\r", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 1.2.3.4:", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 1.2.3.4  ", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 1.2.3.4\t", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 1.2.3.4 2001", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 1.2.3.4 :", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 1.2.3.4 5.6.7.256", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP4 1.2.3.4 5.6.7.8\r", PROXYHDR_REASON_V1_ADDRESS },
	/* IPv6 addresses */
	{ "PROXY TCP6  ", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 [", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 g", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 :1", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 : ", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 :::", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 1 ", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 1: ", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 1:2:3:4:5:6:7 ", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 1:2:3:4:5:6:7: ", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 1:2:3:4:5:6:7:8:", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 1:2:3:4:5:6:7::8", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 ::2:3:4:5:6:7:8:", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 1::2::", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 1::2: ", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 1:::", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 12345", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 00001", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 fe80::1%", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 ::1/", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 1.", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 192.", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 1:2:3:4:5:1.", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 1:2:3:4:5:6:7:1.", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 ::1:2:3:4:5:6:1.", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 ::1.2.3.4:", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 ::1.2.3 ", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 ::1.2.3.256", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 ::1.02", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 ::1 1.", PROXYHDR_REASON_V1_ADDRESS },
	{ "PROXY TCP6 ::1 ::2\r", PROXYHDR_REASON_V1_ADDRESS },
	/* ports */
	{ "PROXY TCP4 1.2.3.4 5.6.7.8  ", PROXYHDR_REASON_V1_PORT },
	{ "PROXY TCP4 1.2.3.4 5.6.7.8 -", PROXYHDR_REASON_V1_PORT },
	{ "PROXY TCP4 1.2.3.4 5.6.7.8 +", PROXYHDR_REASON_V1_PORT },
	{ "PROXY TCP4 1.2.3.4 5.6.7.8 01", PROXYHDR_REASON_V1_PORT },
	{ "PROXY TCP4 1.2.3.4 5.6.7.8 00", PROXYHDR_REASON_V1_PORT },
	{ "PROXY TCP4 1.2.3.4 5.6.7.8 65536", PROXYHDR_REASON_V1_PORT },
	{ "PROXY TCP4 1.2.3.4 5.6.7.8 100000", PROXYHDR_REASON_V1_PORT },
	{ "PROXY TCP4 1.2.3.4 5.6.7.8 1\r", PROXYHDR_REASON_V1_PORT },
	{ "PROXY TCP4 1.2.3.4 5.6.7.8 1a", PROXYHDR_REASON_V1_PORT },
	{ "PROXY TCP4 1.2.3.4 5.6.7.8 1  ", PROXYHDR_REASON_V1_PORT },
	{ "PROXY TCP4 1.2.3.4 5.6.7.8 1 \r", PROXYHDR_REASON_V1_PORT },
	{ "PROXY TCP4 1.2.3.4 5.6.7.8 1 02", PROXYHDR_REASON_V1_PORT },
	{ "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536", PROXYHDR_REASON_V1_PORT },
	{ "PROXY TCP6 ::1 ::2 70000", PROXYHDR_REASON_V1_PORT },
	/* the end of the line */
	{ "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", PROXYHDR_REASON_V1_END },
	{ "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 ", PROXYHDR_REASON_V1_END },
	{ "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r", PROXYHDR_REASON_V1_END },
	{ "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rG", PROXYHDR_REASON_V1_END },
	{ "PROXY TCP6 ::1 ::2 1 2\n", PROXYHDR_REASON_V1_END },
	/* 45 bytes for each address leave no room for ports: seen at the last digit that is too
	   much */
	{ "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255 "
	  "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
		PROXYHDR_REASON_V1_TOO_LONG },
	{ "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255 "
	  "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.25 10",
		PROXYHDR_REASON_V1_TOO_LONG },
};

static void test_invalid_lines(void **state)
{
	struct proxyhdr hdr;
	enum proxyhdr_reason reason;

	(void)state;

	for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
		const uint8_t *line = (const uint8_t *)invalid[i].line;
		size_t len = strlen(invalid[i].line);

		assert_invalid(line, len, invalid[i].reason);
		assert_int_equal(decode(line, len - 1, BOTH, &hdr, &reason), -EAGAIN);
	}
}

/* NUL is a byte like others: never valid outside UNKNOWN's ignored text, and allowed there. */
static void test_nul_bytes(void **state)
{
	(void)state;

	assert_invalid(BYTES("PROXY\0"), PROXYHDR_REASON_V1_PROTOCOL);
	assert_invalid(BYTES("PROXY TCP4 1.2.3.4\0 "), PROXYHDR_REASON_V1_ADDRESS);
	assert_invalid(BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\0\r\n"), PROXYHDR_REASON_V1_END);
	assert_prefixes(BYTES("PROXY UNKNOWN \0\0\r\n"), NULL);
}

/* Any byte put in place of any byte, or in front of it: judged early, and never by accident valid.
 */
static void test_every_byte_replaced(void **state)
{
	static const char line[] = "PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 50000 443\r\n";
	const size_t len = sizeof(line) - 1;
	struct proxyhdr hdr;
	enum proxyhdr_reason reason;

	(void)state;

	for (size_t at = 0; at < len; at++) {
		for (unsigned byte = 0; byte < 256; byte++) {
			uint8_t copy[sizeof(line)];
			bool digit = strchr("0123456789abcdefABCDEF:.", (int)byte) && byte;

			memcpy(copy, line, len);
			copy[at] = (uint8_t)byte;
			if (byte == (uint8_t)line[at] || (digit && at > 10))
				continue;
			assert_int_equal(decode(copy, len, BOTH, &hdr, &reason), -EBADMSG);
			/* Known at once, unless it begins another line or ends an item early. */
			if (!strchr(" \rU4", (int)byte) || !byte)
				assert_int_equal(
					decode(copy, at + 1, BOTH, &hdr, &reason), -EBADMSG);
		}
	}
}

/* "If the CRLF sequence is not found in the first 107 characters": and once it cannot be. */
static void test_length_limit(void **state)
{
	uint8_t line[200];
	struct proxyhdr hdr;
	enum proxyhdr_reason reason;

	(void)state;

	memset(line, 'x', sizeof(line));
	memcpy(line, "PROXY UNKNOWN ", 14);
	for (size_t len = 14; len < 106; len++)
		assert_int_equal(decode(line, len, BOTH, &hdr, &reason), -EAGAIN);
	for (size_t len = 106; len <= sizeof(line); len++)
		assert_invalid(line, len, PROXYHDR_REASON_V1_TOO_LONG);

	line[105] = '\r';
	assert_int_equal(decode(line, 106, BOTH, &hdr, &reason), -EAGAIN);
	assert_invalid(line, 107, PROXYHDR_REASON_V1_TOO_LONG);
	line[106] = '\n';
	assert_prefixes(line, 107, &hdr);

	line[105] = 'x';
	line[106] = '\r';
	line[107] = '\n';
	assert_invalid(line, 108, PROXYHDR_REASON_V1_TOO_LONG);
}

/*
 * inet_pton as the judge of addresses: random texts of its alphabet are accepted if and only if it
 * accepts them (and what it accepts besides the grammar, it accepts here too).
 */
static void test_addresses_like_inet_pton(void **state)
{
	static const char *const piece[] = { "0", "1", "12", "255", "256", "ffff", "00", "01",
		"12345", "a", ":", ":", ":", "::", ".", "." };
	unsigned accepted = 0;

	(void)state;

	srandom(20260401);
	for (unsigned n = 0; n < 200000; n++) {
		struct proxyhdr hdr;
		enum proxyhdr_reason reason;
		uint8_t addr[16] = { 0 };
		char text[128] = "";
		char line[256];
		bool six = n % 2;
		long pieces = 1 + random() % 16;
		int r;
		int len;

		for (long i = 0; i < pieces; i++)
			strcat(text, piece[random() % 16]);
		if (strlen(text) > 45)
			continue;
		len = snprintf(line, sizeof(line), "PROXY TCP%c %s %s 1 2\r\n", six ? '6' : '4',
			text, six ? "::" : "0.0.0.0");
		r = inet_pton(six ? AF_INET6 : AF_INET, text, addr);
		if (r == 1) {
			accepted++;
			assert_prefixes((const uint8_t *)line, (size_t)len, &hdr);
			assert_memory_equal(hdr.src.addr, addr, sizeof(addr));
		} else {
			assert_int_equal(
				decode((const uint8_t *)line, (size_t)len, BOTH, &hdr, &reason),
				-EBADMSG);
		}
	}
	assert_true(accepted > 1000);
}

/* The tails of an address, for the search below. */
static const char *const ends[] = { "", "0", "::", ":", ":0", "0.0.0", "0.0", ".0.0.0", ".0.0",
	".0", ":0.0.0.0", "0.0.0.0" };
static const char *const tails[] = { "%s :: 0 0\r\n", "%s 0.0.0.0 0 0\r\n", "%s 0 0\r\n",
	"%s 0\r\n", "%s\r\n", "\n%s" };

/* Whether some continuation of line[0..len) is a valid header. */
static bool can_be_completed(const char *line, size_t len)
{
	char longer[512];
	struct proxyhdr hdr;
	enum proxyhdr_reason reason;

	memcpy(longer, line, len);
	for (size_t t = 0; t < sizeof(tails) / sizeof(tails[0]); t++) {
		for (size_t e = 0; e < sizeof(ends) / sizeof(ends[0]); e++) {
			char format[64];
			size_t split = strcspn(tails[t], "%");

			memcpy(format, tails[t], split);
			strcpy(format + split, ends[e]);
			strcat(format, tails[t] + split + 2);
			strcpy(longer + len, format);
			if (decode((const uint8_t *)longer, len + strlen(format), BOTH, &hdr,
				    &reason) == 0)
				return true;
		}
	}
	return false;
}

/* What is said to be incomplete can indeed be completed: no prefix is waited upon in vain. */
static void test_incomplete_can_be_completed(void **state)
{
	static const char alphabet[] = "0123456789af:::...  \r\n";
	unsigned checked = 0;

	(void)state;

	srandom(7);
	for (unsigned n = 0; n < 20000; n++) {
		const char *base = valid[(size_t)random() % 17].line;
		size_t base_len = strlen(base);
		size_t keep = 11 + (size_t)random() % (base_len - 11);
		struct proxyhdr hdr;
		enum proxyhdr_reason reason;
		char line[256];
		size_t len = keep;

		if (base[6] == 'U')
			continue;
		/* A valid line's prefix, grown by random bytes for as long as it is incomplete. */
		memcpy(line, base, keep);
		for (unsigned i = 0; i < 20; i++) {
			line[len] = alphabet[(size_t)random() % (sizeof(alphabet) - 1)];
			if (decode((const uint8_t *)line, len + 1, BOTH, &hdr, &reason) != -EAGAIN)
				continue;
			len++;
			assert_true(can_be_completed(line, len));
			checked++;
		}
	}
	assert_true(checked > 10000);
}

static void test_versions_accepted(void **state)
{
	struct proxyhdr hdr;
	enum proxyhdr_reason reason = PROXYHDR_REASON_NONE;

	(void)state;

	assert_int_equal(decode(BYTES("PROXY UNKNOWN\r\n"), V1, &hdr, &reason), 0);
	assert_int_equal(decode(BYTES("PROXY UNKNOWN\r\n"), V2, &hdr, &reason), -EBADMSG);
	assert_int_equal(reason, PROXYHDR_REASON_REFUSED);
	assert_int_equal(decode(BYTES("PROXY"), V2, &hdr, &reason), -EBADMSG);
	assert_int_equal(reason, PROXYHDR_REASON_REFUSED);
	assert_int_equal(decode(BYTES("PROXx"), V2, &hdr, &reason), -EBADMSG);
	assert_int_equal(reason, PROXYHDR_REASON_SIGNATURE);
	assert_int_equal(decode(BYTES("P"), V2, &hdr, &reason), -EBADMSG);
	assert_int_equal(reason, PROXYHDR_REASON_SIGNATURE);
	assert_int_equal(
		decode(BYTES("PROXY UNKNOWN\r\n"), BOTH | PROXYHDR_DATAGRAM, &hdr, &reason),
		-EBADMSG);
	assert_int_equal(reason, PROXYHDR_REASON_V1_DATAGRAM);

	reason = PROXYHDR_REASON_V1_END;
	assert_int_equal(decode(BYTES("P"), 0, &hdr, &reason), -EINVAL);
	assert_int_equal(decode(BYTES("P"), PROXYHDR_DATAGRAM, &hdr, &reason), -EINVAL);
	assert_int_equal(decode(BYTES("P"), BOTH | 8, &hdr, &reason), -EINVAL);
	assert_int_equal(reason, PROXYHDR_REASON_V1_END);
	assert_int_equal(proxyhdr_decode("P", 1, BOTH, &hdr, NULL), -EAGAIN);
	assert_int_equal(proxyhdr_decode(NULL, 0, BOTH, &hdr, NULL), -EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid_lines),
		cmocka_unit_test(test_invalid_lines),
		cmocka_unit_test(test_nul_bytes),
		cmocka_unit_test(test_every_byte_replaced),
		cmocka_unit_test(test_length_limit),
		cmocka_unit_test(test_addresses_like_inet_pton),
		cmocka_unit_test(test_incomplete_can_be_completed),
		cmocka_unit_test(test_versions_accepted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
