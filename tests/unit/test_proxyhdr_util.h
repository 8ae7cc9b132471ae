/* SPDX-License-Identifier: MIT */
/*
 * What the tests of libproxyhdr share: calls that look over the decoder's shoulder, and headers
 * made byte by byte, without the encoder.
 */
#ifndef TEST_PROXYHDR_UTIL_H
#define TEST_PROXYHDR_UTIL_H

#include "proxyhdr.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define V1   PROXYHDR_ACCEPT_V1
#define V2   PROXYHDR_ACCEPT_V2
#define BOTH (V1 | V2)

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* A string literal as bytes and their number, inner NULs included. */
#define BYTES(literal) (const uint8_t *)(literal), sizeof(literal) - 1

/*
 * Decodes a copy of exactly `len` bytes on the heap, so that the sanitizer sees a read behind them,
 * and checks that the result is untouched on failure. hdr->tlvs is made to point into `data`.
 */
static inline int decode(const uint8_t *data, size_t len, unsigned flags, struct proxyhdr *hdr,
	enum proxyhdr_reason *reason)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	struct proxyhdr result;
	struct proxyhdr before;
	int r;

	assert_non_null(copy);
	memcpy(copy, data, len);
	memset(&result, 0xa5, sizeof(result));
	before = result;

	r = proxyhdr_decode(copy, len, flags, &result, reason);
	if (r < 0) {
		assert_memory_equal(&result, &before, sizeof(result));
	} else {
		assert_int_equal(*reason, PROXYHDR_REASON_NONE);
		assert_true(result.consumed <= len);
		if (result.tlvs)
			result.tlvs = data + (result.tlvs - copy);
		*hdr = result;
	}
	free(copy);
	return r;
}

static inline void assert_invalid(const uint8_t *data, size_t len, enum proxyhdr_reason expected)
{
	enum proxyhdr_reason reason = PROXYHDR_REASON_NONE;
	struct proxyhdr hdr;

	assert_int_equal(decode(data, len, BOTH, &hdr, &reason), -EBADMSG);
	assert_int_equal(reason, expected);
}

static inline bool same_header(const struct proxyhdr *a, const struct proxyhdr *b)
{
	return a->version == b->version && a->command == b->command && a->family == b->family &&
	       a->transport == b->transport && memcmp(&a->src, &b->src, sizeof(a->src)) == 0 &&
	       memcmp(&a->dst, &b->dst, sizeof(a->dst)) == 0 && a->tlvs_len == b->tlvs_len &&
	       a->consumed == b->consumed;
}

/*
 * The promise about prefixes, for a valid header data[0..len): each proper prefix is incomplete (in
 * a datagram: invalid), and whatever follows the header changes nothing.
 */
static inline void assert_prefixes(const uint8_t *data, size_t len, struct proxyhdr *ret_hdr)
{
	static const uint8_t fill[] = { 0x00, 0x03, 0x0a, 0x0d, ' ', '0', ':', 0xff };
	bool v2 = data[0] == '\r';
	enum proxyhdr_reason reason;
	struct proxyhdr hdr;
	struct proxyhdr other;
	uint8_t *longer = malloc(len + 64);

	assert_non_null(longer);
	for (size_t i = 0; i < len; i++) {
		assert_int_equal(decode(data, i, BOTH, &hdr, &reason), -EAGAIN);
		assert_int_equal(reason, PROXYHDR_REASON_MORE);
		assert_int_equal(
			decode(data, i, BOTH | PROXYHDR_DATAGRAM, &hdr, &reason), -EBADMSG);
		if (v2)
			assert_int_equal(reason, PROXYHDR_REASON_TRUNCATED);
	}

	assert_int_equal(decode(data, len, BOTH, &hdr, &reason), 0);
	assert_int_equal(hdr.consumed, len);
	assert_int_equal(
		decode(data, len, BOTH | PROXYHDR_DATAGRAM, &other, &reason), v2 ? 0 : -EBADMSG);

	memcpy(longer, data, len);
	for (size_t i = 0; i < sizeof(fill); i++) {
		memset(longer + len, fill[i], 64);
		for (size_t more = 1; more <= 64; more += 21) {
			assert_int_equal(decode(longer, len + more, BOTH, &other, &reason), 0);
			assert_true(same_header(&hdr, &other));
		}
	}
	free(longer);
	if (ret_hdr)
		*ret_hdr = hdr;
}

/* A version 2 header under construction, independent of the encoder. */
struct wire {
	uint8_t data[PROXYHDR_V2_MAX];
	size_t len;
};

static inline void wire_add(struct wire *wire, const void *data, size_t len)
{
	assert_true(len <= sizeof(wire->data) - wire->len);
	if (len > 0)
		memcpy(wire->data + wire->len, data, len);
	wire->len += len;
	if (wire->len >= 16) {
		wire->data[14] = (uint8_t)((wire->len - 16) >> 8);
		wire->data[15] = (uint8_t)((wire->len - 16) & 0xff);
	}
}

static inline void wire_add_tlv(struct wire *wire, uint8_t type, const void *value, size_t len)
{
	uint8_t head[3] = { type, (uint8_t)(len >> 8), (uint8_t)(len & 0xff) };

	wire_add(wire, head, sizeof(head));
	wire_add(wire, value, len);
}

/* The block's length under byte 13, written down anew from the text, or -1 if there is none. */
static inline int wire_block_len(unsigned byte13)
{
	static const int by_family[] = { 0, 12, 36, 216 };
	unsigned family = byte13 >> 4;
	unsigned transport = byte13 & 15;

	if (family > 3 || transport > 2 || (family == 0) != (transport == 0))
		return -1;
	return by_family[family];
}

/* Starts a header whose address block counts upwards from 1. */
static inline void wire_start(struct wire *wire, uint8_t byte12, uint8_t byte13)
{
	int block = wire_block_len(byte13);

	wire->len = 0;
	wire_add(wire, SIGNATURE, 12);
	wire_add(wire, &byte12, 1);
	wire_add(wire, &byte13, 1);
	wire_add(wire, "\0", 2);
	for (int i = 1; i <= block; i++) {
		uint8_t byte = (uint8_t)i;

		wire_add(wire, &byte, 1);
	}
}

#endif
