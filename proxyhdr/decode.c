/* SPDX-License-Identifier: MIT */
/*
 * Decoding: which version it is, what the caller accepts, and the words for a refusal.
 */
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static const char *const reason_text[] = {
	[PROXYHDR_REASON_NONE] = "valid",
	[PROXYHDR_REASON_MORE] = "the header is not complete",
	[PROXYHDR_REASON_TRUNCATED] = "the datagram ends within the header",
	[PROXYHDR_REASON_SIGNATURE] = "not a PROXY protocol header",
	[PROXYHDR_REASON_REFUSED] = "a PROXY protocol version that is not accepted here",
	[PROXYHDR_REASON_V1_DATAGRAM] = "version 1 cannot describe datagrams",
	[PROXYHDR_REASON_V1_PROTOCOL] = "the protocol is none of TCP4, TCP6 and UNKNOWN",
	[PROXYHDR_REASON_V1_ADDRESS] = "not an address of the announced family",
	[PROXYHDR_REASON_V1_PORT] = "not a port from 0 to 65535 without leading zeroes",
	[PROXYHDR_REASON_V1_END] = "the line does not end with CR LF behind the ports",
	[PROXYHDR_REASON_V1_TOO_LONG] = "no CR LF within 107 bytes",
	[PROXYHDR_REASON_V2_VERSION] = "the version is not 2",
	[PROXYHDR_REASON_V2_COMMAND] = "the command is neither LOCAL nor PROXY",
	[PROXYHDR_REASON_V2_FAMILY] = "undefined combination of address family and transport",
	[PROXYHDR_REASON_V2_LENGTH] = "too short for the addresses of its family",
	[PROXYHDR_REASON_TLV_SHORT] = "stray bytes behind the last TLV",
	[PROXYHDR_REASON_TLV_OVERRUN] = "a TLV runs past the end of the header",
	[PROXYHDR_REASON_UNIQUE_ID_LENGTH] = "a unique ID of more than 128 bytes",
	[PROXYHDR_REASON_CRC32C_LENGTH] = "a CRC32c that is not 4 bytes long",
	[PROXYHDR_REASON_CRC32C_TWICE] = "more than one CRC32c",
	[PROXYHDR_REASON_CRC32C_MISMATCH] = "the CRC32c does not match",
};
static_assert(sizeof(reason_text) / sizeof(reason_text[0]) == PROXYHDR_REASON_CRC32C_MISMATCH + 1,
	"every reason has its text");

const char *proxyhdr_reason_text(enum proxyhdr_reason reason)
{
	size_t i = (size_t)reason;

	return i < sizeof(reason_text) / sizeof(reason_text[0]) ? reason_text[i] : "unknown reason";
}

static bool starts_with(const uint8_t *data, size_t len, const void *prefix, size_t prefix_len)
{
	return len >= prefix_len && memcmp(data, prefix, prefix_len) == 0;
}

/*
 * The two versions differ in the first byte, so that one byte is enough to choose a decoder, or to
 * say that no accepted version can come of it. REFUSED is only said of what really is a header; a
 * version that is not accepted is never waited for, so a peer that sends "P" and stops is invalid
 * where version 1 is refused.
 *
 * Version 1 has no place in a datagram even if its flag is set, as the flags of a socket that takes
 * both are often the same for both protocols.
 */
static enum proxyhdr_reason decode_any(
	const uint8_t *data, size_t len, unsigned flags, struct proxyhdr *ret_hdr)
{
	static const uint8_t v1_word[5] = { 'P', 'R', 'O', 'X', 'Y' };

	if (len == 0)
		return PROXYHDR_REASON_MORE;

	if (data[0] == v1_word[0]) {
		bool complete = starts_with(data, len, v1_word, sizeof(v1_word));

		if (complete && flags & PROXYHDR_DATAGRAM)
			return PROXYHDR_REASON_V1_DATAGRAM;
		if (flags & PROXYHDR_ACCEPT_V1 && !(flags & PROXYHDR_DATAGRAM))
			return proxyhdr_decode_v1(data, len, ret_hdr);
		return complete ? PROXYHDR_REASON_REFUSED : PROXYHDR_REASON_SIGNATURE;
	}

	if (data[0] == proxyhdr_v2_signature[0]) {
		if (flags & PROXYHDR_ACCEPT_V2)
			return proxyhdr_decode_v2(data, len, ret_hdr);
		if (starts_with(data, len, proxyhdr_v2_signature, V2_SIGNATURE_LEN))
			return PROXYHDR_REASON_REFUSED;
	}
	return PROXYHDR_REASON_SIGNATURE;
}

int proxyhdr_decode(const void *data, size_t len, unsigned flags, struct proxyhdr *ret_hdr,
	enum proxyhdr_reason *reason)
{
	const unsigned versions = PROXYHDR_ACCEPT_V1 | PROXYHDR_ACCEPT_V2;
	enum proxyhdr_reason why;

	assert(data || len == 0);

	if (!(flags & versions) || flags & ~(versions | PROXYHDR_DATAGRAM))
		return -EINVAL;

	why = decode_any(data, len, flags, ret_hdr);
	/* The decoders judge prefixes; that there is no more to come is known here alone. */
	if (why == PROXYHDR_REASON_MORE && flags & PROXYHDR_DATAGRAM)
		why = PROXYHDR_REASON_TRUNCATED;
	if (reason)
		*reason = why;

	if (why == PROXYHDR_REASON_NONE)
		return 0;
	return why == PROXYHDR_REASON_MORE ? -EAGAIN : -EBADMSG;
}
