/* SPDX-License-Identifier: MIT */
/*
 * libproxyhdr - encode and decode the PROXY protocol header, versions 1 and 2.
 *
 * The header is what a relay puts in front of a connection's bytes (or in front of each datagram)
 * to tell the server who the client is. The format is HAProxy's doc/proxy-protocol.txt, cited here
 * as "section N".
 *
 * The library works on memory that the caller owns: it allocates nothing, opens nothing, logs
 * nothing and keeps no state between calls, so every function may be called from any thread.
 *
 * Whether a header is to be believed is not for the library to say: anybody can write one. Take it
 * only from peers that you know, and take nothing else from those (sections 2 and 5).
 *
 * Pointers must not be NULL, unless it says that they may. That is the caller's business, and all
 * that an assertion may stop the program for; no input from the network trips one.
 *
 * Functions return 0 or a negative errno. What a function hands back goes through parameters named
 * ret_*, which are not written to when it fails. A header (struct proxyhdr) is about 270 bytes and
 * fit for the stack.
 */
#ifndef PROXYHDR_H
#define PROXYHDR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PROXYHDR_API __attribute__((visibility("default")))
#else
#define PROXYHDR_API
#endif

/* ---- sizes, all in bytes ---- */

#define PROXYHDR_V1_MAX	       107U /* longest line, CR and LF included (section 2.1) */
#define PROXYHDR_V2_MIN	       16U  /* signature, version/command, family/transport, length */
#define PROXYHDR_V2_UNSPEC_LEN 16U  /* whole header without TLVs, by family (section 2.2) */
#define PROXYHDR_V2_INET_LEN   28U
#define PROXYHDR_V2_INET6_LEN  52U
#define PROXYHDR_V2_UNIX_LEN   232U
#define PROXYHDR_V2_MAX	       65551U /* 16 + 65535: with so many bytes none is incomplete */
#define PROXYHDR_TLV_HEAD_LEN  3U     /* type, length */
#define PROXYHDR_CRC32C_LEN    4U     /* value of a CRC32c TLV; the whole TLV takes 7 */
#define PROXYHDR_UNIQUE_ID_MAX 128U   /* value of a UNIQUE_ID TLV (section 2.2.5) */
#define PROXYHDR_ADDR_MAX      108U   /* a UNIX path; IP addresses take the first 4 or 16 */

/* ---- what a header says ---- */

/*
 * The values of these three are those on the wire (version 2): the command is the lower half of
 * byte 12, family and transport are the halves of byte 13.
 */
enum proxyhdr_command {
	PROXYHDR_LOCAL = 0, /* the relay's own connection: the socket's endpoints count */
	PROXYHDR_PROXY = 1, /* on behalf of a client: the header's endpoints count */
};

enum proxyhdr_family {
	PROXYHDR_UNSPEC = 0, /* no addresses: the socket's endpoints count */
	PROXYHDR_INET = 1,
	PROXYHDR_INET6 = 2,
	PROXYHDR_UNIX = 3,
};

enum proxyhdr_transport {
	PROXYHDR_TRANSPORT_UNSPEC = 0,
	PROXYHDR_STREAM = 1,
	PROXYHDR_DGRAM = 2,
};

/*
 * One end. INET uses addr[0..3], INET6 addr[0..15], both in network order; UNIX uses all 108 bytes,
 * a path filled up with zeroes: it has no NUL if it is 108 bytes long, and begins with one if it is
 * an abstract name. The port is in host order, and 0 for UNIX; 0 is also one that a client may have
 * (section 2.1). What a family does not use is zero after decoding and not looked at for encoding.
 */
struct proxyhdr_endpoint {
	uint8_t addr[PROXYHDR_ADDR_MAX];
	uint16_t port;
};

/*
 * A header. `tlvs` points at raw TLVs (version 2 only), NULL when there are none: after decoding
 * into the caller's input, and is good as long as that is; before encoding at whatever the caller
 * wants copied behind the addresses. The library never owns or frees it, and a copy of the struct
 * points at the same bytes. `consumed` is the header's length on the wire, 16 to 65551, or 15 to
 * 107 in version 1; the payload begins there. Encoding ignores it.
 */
struct proxyhdr {
	uint8_t version; /* 1 or 2 */
	enum proxyhdr_command command;
	enum proxyhdr_family family;
	enum proxyhdr_transport transport;
	struct proxyhdr_endpoint src;
	struct proxyhdr_endpoint dst;
	const uint8_t *tlvs;
	size_t tlvs_len;
	size_t consumed;
};

/*
 * TLV types that the specification names (section 2.2 and those behind it). Any other byte is a
 * type, too, and 0 is nobody's. Their values are bytes without a NUL at the end; what is in them is
 * not looked at by this library, but for the length of UNIQUE_ID and the CRC32c.
 */
enum proxyhdr_tlv_type {
	PROXYHDR_TLV_ALPN = 0x01,
	PROXYHDR_TLV_AUTHORITY = 0x02,
	PROXYHDR_TLV_CRC32C = 0x03,
	PROXYHDR_TLV_NOOP = 0x04,
	PROXYHDR_TLV_UNIQUE_ID = 0x05,
	PROXYHDR_TLV_SSL = 0x20,
	PROXYHDR_TLV_SSL_VERSION = 0x21, /* 0x21 to 0x28 stand inside an SSL TLV only */
	PROXYHDR_TLV_SSL_CN = 0x22,
	PROXYHDR_TLV_SSL_CIPHER = 0x23,
	PROXYHDR_TLV_SSL_SIG_ALG = 0x24,
	PROXYHDR_TLV_SSL_KEY_ALG = 0x25,
	PROXYHDR_TLV_SSL_GROUP = 0x26,
	PROXYHDR_TLV_SSL_SIG_SCHEME = 0x27,
	PROXYHDR_TLV_SSL_CLIENT_CERT = 0x28,
	PROXYHDR_TLV_NETNS = 0x30,
	PROXYHDR_TLV_CUSTOM_MIN = 0xE0,
	PROXYHDR_TLV_CUSTOM_MAX = 0xEF,
	PROXYHDR_TLV_EXPERIMENT_MIN = 0xF0,
	PROXYHDR_TLV_EXPERIMENT_MAX = 0xF7,
	PROXYHDR_TLV_FUTURE_MIN = 0xF8,
	PROXYHDR_TLV_FUTURE_MAX = 0xFF,
};

/* ---- encoding ---- */

/*
 * Writes `hdr` into buf[0..size), with hdr->tlvs copied behind the addresses if tlvs_len is not 0.
 * The result is to be the first thing on the connection, in one write; in front of the payload in
 * the same datagram, every time, over UDP. 0, and *ret_len is its length; on failure neither that
 * nor buf is written to.
 *
 * Version 1 (section 2.1): INET and INET6 with STREAM, or UNSPEC and LOCAL, which both become
 * "PROXY UNKNOWN". IPv6 is written in hexadecimal groups throughout, also when it holds an IPv4
 * address, as the grammar knows nothing else; in lower case and with the longest run of zeroes as
 * "::" (RFC 5952). 107 bytes take every line.
 *
 * Version 2 (section 2.2): byte 13 is one of 00 11 12 21 22 31 32. LOCAL is encoded as the struct
 * says: with family and transport UNSPEC, as recommended, it is 16 bytes; with a family the
 * addresses are written too. TLVs are written in either case, but behind LOCAL and UNSPEC no
 * receiver has to look at them, and proxyhdr_decode does not.
 *
 * tlvs must be well-formed, must not lie in buf, and must not hold a CRC32c TLV, which
 * proxyhdr_crc32c_append adds.
 *
 *   -EINVAL    no such header: unknown version, command, family or transport; family without
 *              transport or the reverse; version 1 with UNIX, DGRAM or TLVs; a port on UNIX;
 *              malformed TLVs, UNIQUE_ID of more than 128 bytes, CRC32c among them
 *   -EMSGSIZE  addresses and TLVs are more than 65535 bytes
 *   -ENOSPC    buf is too small; 232 bytes take every header without TLVs
 */
PROXYHDR_API int proxyhdr_encode(
	const struct proxyhdr *hdr, uint8_t *buf, size_t size, size_t *ret_len);

/*
 * Appends one TLV to the encoded version 2 header buf[0..*inout_len) and corrects its length field.
 * value may be NULL if value_len is 0, and must not lie in buf. 0, and *inout_len has grown by
 * 3 + value_len; on failure nothing is changed. Whether the same type is there already is not
 * looked at. The whole header is checked each time: for many TLVs let proxyhdr_encode copy them.
 *
 *   -EINVAL    buf does not hold exactly one version 2 header, judged by its signature, bytes 12
 * and 13, length and TLVs; it has a CRC32c TLV already, which must be the last to be added; type is
 * CRC32c; UNIQUE_ID of more than 128 bytes -EMSGSIZE  addresses and TLVs would be more than 65535
 * bytes -ENOSPC    buf[0..size) is too small
 */
PROXYHDR_API int proxyhdr_tlv_append(uint8_t *buf, size_t size, size_t *inout_len, uint8_t type,
	const void *value, uint16_t value_len);

/*
 * Appends the CRC32c TLV over the whole header (section 2.2.3), which takes 7 bytes; its value is
 * in network order. Must be the last change to it: a receiver that checks it must refuse the header
 * if a byte is another one, and proxyhdr_tlv_append refuses to change it. Errors as
 * proxyhdr_tlv_append.
 */
PROXYHDR_API int proxyhdr_crc32c_append(uint8_t *buf, size_t size, size_t *inout_len);

/* ---- decoding ---- */

/* What to accept: version flags are or'ed together, at least one of them. */
#define PROXYHDR_ACCEPT_V1 0x1U
#define PROXYHDR_ACCEPT_V2 0x2U
/*
 * The input is one whole datagram. There is no more to come, so that an incomplete header is an
 * invalid one, and version 1, which knows no datagrams, is invalid whatever else is accepted.
 */
#define PROXYHDR_DATAGRAM 0x4U

/* Why a header was not accepted. The numbers are stable. */
enum proxyhdr_reason {
	PROXYHDR_REASON_NONE = 0,	  /* it was */
	PROXYHDR_REASON_MORE = 1,	  /* incomplete: a proper prefix of a valid header */
	PROXYHDR_REASON_TRUNCATED = 2,	  /* the same, in a datagram */
	PROXYHDR_REASON_SIGNATURE = 3,	  /* neither version's first bytes */
	PROXYHDR_REASON_REFUSED = 4,	  /* a version that the flags do not accept */
	PROXYHDR_REASON_V1_DATAGRAM = 5,  /* "PROXY" begins a datagram */
	PROXYHDR_REASON_V1_PROTOCOL = 6,  /* not TCP4, TCP6 or UNKNOWN and one space */
	PROXYHDR_REASON_V1_ADDRESS = 7,	  /* not one of the family, or no one space behind it */
	PROXYHDR_REASON_V1_PORT = 8,	  /* not 0 to 65535, a leading zero, no space behind */
	PROXYHDR_REASON_V1_END = 9,	  /* no CRLF where the line has to end */
	PROXYHDR_REASON_V1_TOO_LONG = 10, /* no CRLF within 107 bytes */
	PROXYHDR_REASON_V2_VERSION = 11,  /* the upper half of byte 12 is not 2 */
	PROXYHDR_REASON_V2_COMMAND = 12,  /* the lower half of byte 12 is neither 0 nor 1 */
	PROXYHDR_REASON_V2_FAMILY = 13,	  /* byte 13 is none of the seven that exist */
	PROXYHDR_REASON_V2_LENGTH = 14,	  /* too short for the family's addresses */
	PROXYHDR_REASON_TLV_SHORT = 15,	  /* one or two stray bytes behind the last TLV */
	PROXYHDR_REASON_TLV_OVERRUN = 16, /* a TLV runs past the end of the header */
	PROXYHDR_REASON_UNIQUE_ID_LENGTH = 17,
	PROXYHDR_REASON_CRC32C_LENGTH = 18,
	PROXYHDR_REASON_CRC32C_TWICE = 19,
	PROXYHDR_REASON_CRC32C_MISMATCH = 20,
};

/* A short English text for `reason`, without a newline; static, never NULL. */
PROXYHDR_API const char *proxyhdr_reason_text(enum proxyhdr_reason reason);

/*
 * Decodes the header at the start of data[0..len); payload may follow it, and data may be NULL if
 * len is 0, which is incomplete. data is only read, and ret_hdr->tlvs leads into it. Nothing is
 * remembered from call to call: each begins anew at the first byte. Returns one of
 *
 *   0         ok: *ret_hdr is set, and its consumed tells where the payload begins
 *   -EAGAIN   incomplete: read more and call again with all of it. Never with PROXYHDR_DATAGRAM,
 *             and never with PROXYHDR_V2_MAX bytes or more
 *   -EBADMSG  invalid: no bytes behind these would make a valid header
 *   -EINVAL   the call is wrong: no version in flags, or an unknown flag
 *
 * *reason (which may be NULL) is set whatever the result, except for -EINVAL.
 *
 * Every proper prefix of a valid header is incomplete, and a prefix that can no longer become valid
 * is invalid as soon as the byte that spoils it is there. The one exception is the CRC32c, which is
 * looked at when the header is complete.
 *
 * Where the specification leaves a choice, or software in use differs:
 *
 *   LOCAL         any byte 13, whatever its nibbles; the block behind it is skipped and not looked
 *                 at, its TLVs and CRC32c included; handed back as UNSPEC without TLVs.
 *   PROXY, 00     accepted, the socket's endpoints count; its block is skipped likewise, as nobody
 *                 can tell where addresses would end and TLVs begin.
 *   PROXY, other  byte 13 must be 11 12 21 22 31 32. Half-specified ones (10, 20, 30, 01, 02) say
 *                 nothing a receiver could use and are invalid.
 *   UNKNOWN (v1)  PROXY with UNSPEC. What stands between "UNKNOWN " and the first CRLF is ignored.
 *   IPv6 in v1    as inet_pton takes it, the form with an IPv4 address at the end included.
 *   TLVs          unknown types are accepted. Two CRC32c TLVs are invalid, since each would have to
 *                 be computed over the other. A UNIQUE_ID of more than 128 bytes is invalid. SSL is
 *                 not looked into: see proxyhdr_tlv_ssl.
 *   transport     STREAM in a datagram and DGRAM on a stream are accepted: it is the client's
 *                 transport that the header tells, not the one it came by.
 */
PROXYHDR_API int proxyhdr_decode(const void *data, size_t len, unsigned flags,
	struct proxyhdr *ret_hdr, enum proxyhdr_reason *reason);

/* ---- walking through TLVs ---- */

/*
 * A TLV; value points into the area that is walked through, and is good as long as that is. If len
 * is 0 it may be the first byte behind the area, and must not be read.
 */
struct proxyhdr_tlv {
	uint8_t type;
	uint16_t len; /* of the value, in bytes */
	const uint8_t *value;
};

/* A place in a TLV area. The members are the library's own. To be copied, and forgotten, freely. */
struct proxyhdr_tlv_iter {
	const uint8_t *next;
	size_t left;
	int error;
};

/*
 * Starts at the first TLV of tlvs[0..len), which must outlive the iterator. NULL with 0 is fine.
 *
 *	proxyhdr_tlv_start(&it, hdr.tlvs, hdr.tlvs_len);
 *	while ((r = proxyhdr_tlv_next(&it, &tlv)) > 0)
 *		...
 */
PROXYHDR_API void proxyhdr_tlv_start(
	struct proxyhdr_tlv_iter *iter, const uint8_t *tlvs, size_t len);

/*
 * Returns 1 and the next TLV, 0 at the end, or -EBADMSG where the area is malformed (a TLV runs
 * past the end, or one or two bytes are left); from then on always -EBADMSG, so that one check
 * after the loop is enough. Types are not judged. A decoded header's area is known to be
 * well-formed; the inside of an SSL TLV is not.
 */
PROXYHDR_API int proxyhdr_tlv_next(struct proxyhdr_tlv_iter *iter, struct proxyhdr_tlv *ret_tlv);

/*
 * Looks into an SSL TLV (section 2.2.6): ret_client gets its bit field (0x01: by SSL or TLS, 0x02:
 * a certificate on this connection, 0x04: in its session), ret_verify, in host order, 0 if the
 * client has shown a certificate that was verified, and ret_sub an iterator over the TLVs 0x21 to
 * 0x28 inside, which lead into tlv->value. 0; -EINVAL if tlv is of another type, -EBADMSG if it is
 * shorter than the five fixed bytes.
 */
PROXYHDR_API int proxyhdr_tlv_ssl(const struct proxyhdr_tlv *tlv, uint8_t *ret_client,
	uint32_t *ret_verify, struct proxyhdr_tlv_iter *ret_sub);

#ifdef __cplusplus
}
#endif

#endif
