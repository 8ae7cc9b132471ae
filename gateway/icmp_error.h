/*
 * icmp_error - the ICMP error that tells a UDP client what became of its datagram, quoting that
 * datagram as it came: plain functions over plain data.
 *
 * Source: RFC 4443 and 8200 for IPv6 clients, RFC 792, 1191 and 1812 for IPv4 ones, RFC 7915
 * section 4.2 for what an IPv4 error means to an IPv6 client.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sockaddr.h"

#define ICMP_ERROR_MAX 1240 /* an error's packet has 1280 bytes at most, its IPv6 header 40 */

enum icmp_error_kind {
	ICMP_ERROR_PORT, /* nobody listens there */
	ICMP_ERROR_ADDRESS,
	ICMP_ERROR_NO_ROUTE,
	ICMP_ERROR_PROHIBITED,
	ICMP_ERROR_TOO_BIG,
};

/* The client's datagram, out of which its headers are made again: the kernel does not give them. */
struct icmp_error_quote {
	const struct sockaddr_any *client, *local; /* of one family, no v4-mapped form */
	uint32_t flow_label;			   /* IPv6; the lower 20 bits */
	uint8_t traffic_class;			   /* of IPv4 the type of service */
	uint8_t hop_limit;			   /* of IPv4 the time to live */
	const uint8_t *payload;
	size_t payload_len;  /* bytes at hand */
	size_t datagram_len; /* of payload that the datagram had */
};

/*
 * The ICMP message, without its IP header, into buf. mtu: for TOO_BIG. The checksum of an ICMPv6
 * message is left to the kernel, which knows the source (RFC 3542, section 3.1). The quoted UDP
 * checksum is zero if the payload is not all at hand. As much of the payload is quoted as fits. 0;
 * -EINVAL: no such datagram can have come, and ret_len is untouched.
 */
int icmp_error_encode(enum icmp_error_kind kind, uint32_t mtu, const struct icmp_error_quote *quote,
	uint8_t buf[ICMP_ERROR_MAX], size_t *ret_len);

/* What a server's ICMPv4 error says; -ENOENT: nothing that a client is told. */
int icmp_error_of_icmp4(uint8_t type, uint8_t code, enum icmp_error_kind *ret_kind);

/*
 * The largest IP packet of the client whose payload, behind a header of header_len bytes, fits the
 * server's MTU; never less than every link must take: 1280 bytes (IPv6), 68 (IPv4).
 */
uint32_t icmp_error_mtu(const struct sockaddr_any *client, uint32_t server_mtu, size_t header_len);
