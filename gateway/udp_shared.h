/*
 * udp_shared - what the workers of UDP listeners share, made before they are forked: source ports,
 * and the raw sockets by which clients are told that a datagram was too large or nobody is there.
 *
 * Opened and closed by the supervisor; workers inherit it, and never close it.
 */
#pragma once

#include <stddef.h>

#include "config.h"
#include "icmp_socket.h"
#include "udp_ports.h"

struct udp_shared {
	struct udp_ports *ports;  /* NULL: there are no UDP listeners, and icmp means nothing */
	struct icmp_sockets icmp; /* -1 each: no rights to have them; clients are told nothing */
};

/*
 * Opens nothing without UDP listeners, and makes shared all zero. 0 or a negative errno, and in
 * ret_what, a static text, what could not be made; shared is untouched then. Without CAP_NET_RAW
 * there are no ICMP sockets, which is no error: the supervisor logs it.
 */
int udp_shared_open(struct udp_shared *shared, const struct config *config, size_t n_workers,
	const char **ret_what);
/* Takes a zeroed one. */
void udp_shared_close(struct udp_shared *shared);
