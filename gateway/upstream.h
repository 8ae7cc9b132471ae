/*
 * upstream - the header that a proxy in front of us sends about its client: read from its
 * connection, and what it says.
 *
 * Only what comes from a configured address is ever taken for one, and from there nothing else is
 * taken. PROXY protocol, proxy-protocol.txt sections 2.1 and 2.2.
 *
 * Called by workers, of TCP flows. Nothing is remembered of a header that is not whole: it is
 * looked at from its beginning with each event, in the socket's own buffer.
 */
#pragma once

#include <proxyhdr.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"

/* A header with all its TLVs, at most: as much as nginx takes. */
#define UPSTREAM_HEADER_MAX 4096U

/* Whether the peer, v4-mapped or not, is one that tells us who its clients are. */
bool upstream_is_trusted(
	const struct config_accept_proxy *accept_proxy, const struct sockaddr_any *peer);

/*
 * Takes the header out of a non-blocking socket, whole and with no byte behind it. ended: the
 * peer's FIN is there already. The TLVs of ret_header point into buf. Unless it is done, nothing
 * was taken out (but after -EIO), and ret_header is untouched; buf has what was there.
 *
 *   0         done
 *   -EAGAIN   not all of it is there
 *   -ENODATA  the peer has closed without a word
 *   -EBADMSG  this is no header that we take; ret_reason, untouched otherwise, says why; it is
 *             static
 *   others    what the socket said
 */
int upstream_read(int fd, uint8_t buf[UPSTREAM_HEADER_MAX], bool ended, struct proxyhdr *ret_header,
	const char **ret_reason);

/*
 * The client that the header names and the address it connected to, as they are written there. Both
 * of family 0: it names none (LOCAL, UNKNOWN, UNSPEC), and the connection's own ends count. 0; or
 * -EAFNOSUPPORT, and both are untouched: it names a UNIX socket, which no server could be told of.
 * That it says DGRAM is not minded.
 */
int upstream_ends(
	const struct proxyhdr *header, struct sockaddr_any *ret_src, struct sockaddr_any *ret_dst);
