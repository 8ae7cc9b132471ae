/*
 * target - which server a client is for: a plain function over plain data.
 *
 * Either a pool says it, or the address itself that the client connected to (RFC 6052).
 */
#pragma once

#include "config.h"
#include "pool.h"

/*
 * bind: of the listener, by which the client came. pools: one per config.pools, as the worker has
 * them. local: what the client connected to. 0; -EACCES: the client names a server that it may not
 * reach; -EHOSTUNREACH: no server is to be had.
 */
int target_pick(const struct config_listener *listener, const struct config_bind *bind,
	struct pool *pools, const struct sockaddr_any *local, struct sockaddr_any *ret_backend);
