/*
 * icmp_socket - tells clients of UDP listeners by ICMP what became of their datagrams.
 *
 * The sockets take CAP_NET_RAW to open: the supervisor does, and workers inherit them. They receive
 * nothing (a filter that lets no type in). RFC 4443 section 2.4 (f) asks for a limit on errors; it
 * is ICMP_SOCKET_RATE a second: who forges sources could otherwise have us send as much as he does.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "icmp_error.h"
#include "stats.h"

#define ICMP_SOCKET_RATE 1000U /* of a worker, and as many at once */

struct icmp_sockets {
	int fd6, fd4; /* -1: there is none */
};

/* 0; or a negative errno, -EPERM without CAP_NET_RAW, and then there are none. */
int icmp_sockets_open(struct icmp_sockets *sockets);
/* Takes those that are not open. */
void icmp_sockets_close(struct icmp_sockets *sockets);

/* A worker's; used_us is 0 at first. */
struct icmp_sender {
	struct icmp_sockets sockets; /* inherited, and shared with the other workers */
	struct stats *stats;
	uint64_t used_us; /* the time up to which the rate is used up */
};

/*
 * Tells the client, if the rate allows it, from the address that it had sent to. mtu: for
 * ICMP_ERROR_TOO_BIG. now_us: of the monotonic clock. It never waits, and no failure is told: an
 * error that is lost is as one that the network has lost. Sent ones and limited ones are counted.
 */
void icmp_sender_tell(struct icmp_sender *sender, enum icmp_error_kind kind, uint32_t mtu,
	const struct icmp_error_quote *quote, uint64_t now_us);
