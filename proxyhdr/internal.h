/* SPDX-License-Identifier: MIT */
/*
 * What the files of libproxyhdr share and nobody else sees.
 */
#ifndef PROXYHDR_INTERNAL_H
#define PROXYHDR_INTERNAL_H

#include "proxyhdr.h"

#include <stdbool.h>

/* Offsets within a version 2 header, and what its length field, in network order, can say. */
#define V2_SIGNATURE_LEN 12U
#define V2_VERSION_AT	 12U
#define V2_FAMILY_AT	 13U
#define V2_LENGTH_AT	 14U
#define V2_LENGTH_MAX	 65535U

extern const uint8_t proxyhdr_v2_signature[V2_SIGNATURE_LEN];

/*
 * The length of the address block under byte 13 of a PROXY header: 0, 12, 36 or 216; or -1 if the
 * byte is none of 00 11 12 21 22 31 32. Not to be asked of LOCAL, whose byte 13 means nothing.
 */
int proxyhdr_v2_address_len(uint8_t byte13);

/* Numbers in network order, at any address: TLVs have no alignment. */
static inline uint16_t proxyhdr_get16(const uint8_t *p)
{
	return (uint16_t)((unsigned)p[0] << 8 | p[1]);
}

static inline void proxyhdr_put16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)(value & 0xff);
}

/*
 * Decode one version, of which there is at least the first byte; the flags are dealt with by the
 * caller. Return NONE with *ret_hdr set, MORE, or what is wrong; *ret_hdr is untouched then.
 */
enum proxyhdr_reason proxyhdr_decode_v1(const uint8_t *data, size_t len, struct proxyhdr *ret_hdr);
enum proxyhdr_reason proxyhdr_decode_v2(const uint8_t *data, size_t len, struct proxyhdr *ret_hdr);

/* Encode one version, with the errors of proxyhdr_encode; version and command are good already. */
int proxyhdr_encode_v1(const struct proxyhdr *hdr, uint8_t *buf, size_t size, size_t *ret_len);
int proxyhdr_encode_v2(const struct proxyhdr *hdr, uint8_t *buf, size_t size, size_t *ret_len);

/*
 * Judges the structure of a TLV area that takes `declared` bytes, of which the first `visible` are
 * there; area may be NULL if none is. MORE means that the rest can still make it valid. *ret_crc
 * gets the offset within the area of the CRC32c's value, or SIZE_MAX if there is none; only with
 * NONE. Whether the CRC32c is right is not looked at: it is over more than the area.
 */
enum proxyhdr_reason proxyhdr_tlv_check(
	const uint8_t *area, size_t visible, size_t declared, size_t *ret_crc);

/*
 * CRC32c (RFC 4960 appendix B, bit-reflected polynomial 0x1EDC6F41), computed piece by piece: start
 * with PROXYHDR_CRC32C_INIT, and invert the result of the last piece.
 */
#define PROXYHDR_CRC32C_INIT 0xFFFFFFFFU
uint32_t proxyhdr_crc32c_update(uint32_t crc, const uint8_t *data, size_t len);
/* The same, whatever the processor can do. */
uint32_t proxyhdr_crc32c_in_software(uint32_t crc, const uint8_t *data, size_t len);

/*
 * The CRC32c of header[0..len) with the four bytes at crc_at taken as zero, whatever they hold.
 */
uint32_t proxyhdr_crc32c_header(const uint8_t *header, size_t len, size_t crc_at);

#endif
