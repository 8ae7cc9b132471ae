/*
 * bind - which of several listeners' binds a client is for: plain functions over plain data.
 *
 * Of binds that overlap the narrower one gets the client: the longer prefix; with the same, fewer
 * ports; with as many, those that begin at the smaller one. Rules of nftables are written in that
 * order (net_wanted, guard_wanted), and workers and holder judge by it: one function, one answer.
 */
#pragma once

#include <stdbool.h>

#include "config.h"

/* Less than 0: a is narrower; more: b is. */
int bind_compare(const struct config_bind *a, const struct config_bind *b);

/* Whether every address of `narrow` is in `wide`, and a port. */
bool bind_covers(const struct config_bind *wide, const struct config_bind *narrow);

/*
 * Whether it takes a look at the address that a client connected to, to know that the kernel has
 * brought it to the right socket: packets are led there by a filter, which may be missing or
 * another's for a moment, or a narrower bind is. Worked out once, at the start.
 */
bool bind_is_contested(const struct config *config, const struct config_bind *bind);

/* That look: the address is in the bind, and in none of the configuration's that is narrower. */
bool bind_is_meant(const struct config *config, const struct config_bind *bind,
	const struct sockaddr_any *local);

/*
 * Whether a bind of that protocol listens at the address and port, which may be somebody
 * else's if it is one to any address: such count only if `any` is set.
 */
bool bind_listens(
	const struct config *config, uint8_t protocol, const struct sockaddr_any *at, bool any);
