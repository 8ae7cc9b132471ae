/*
 * net_read - the kernel's links, addresses, routes and rules, read in full.
 *
 * Routes are asked for by our mark where the kernel can filter (strict checking, Linux 4.20); so a
 * table of a million foreign routes costs nothing. Of addresses and rules it cannot, so all are
 * read. The result is of one moment only per kind of object and family: who acts on it must expect
 * that the world has moved on.
 *
 * What does not decode is left out, and never an error: it is not ours.
 */
#pragma once

#include "net_state.h"
#include "nl_channel.h"

/* Which routes are read. */
enum net_read_routes {
	NET_READ_OURS, /* those that carry NET_MARK */
	NET_READ_ALL,  /* every route of every table */
};

/*
 * channel: NETLINK_ROUTE. Each kind of object is one dump for each family, as a whole or not at
 * all. A name of a link is that which it had when links were read, first; "" if it came after. 0,
 * and ret_state must be cleared by the caller (net_state_clear()); or a negative errno, as
 * nl_channel_query() or -ENOMEM, and ret_state is untouched. A kernel without IPv6 has none of it,
 * which is no error.
 */
int net_read_state(
	struct nl_channel *channel, enum net_read_routes routes, struct net_state *ret_state);

/*
 * The route that a packet to dst would take; dst: network order, in the first 4 or 16 bytes; mark
 * 0: none. 0, or what the kernel says, and ret_route is untouched: -ENETUNREACH, -EHOSTUNREACH,
 * -EACCES (prohibit), -EINVAL (blackhole).
 */
int net_read_lookup(struct nl_channel *channel, uint8_t family, const uint8_t dst[16],
	uint32_t mark, struct net_route *ret_route);
