/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the decoder for its promises, not only for crashes:
 *
 *   - what is accepted with `consumed` n is incomplete at every length below n, and what stands
 *     behind n changes nothing;
 *   - what is invalid stays invalid whatever follows; what is incomplete was so before;
 *   - a datagram is never incomplete;
 *   - a version 2 header that tells addresses encodes to the very bytes it came from, but for a
 *     CRC32c, and every header to one that means the same.
 *
 * Each call gets a copy of exactly the bytes it may read. The mutator starts from valid headers, so
 * that no corpus is needed, and repairs the length field and the CRC32c now and then.
 */
#include "proxyhdr.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define BOTH	  (PROXYHDR_ACCEPT_V1 | PROXYHDR_ACCEPT_V2)
#define INPUT_MAX 400U

/* hdr->tlvs is made to point into `data`. */
static int decode(const uint8_t *data, size_t len, unsigned flags, struct proxyhdr *hdr)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	enum proxyhdr_reason reason = PROXYHDR_REASON_NONE;
	int r;

	REQUIRE(copy);
	memcpy(copy, data, len);
	memset(hdr, 0, sizeof(*hdr));
	r = proxyhdr_decode(copy, len, flags, hdr, &reason);
	REQUIRE(r == 0 || r == -EAGAIN || r == -EBADMSG);
	REQUIRE((r == 0) == (reason == PROXYHDR_REASON_NONE));
	REQUIRE((r == -EAGAIN) == (reason == PROXYHDR_REASON_MORE));
	if (hdr->tlvs)
		hdr->tlvs = data + (hdr->tlvs - copy);
	free(copy);
	return r;
}

static bool same(const struct proxyhdr *a, const struct proxyhdr *b)
{
	return a->version == b->version && a->command == b->command && a->family == b->family &&
	       a->transport == b->transport && memcmp(&a->src, &b->src, sizeof(a->src)) == 0 &&
	       memcmp(&a->dst, &b->dst, sizeof(a->dst)) == 0 && a->tlvs_len == b->tlvs_len &&
	       a->consumed == b->consumed;
}

/* The verdict at every length, from that at the full one. */
static void check_prefixes(const uint8_t *data, size_t size, int r, const struct proxyhdr *full)
{
	bool was_invalid = false;
	struct proxyhdr hdr;

	for (size_t len = 0; len <= size; len++) {
		int now = decode(data, len, BOTH, &hdr);

		if (r == 0) {
			REQUIRE(now == (len < full->consumed ? -EAGAIN : 0));
			REQUIRE(now < 0 || same(&hdr, full));
		} else {
			REQUIRE(now != 0);
			REQUIRE(r != -EAGAIN || now == -EAGAIN);
			REQUIRE(!was_invalid || now == -EBADMSG);
			was_invalid = now == -EBADMSG;
		}
	}
}

static void check_encode(const uint8_t *data, const struct proxyhdr *hdr)
{
	struct proxyhdr plain = *hdr;
	struct proxyhdr_tlv_iter iter;
	struct proxyhdr_tlv tlv;
	struct proxyhdr back;
	uint8_t buf[INPUT_MAX + PROXYHDR_V2_UNIX_LEN];
	bool crc = false;
	size_t len = 0;
	int r;

	proxyhdr_tlv_start(&iter, hdr->tlvs, hdr->tlvs_len);
	while ((r = proxyhdr_tlv_next(&iter, &tlv)) > 0)
		crc = crc || tlv.type == PROXYHDR_TLV_CRC32C;
	REQUIRE(r == 0);

	r = proxyhdr_encode(hdr, buf, sizeof(buf), &len);
	REQUIRE(r == (crc ? -EINVAL : 0));
	if (r == 0 && hdr->version == 2 && hdr->family != PROXYHDR_UNSPEC)
		REQUIRE(len == hdr->consumed && memcmp(buf, data, len) == 0);

	plain.tlvs = NULL;
	plain.tlvs_len = 0;
	REQUIRE(proxyhdr_encode(&plain, buf, sizeof(buf), &len) == 0);
	plain.consumed = len;
	REQUIRE(decode(buf, len, BOTH, &back) == 0);
	REQUIRE(same(&plain, &back));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxyhdr datagram;
	struct proxyhdr hdr;
	int r;

	if (size > INPUT_MAX)
		return -1;

	r = decode(data, size, BOTH, &hdr);
	check_prefixes(data, size, r, &hdr);
	if (r == 0)
		check_encode(data, &hdr);

	REQUIRE(decode(data, size, BOTH | PROXYHDR_DATAGRAM, &datagram) ==
		(r == 0 && hdr.version == 2 ? 0 : -EBADMSG));
	REQUIRE(decode(data, size, PROXYHDR_ACCEPT_V1, &datagram) != 0 ||
		(r == 0 && hdr.version == 1));
	return 0;
}

/* A valid header as the seed says, with TLVs and a CRC32c perhaps. */
static size_t make_header(uint8_t *data, size_t max_size, unsigned seed)
{
	static const char line[] = "PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 50000 443\r\n";
	static const uint8_t kinds[] = { 0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32, 0x11 };
	unsigned kind = kinds[seed % sizeof(kinds)];
	struct proxyhdr hdr = { .version = kind < 0x30 && !(kind & 2) && seed & 64 ? 1 : 2,
		.command = seed & 256 ? PROXYHDR_LOCAL : PROXYHDR_PROXY,
		.family = (enum proxyhdr_family)(kind >> 4),
		.transport = (enum proxyhdr_transport)(kind & 15) };
	size_t len = 0;

	if (seed % 11 == 0 && max_size >= sizeof(line)) {
		memcpy(data, line, sizeof(line) - 1);
		return sizeof(line) - 1;
	}
	memcpy(hdr.src.addr, &seed, sizeof(seed));
	if (proxyhdr_encode(&hdr, data, max_size, &len) < 0 || hdr.version == 1)
		return len;
	if (seed & 512)
		(void)proxyhdr_tlv_append(data, max_size, &len, (uint8_t)(seed >> 10), "abcde", 5);
	if (seed & 1024)
		(void)proxyhdr_tlv_append(data, max_size, &len, PROXYHDR_TLV_NOOP, NULL, 0);
	if (seed & 2048)
		(void)proxyhdr_crc32c_append(data, max_size, &len);
	return len;
}

/* Makes the length field fit the input, so that mutations reach the TLVs behind it. */
static void repair_length(uint8_t *data, size_t size)
{
	if (size < PROXYHDR_V2_MIN || data[0] != '\r')
		return;
	data[14] = (uint8_t)((size - PROXYHDR_V2_MIN) >> 8);
	data[15] = (uint8_t)((size - PROXYHDR_V2_MIN) & 0xff);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	if (max_size > INPUT_MAX)
		max_size = INPUT_MAX;
	if (size > max_size)
		size = max_size;
	if (size < 2 || seed % 64 == 0)
		return make_header(data, max_size, seed >> 6);

	size = LLVMFuzzerMutate(data, size, max_size);
	if (seed & 1)
		repair_length(data, size);
	if (seed % 16 == 3)
		(void)proxyhdr_crc32c_append(data, max_size, &size);
	return size;
}
