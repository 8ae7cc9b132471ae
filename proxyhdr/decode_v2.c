/* SPDX-License-Identifier: MIT */
/*
 * The binary header, version 2 (proxy-protocol.txt section 2.2).
 *
 * Fields are judged in the order in which they arrive, each as soon as it is there, so that a bad
 * prefix is refused at once instead of waited upon.
 */
#include "internal.h"

#include <assert.h>
#include <string.h>

#define INET_LEN  4U
#define INET6_LEN 16U

static_assert(PROXYHDR_V2_INET_LEN == PROXYHDR_V2_MIN + 2 * (INET_LEN + 2), "section 2.2");
static_assert(PROXYHDR_V2_INET6_LEN == PROXYHDR_V2_MIN + 2 * (INET6_LEN + 2), "section 2.2");
static_assert(PROXYHDR_V2_UNIX_LEN == PROXYHDR_V2_MIN + 2 * PROXYHDR_ADDR_MAX, "section 2.2");

const uint8_t proxyhdr_v2_signature[V2_SIGNATURE_LEN] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a,
	'Q', 'U', 'I', 'T', 0x0a };

int proxyhdr_v2_address_len(uint8_t byte13)
{
	switch (byte13) {
	case 0x00:
		return PROXYHDR_V2_UNSPEC_LEN - PROXYHDR_V2_MIN;
	case 0x11:
	case 0x12:
		return PROXYHDR_V2_INET_LEN - PROXYHDR_V2_MIN;
	case 0x21:
	case 0x22:
		return PROXYHDR_V2_INET6_LEN - PROXYHDR_V2_MIN;
	case 0x31:
	case 0x32:
		return PROXYHDR_V2_UNIX_LEN - PROXYHDR_V2_MIN;
	default:
		return -1;
	}
}

/*
 * Judges the 16 fixed bytes as far as they are there. With NONE they all are, and *ret_addresses
 * and *ret_length are the lengths of the address block and of all that follows. The length counts
 * once both of its bytes are there: half of it decides nothing, as even 0 may become 255, which has
 * room for any addresses.
 */
static enum proxyhdr_reason check_fixed(
	const uint8_t *data, size_t len, size_t *ret_addresses, size_t *ret_length)
{
	bool local = false;
	int addresses = 0;
	size_t length;

	if (memcmp(data, proxyhdr_v2_signature, len < V2_SIGNATURE_LEN ? len : V2_SIGNATURE_LEN) !=
		0)
		return PROXYHDR_REASON_SIGNATURE;

	if (len > V2_VERSION_AT) {
		if (data[V2_VERSION_AT] >> 4 != 2)
			return PROXYHDR_REASON_V2_VERSION;
		if ((data[V2_VERSION_AT] & 0xf) > PROXYHDR_PROXY)
			return PROXYHDR_REASON_V2_COMMAND;
		local = (data[V2_VERSION_AT] & 0xf) == PROXYHDR_LOCAL;
	}

	/* LOCAL: "discard the protocol block including the family which is ignored" */
	if (len > V2_FAMILY_AT && !local) {
		addresses = proxyhdr_v2_address_len(data[V2_FAMILY_AT]);
		if (addresses < 0)
			return PROXYHDR_REASON_V2_FAMILY;
	}

	if (len < PROXYHDR_V2_MIN)
		return PROXYHDR_REASON_MORE;

	length = proxyhdr_get16(data + V2_LENGTH_AT);
	if (length < (size_t)addresses)
		return PROXYHDR_REASON_V2_LENGTH;

	*ret_addresses = (size_t)addresses;
	*ret_length = length;
	return PROXYHDR_REASON_NONE;
}

/* Judges the TLVs behind `area`, and the CRC32c among them once header[0..total) is all there. */
static enum proxyhdr_reason check_tlvs(
	const uint8_t *header, size_t visible, size_t total, size_t area)
{
	enum proxyhdr_reason reason;
	size_t crc = SIZE_MAX;
	uint32_t told;

	/* Still within the addresses: that only stray bytes can follow them is known already. */
	if (visible <= area)
		reason = proxyhdr_tlv_check(NULL, 0, total - area, &crc);
	else
		reason = proxyhdr_tlv_check(header + area, visible - area, total - area, &crc);
	if (reason != PROXYHDR_REASON_NONE || crc == SIZE_MAX)
		return reason;

	crc += area;
	told = (uint32_t)proxyhdr_get16(header + crc) << 16 | proxyhdr_get16(header + crc + 2);
	if (told != proxyhdr_crc32c_header(header, total, crc))
		return PROXYHDR_REASON_CRC32C_MISMATCH;
	return PROXYHDR_REASON_NONE;
}

/* Reads both ends from an address block of the right length, at data + 16. */
static void read_endpoints(const uint8_t *data, struct proxyhdr *hdr)
{
	const uint8_t *block = data + PROXYHDR_V2_MIN;
	size_t addr_len;

	switch (hdr->family) {
	case PROXYHDR_INET:
		addr_len = INET_LEN;
		break;
	case PROXYHDR_INET6:
		addr_len = INET6_LEN;
		break;
	case PROXYHDR_UNIX:
		addr_len = PROXYHDR_ADDR_MAX;
		break;
	case PROXYHDR_UNSPEC:
	default:
		return;
	}

	memcpy(hdr->src.addr, block, addr_len);
	memcpy(hdr->dst.addr, block + addr_len, addr_len);
	if (hdr->family != PROXYHDR_UNIX) {
		hdr->src.port = proxyhdr_get16(block + 2 * addr_len);
		hdr->dst.port = proxyhdr_get16(block + 2 * addr_len + 2);
	}
}

enum proxyhdr_reason proxyhdr_decode_v2(const uint8_t *data, size_t len, struct proxyhdr *ret_hdr)
{
	struct proxyhdr hdr = { .version = 2 };
	size_t addresses = 0;
	size_t length = 0;
	enum proxyhdr_reason reason;

	reason = check_fixed(data, len, &addresses, &length);
	if (reason != PROXYHDR_REASON_NONE)
		return reason;

	hdr.consumed = PROXYHDR_V2_MIN + length;
	hdr.command = data[V2_VERSION_AT] & 0xf ? PROXYHDR_PROXY : PROXYHDR_LOCAL;

	/* LOCAL, or byte 13 is 00: the rest is skipped, and hdr stays UNSPEC, without TLVs. */
	if (addresses > 0) {
		size_t area = PROXYHDR_V2_MIN + addresses;
		size_t visible = len < hdr.consumed ? len : hdr.consumed;

		reason = check_tlvs(data, visible, hdr.consumed, area);
		if (reason != PROXYHDR_REASON_NONE)
			return reason;

		hdr.family = (enum proxyhdr_family)(data[V2_FAMILY_AT] >> 4);
		hdr.transport = (enum proxyhdr_transport)(data[V2_FAMILY_AT] & 0xf);
		hdr.tlvs_len = hdr.consumed - area;
		hdr.tlvs = hdr.tlvs_len > 0 ? data + area : NULL;
	}

	if (len < hdr.consumed)
		return PROXYHDR_REASON_MORE;

	read_endpoints(data, &hdr);
	*ret_hdr = hdr;
	return PROXYHDR_REASON_NONE;
}
