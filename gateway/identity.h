/*
 * identity - what the server is told about the client: plain functions over plain data.
 *
 * source is the client's own address and port; destination is the address that the client connected
 * to, not the backend. PROXY protocol, proxy-protocol.txt sections 2.1 and 2.2.
 *
 * Here it is decided whether a header can be true; who cannot be told truly is not passed on. The
 * bytes are proxyhdr's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "config.h"

#define IDENTITY_HEADER_MAX CONFIG_HEADER_MAX

/* What a header of version 2 has beside the addresses. */
struct identity_extra {
	const uint8_t *tlvs; /* well-formed, and no CRC32c among them */
	size_t tlvs_len;
	bool crc32c; /* at the end */
};

/*
 * The header for a flow into buf, protocol being IPPROTO_TCP or IPPROTO_UDP; its length is 0 for an
 * identity without one. extra NULL: nothing; version 1 has nothing either way. A pair of v4-mapped
 * addresses is told as IPv4; one alone stays. 0; -EINVAL: the two addresses are not of one family,
 * or none, or it is version 1 for UDP; -EMSGSIZE: there is no room for it all. Such a connection
 * must not be passed on: ret_len is untouched, and what buf has is no header to be sent.
 *
 * local: what the client connected to. Called by workers.
 */
int identity_header(enum identity identity, uint8_t protocol, const struct sockaddr_any *client,
	const struct sockaddr_any *local, const struct identity_extra *extra,
	uint8_t buf[IDENTITY_HEADER_MAX], size_t *ret_len);
