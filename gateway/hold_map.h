/*
 * hold_map - which listener a held packet is for: plain functions over plain data.
 *
 * Holder and workers make the same map of the same configuration, and name a bind by its index. It
 * has the binds of listeners that do not hold as well, where a packet for them may come into the
 * queue: the filter knows ports and addresses, but not which of two that overlap is the narrower.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

struct hold_map_bind {
	const struct config_listener *listener;
	const struct config_bind *bind;
};

struct hold_map {
	struct hold_map_bind *binds; /* of TCP, on ports where anybody is held */
	size_t n_binds;
};

/* Whether any listener has accept = after-backend. */
bool hold_map_wanted(const struct config *config);

/* config must outlive it. 0 or -ENOMEM. */
int hold_map_init(struct hold_map *map, const struct config *config);
/* Takes a zeroed one. */
void hold_map_destroy(struct hold_map *map);

/*
 * The bind that gets clients of this address, not v4-mapped. 0; -ENOENT: there is none, or its
 * listener does not hold.
 */
int hold_map_find(const struct hold_map *map, const struct sockaddr_any *local, size_t *ret_bind);
