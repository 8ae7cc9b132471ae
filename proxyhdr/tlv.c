/* SPDX-License-Identifier: MIT */
/*
 * Type-length-value vectors behind the addresses of a version 2 header (proxy-protocol.txt section
 * 2.2 and 2.2.1 to 2.2.8): walking through them, judging them, appending them.
 */
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define SSL_FIXED_LEN 5U /* client, verify */

static_assert(PROXYHDR_V2_MAX == PROXYHDR_V2_MIN + V2_LENGTH_MAX, "the length field has 16 bits");

void proxyhdr_tlv_start(struct proxyhdr_tlv_iter *iter, const uint8_t *tlvs, size_t len)
{
	assert(tlvs || len == 0);

	*iter = (struct proxyhdr_tlv_iter){ .next = tlvs, .left = len };
}

int proxyhdr_tlv_next(struct proxyhdr_tlv_iter *iter, struct proxyhdr_tlv *ret_tlv)
{
	struct proxyhdr_tlv tlv;

	if (iter->error)
		return iter->error;
	if (iter->left == 0)
		return 0;
	if (iter->left < PROXYHDR_TLV_HEAD_LEN)
		return iter->error = -EBADMSG;

	tlv.type = iter->next[0];
	tlv.len = proxyhdr_get16(iter->next + 1);
	tlv.value = iter->next + PROXYHDR_TLV_HEAD_LEN;
	if (tlv.len > iter->left - PROXYHDR_TLV_HEAD_LEN)
		return iter->error = -EBADMSG;

	iter->next = tlv.value + tlv.len;
	iter->left -= PROXYHDR_TLV_HEAD_LEN + (size_t)tlv.len;
	*ret_tlv = tlv;
	return 1;
}

int proxyhdr_tlv_ssl(const struct proxyhdr_tlv *tlv, uint8_t *ret_client, uint32_t *ret_verify,
	struct proxyhdr_tlv_iter *ret_sub)
{
	const uint8_t *p = tlv->value;

	if (tlv->type != PROXYHDR_TLV_SSL)
		return -EINVAL;
	if (tlv->len < SSL_FIXED_LEN)
		return -EBADMSG;

	*ret_client = p[0];
	*ret_verify = (uint32_t)proxyhdr_get16(p + 1) << 16 | proxyhdr_get16(p + 3);
	proxyhdr_tlv_start(ret_sub, p + SSL_FIXED_LEN, tlv->len - SSL_FIXED_LEN);
	return 0;
}

/*
 * Judges the TLV of which `visible` bytes (at least one) are there, where `declared` bytes are left
 * in the area. Puts its length into *ret_len, which is only good with NONE. A length of which only
 * the upper half is there counts as the least that it can become.
 *
 * `declared` is never 1 or 2 here: an area that small is refused before, and so is a TLV that
 * leaves so few behind it (TLV_SHORT below). So `room` does not wrap.
 */
static enum proxyhdr_reason check_one(
	const uint8_t *p, size_t visible, size_t declared, size_t *ret_len)
{
	size_t room = declared - PROXYHDR_TLV_HEAD_LEN;
	bool complete = visible >= PROXYHDR_TLV_HEAD_LEN;
	size_t least = 0;

	if (visible > 1)
		least = complete ? proxyhdr_get16(p + 1) : (size_t)p[1] << 8;

	if (p[0] == PROXYHDR_TLV_UNIQUE_ID && least > PROXYHDR_UNIQUE_ID_MAX)
		return PROXYHDR_REASON_UNIQUE_ID_LENGTH;
	if (p[0] == PROXYHDR_TLV_CRC32C) {
		if (least > PROXYHDR_CRC32C_LEN || (complete && least < PROXYHDR_CRC32C_LEN))
			return PROXYHDR_REASON_CRC32C_LENGTH;
		least = PROXYHDR_CRC32C_LEN; /* the one value that it can take */
		complete = true;
	}
	if (least > room)
		return PROXYHDR_REASON_TLV_OVERRUN;

	/* Too few bytes would be left for the TLV that has to follow. */
	if (complete && room > least && room - least < PROXYHDR_TLV_HEAD_LEN)
		return PROXYHDR_REASON_TLV_SHORT;

	*ret_len = PROXYHDR_TLV_HEAD_LEN + least;
	return *ret_len > visible ? PROXYHDR_REASON_MORE : PROXYHDR_REASON_NONE;
}

enum proxyhdr_reason proxyhdr_tlv_check(
	const uint8_t *area, size_t visible, size_t declared, size_t *ret_crc)
{
	size_t at = 0;
	size_t crc = SIZE_MAX;

	assert(visible <= declared);

	if (declared > 0 && declared < PROXYHDR_TLV_HEAD_LEN)
		return PROXYHDR_REASON_TLV_SHORT;

	while (at < visible) {
		enum proxyhdr_reason reason;
		size_t tlv_len = 0;

		if (area[at] == PROXYHDR_TLV_CRC32C && crc != SIZE_MAX)
			return PROXYHDR_REASON_CRC32C_TWICE;

		reason = check_one(area + at, visible - at, declared - at, &tlv_len);
		if (reason != PROXYHDR_REASON_NONE)
			return reason;

		if (area[at] == PROXYHDR_TLV_CRC32C)
			crc = at + PROXYHDR_TLV_HEAD_LEN;
		at += tlv_len;
	}

	if (visible < declared)
		return PROXYHDR_REASON_MORE;

	*ret_crc = crc;
	return PROXYHDR_REASON_NONE;
}

/*
 * Whether buf[0..len) is a version 2 header to which a TLV may be appended, and nothing else. A
 * LOCAL header has to have a byte 13 that exists: with another one nobody could say where its TLVs
 * begin.
 */
static bool may_append(const uint8_t *buf, size_t len)
{
	size_t crc = SIZE_MAX;
	size_t area;
	int addresses;

	if (len < PROXYHDR_V2_MIN || len - PROXYHDR_V2_MIN != proxyhdr_get16(buf + V2_LENGTH_AT))
		return false;
	if (memcmp(buf, proxyhdr_v2_signature, V2_SIGNATURE_LEN) != 0 ||
		buf[V2_VERSION_AT] >> 4 != 2 || (buf[V2_VERSION_AT] & 0xf) > PROXYHDR_PROXY)
		return false;

	addresses = proxyhdr_v2_address_len(buf[V2_FAMILY_AT]);
	if (addresses < 0 || len < PROXYHDR_V2_MIN + (size_t)addresses)
		return false;

	area = PROXYHDR_V2_MIN + (size_t)addresses;
	if (proxyhdr_tlv_check(buf + area, len - area, len - area, &crc) != PROXYHDR_REASON_NONE)
		return false;
	return crc == SIZE_MAX;
}

/*
 * Appends any TLV; which types and lengths are allowed is the caller's business. All is judged
 * before the first byte is written.
 */
static int append(uint8_t *buf, size_t size, size_t *inout_len, uint8_t type, const void *value,
	uint16_t value_len)
{
	size_t len = *inout_len;
	size_t more = PROXYHDR_TLV_HEAD_LEN + (size_t)value_len;
	uint8_t *p;

	if (len > size || !may_append(buf, len))
		return -EINVAL;
	if (len - PROXYHDR_V2_MIN + more > V2_LENGTH_MAX)
		return -EMSGSIZE;
	if (size - len < more)
		return -ENOSPC;

	p = buf + len;
	p[0] = type;
	proxyhdr_put16(p + 1, value_len);
	if (value_len > 0)
		memcpy(p + PROXYHDR_TLV_HEAD_LEN, value, value_len);

	len += more;
	proxyhdr_put16(buf + V2_LENGTH_AT, (uint16_t)(len - PROXYHDR_V2_MIN));
	*inout_len = len;
	return 0;
}

int proxyhdr_tlv_append(uint8_t *buf, size_t size, size_t *inout_len, uint8_t type,
	const void *value, uint16_t value_len)
{
	assert(value || value_len == 0);

	if (type == PROXYHDR_TLV_CRC32C)
		return -EINVAL;
	if (type == PROXYHDR_TLV_UNIQUE_ID && value_len > PROXYHDR_UNIQUE_ID_MAX)
		return -EINVAL;
	return append(buf, size, inout_len, type, value, value_len);
}

int proxyhdr_crc32c_append(uint8_t *buf, size_t size, size_t *inout_len)
{
	static const uint8_t zero[PROXYHDR_CRC32C_LEN];
	uint32_t crc;
	size_t at;
	int r;

	r = append(buf, size, inout_len, PROXYHDR_TLV_CRC32C, zero, sizeof(zero));
	if (r < 0)
		return r;

	at = *inout_len - sizeof(zero);
	crc = proxyhdr_crc32c_header(buf, *inout_len, at);
	proxyhdr_put16(buf + at, (uint16_t)(crc >> 16));
	proxyhdr_put16(buf + at + 2, (uint16_t)(crc & 0xffff));
	return 0;
}
