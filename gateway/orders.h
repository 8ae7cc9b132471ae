/*
 * orders - what operators have ordered while the gateway runs, which differs from the
 * configuration.
 *
 * It is the supervisor's memory of it: kept by pool and address, so that it holds for the server
 * and not for a place in the configuration, and goes on from image to image. A backend that DNS
 * takes away and brings back finds its order again. What follows from an order is in pool_state.h,
 * where workers see it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "estate.h"
#include "pool_state.h"

#define ORDERS_MAX 4096U /* backends that there are orders for */

struct orders;

/* config and pools must outlive it. NULL without memory. */
struct orders *orders_new(const struct config *config, struct pool_state *pools);
/* Takes NULL. */
void orders_free(struct orders *orders);

/*
 * This weight instead of the configuration's for the pool's backend, at once. 0; -ENOENT: the pool
 * has no such backend now; -ENOSPC: there are ORDERS_MAX; -ENOMEM.
 */
int orders_set_weight(struct orders *orders, size_t pool, size_t backend, uint32_t weight);
/* The configuration's again. The same. */
int orders_unset_weight(struct orders *orders, size_t pool, size_t backend);

/*
 * For the next image. An order goes on there unless what it is about is gone, or the configuration
 * says another weight than it did when the order was given: then that one holds. Takes NULL. 0 or a
 * negative errno.
 */
int orders_bequeath(const struct orders *orders, struct estate *estate);
int orders_inherit(struct orders *orders, const struct estate *estate);
