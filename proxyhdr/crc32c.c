/* SPDX-License-Identifier: MIT */
/*
 * CRC32c: by the processor's own instruction where there is one, or else in software, four bits at
 * a time: a header is some hundred bytes, and sixteen table entries stay in one cache line where
 * 256 would not.
 */
#include "internal.h"

#include <assert.h>
#include <string.h>

/* Of 0x82F63B78, the polynomial bit-reflected: entry i is what i becomes in four steps of a bit. */
static const uint32_t crc32c_nibble[16] = {
	0x00000000,
	0x105ec76f,
	0x20bd8ede,
	0x30e349b1,
	0x417b1dbc,
	0x5125dad3,
	0x61c69362,
	0x7198540d,
	0x82f63b78,
	0x92a8fc17,
	0xa24bb5a6,
	0xb21572c9,
	0xc38d26c4,
	0xd3d3e1ab,
	0xe330a81a,
	0xf36e6f75,
};

uint32_t proxyhdr_crc32c_in_software(uint32_t crc, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		crc = crc >> 4 ^ crc32c_nibble[crc & 0xf];
		crc = crc >> 4 ^ crc32c_nibble[crc & 0xf];
	}
	return crc;
}

#ifdef __x86_64__

/* Looks into what the compiler's run time has found out before main(); it costs a load. */
static bool has_instruction(void)
{
	return __builtin_cpu_supports("sse4.2");
}

/*
 * The instruction has this very polynomial. Eight bytes in one word are the same as one after
 * another, as x86 is little-endian and the CRC is reflected. Copied, as TLVs have no alignment.
 */
__attribute__((target("sse4.2"))) static uint32_t by_instruction(
	uint32_t crc, const uint8_t *data, size_t len)
{
	uint64_t word;

	for (; len >= sizeof(word); data += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, data, sizeof(word));
		crc = (uint32_t)__builtin_ia32_crc32di(crc, word);
	}
	for (; len > 0; data++, len--)
		crc = __builtin_ia32_crc32qi(crc, *data);
	return crc;
}

#else

static bool has_instruction(void)
{
	return false;
}

static uint32_t by_instruction(uint32_t crc, const uint8_t *data, size_t len)
{
	return proxyhdr_crc32c_in_software(crc, data, len);
}

#endif

uint32_t proxyhdr_crc32c_update(uint32_t crc, const uint8_t *data, size_t len)
{
	return has_instruction() ? by_instruction(crc, data, len)
				 : proxyhdr_crc32c_in_software(crc, data, len);
}

/* In three pieces: the header may be the caller's input, which is neither changed nor copied. */
uint32_t proxyhdr_crc32c_header(const uint8_t *header, size_t len, size_t crc_at)
{
	static const uint8_t zero[PROXYHDR_CRC32C_LEN];
	size_t behind = crc_at + PROXYHDR_CRC32C_LEN;
	uint32_t crc = PROXYHDR_CRC32C_INIT;

	assert(behind <= len);

	crc = proxyhdr_crc32c_update(crc, header, crc_at);
	crc = proxyhdr_crc32c_update(crc, zero, sizeof(zero));
	crc = proxyhdr_crc32c_update(crc, header + behind, len - behind);
	return ~crc;
}
