/*
 * net_read - the kernel's links, addresses, routes and rules, read in full.
 *
 * Routes are asked for by our mark where the kernel can filter (strict checking, Linux 4.20); so a
 * table of a million foreign routes costs nothing. The result is of one moment only per kind of
 * object: who acts on it must expect that the world has moved on.
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
 * channel: NETLINK_ROUTE. Each kind of object is one dump, as a whole or not at all. 0, and
 * ret_state must be cleared by the caller (net_state_clear()); or a negative errno, as
 * nl_channel_query() or -ENOMEM.
 */
int net_read_state(
	struct nl_channel *channel, enum net_read_routes routes, struct net_state *ret_state);

/*
 * The route that a packet to dst would take. 0, or what the kernel says: -ENETUNREACH,
 * -EHOSTUNREACH, -EACCES (prohibit), -EINVAL (blackhole).
 */
int net_read_lookup(struct nl_channel *channel, uint8_t family, const uint8_t dst[16],
	uint32_t mark, struct net_route *ret_route);
