/*
 * hold_packet - who wants to connect to what: read from the packet that begins a TCP connection.
 *
 * The bytes are a stranger's, and may be cut off; tests/fuzz has a target. Sources: RFC 791, RFC
 * 8200, RFC 9293. What cannot be read is no error of anybody's: such a client is let in unheld.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sockaddr.h"

struct hold_packet {
	struct sockaddr_any client;
	struct sockaddr_any local;
	uint32_t isn; /* the client's initial sequence number, the same when it sends it again */
};

/*
 * data: from the IP header on. ifindex: by which it came, the scope of link-local addresses. 0;
 * -EBADMSG: it is no SYN that can be read, as it is a fragment, or has headers that are unknown or
 * longer than what is there.
 */
int hold_packet_parse(
	const uint8_t *data, size_t len, uint32_t ifindex, struct hold_packet *ret_packet);
