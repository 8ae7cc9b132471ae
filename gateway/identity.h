/*
 * identity - what the server is told about the client: plain functions over plain data.
 *
 * source is the client's own address and port; destination is the address that the client connected
 * to, not the backend. PROXY protocol, proxy-protocol.txt sections 2.1 and 2.2.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "config.h"

#define IDENTITY_HEADER_MAX 128 /* no TLVs: at most 107 bytes (v1) */

/*
 * The header for a flow into buf, protocol being IPPROTO_TCP or IPPROTO_UDP; its length is 0 for an
 * identity without one. A pair of v4-mapped addresses is told as IPv4; one alone stays. 0, or
 * -EINVAL if the two addresses are not of one family: such a connection must not be passed on.
 */
int identity_header(enum identity identity, uint8_t protocol, const struct sockaddr_any *client,
	const struct sockaddr_any *local, uint8_t buf[IDENTITY_HEADER_MAX], size_t *ret_len);
