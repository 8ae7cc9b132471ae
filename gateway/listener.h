/*
 * listener - the sockets on which clients arrive.
 *
 * The supervisor opens one socket per bind address and worker (SO_REUSEPORT) and keeps them open,
 * so that a worker that is replaced leaves its accept queue to its successor.
 *
 * In all of these: bind is one of the listener's; descriptors are close-on-exec and nonblocking,
 * and the caller's; outputs are untouched on failure; errors are those of socket(2), bind(2),
 * listen(2).
 */
#pragma once

#include <stdbool.h>

#include "config.h"

/*
 * Whether anybody else listens there: -EADDRINUSE then. SO_REUSEPORT would silently share the
 * address with any process of our user, and half of the clients would be that one's. absent: the
 * machine may not have the address yet (IP_FREEBIND). shared: we ourselves do, and then a process
 * of our user goes unnoticed. Nothing is left open.
 */
int listener_probe(const struct config_listener *config, const struct config_bind *bind,
	bool absent, bool shared);

/*
 * A listening, non-blocking socket. Everything that accepted sockets inherit is set on it:
 * TCP_NODELAY, urgent bytes in line, and a zero linger time, so that a connection which ends in any
 * way but an orderly close (a worker that dies, too) ends as a reset and never looks complete. One
 * that the packet filter leads clients to (config_bind_diverted()) has IP_TRANSPARENT.
 * 0 or a negative errno; -EPERM: IP_TRANSPARENT takes CAP_NET_ADMIN.
 */
int listener_open(const struct config_listener *config, const struct config_bind *bind, bool absent,
	int *ret_fd);

/*
 * One that an earlier image has opened, as this configuration wants it: its backlog, which
 * listen(2) may change without losing who waits. It stays the caller's. 0 or a negative errno.
 */
int listener_adopt(int fd, const struct config_listener *config);

/*
 * Leads clients whose packets have the mark of a worker (nft_hold.h) to that worker's socket, and
 * all others to any; for all sockets of an address, in the order in which they were opened. fd: one
 * of them. 0 or a negative errno.
 */
int listener_steer(int fd);
/* The choice is the kernel's again; for all sockets of the address, too. Harmless if it was. */
void listener_unsteer(int fd);

/*
 * The same for a UDP listener: bound, with all that udp_batch_receive() needs, and with the buffers
 * that the configuration asks for, as far as we may.
 */
int listener_open_udp(const struct config_listener *config, const struct config_bind *bind,
	bool absent, int *ret_fd);
