/* SPDX-License-Identifier: MIT */
/*
 * Encoding version 2 (proxy-protocol.txt section 2.2), and the choice of the version.
 */
#include "internal.h"

#include <errno.h>
#include <string.h>

/* The length of the address block that hdr asks for, or -1 if there is no such combination. */
static int address_len(const struct proxyhdr *hdr)
{
	unsigned family = (unsigned)hdr->family;
	unsigned transport = (unsigned)hdr->transport;

	if (family > PROXYHDR_UNIX || transport > PROXYHDR_DGRAM)
		return -1;
	return proxyhdr_v2_address_len((uint8_t)(family << 4 | transport));
}

/*
 * Writes both ends, both addresses before both ports; `block_len` is what address_len said, and not
 * 0. UNIX fills it with paths alone.
 */
static void put_endpoints(uint8_t *block, const struct proxyhdr *hdr, size_t block_len)
{
	bool ports = hdr->family != PROXYHDR_UNIX;
	size_t addr_len = block_len / 2 - (ports ? 2 : 0);

	memcpy(block, hdr->src.addr, addr_len);
	memcpy(block + addr_len, hdr->dst.addr, addr_len);
	if (ports) {
		proxyhdr_put16(block + 2 * addr_len, hdr->src.port);
		proxyhdr_put16(block + 2 * addr_len + 2, hdr->dst.port);
	}
}

int proxyhdr_encode_v2(const struct proxyhdr *hdr, uint8_t *buf, size_t size, size_t *ret_len)
{
	int addresses = address_len(hdr);
	size_t block_len;
	size_t length;

	if (addresses < 0)
		return -EINVAL;
	if (hdr->family == PROXYHDR_UNIX && (hdr->src.port || hdr->dst.port))
		return -EINVAL;

	block_len = (size_t)addresses;
	if (hdr->tlvs_len > V2_LENGTH_MAX - block_len)
		return -EMSGSIZE;
	if (hdr->tlvs_len > 0) {
		size_t crc = SIZE_MAX;

		if (proxyhdr_tlv_check(hdr->tlvs, hdr->tlvs_len, hdr->tlvs_len, &crc) ||
			crc != SIZE_MAX)
			return -EINVAL;
	}

	length = block_len + hdr->tlvs_len;
	if (size < PROXYHDR_V2_MIN + length)
		return -ENOSPC;

	/* Nothing can fail from here on: buf is written whole or not at all. */
	memcpy(buf, proxyhdr_v2_signature, V2_SIGNATURE_LEN);
	buf[V2_VERSION_AT] = (uint8_t)(2U << 4 | (unsigned)hdr->command);
	buf[V2_FAMILY_AT] = (uint8_t)((unsigned)hdr->family << 4 | (unsigned)hdr->transport);
	proxyhdr_put16(buf + V2_LENGTH_AT, (uint16_t)length);
	if (block_len > 0)
		put_endpoints(buf + PROXYHDR_V2_MIN, hdr, block_len);
	if (hdr->tlvs_len > 0)
		memcpy(buf + PROXYHDR_V2_MIN + block_len, hdr->tlvs, hdr->tlvs_len);

	*ret_len = PROXYHDR_V2_MIN + length;
	return 0;
}

int proxyhdr_encode(const struct proxyhdr *hdr, uint8_t *buf, size_t size, size_t *ret_len)
{
	if (hdr->command != PROXYHDR_LOCAL && hdr->command != PROXYHDR_PROXY)
		return -EINVAL;
	if (hdr->tlvs_len > 0 && !hdr->tlvs)
		return -EINVAL;

	switch (hdr->version) {
	case 1:
		return proxyhdr_encode_v1(hdr, buf, size, ret_len);
	case 2:
		return proxyhdr_encode_v2(hdr, buf, size, ret_len);
	default:
		return -EINVAL;
	}
}
