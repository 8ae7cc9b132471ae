/*
 * orders - what operators have ordered while the gateway runs, which differs from the
 * configuration.
 *
 * It is the supervisor's memory of it: kept by pool and address, so that it holds for the server
 * and not for a place in the configuration, and goes on from image to image. A backend that DNS
 * takes away and brings back finds its order again. Listeners are known by name. What follows from
 * an order is in pool_state.h and drain_state.h, where workers see it.
 *
 * For the supervisor's process alone. pool, backend and listener are indices of the configuration.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "drain_state.h"
#include "estate.h"
#include "pool_state.h"

/* Backends that there are orders for: what an estate and a list that is searched can bear. */
#define ORDERS_MAX 4096U

struct orders;

/* All must outlive it. NULL without memory. */
struct orders *orders_new(
	const struct config *config, struct pool_state *pools, struct drain_state *drains);
/* Takes NULL. */
void orders_free(struct orders *orders);

/*
 * This weight, 0 to CONFIG_WEIGHT_MAX, instead of the configuration's for the pool's backend, at
 * once. 0; -ENOENT: the pool has no such backend now; -ENOSPC: there are ORDERS_MAX; -ENOMEM.
 */
int orders_set_weight(struct orders *orders, size_t pool, size_t backend, uint32_t weight);
/* The configuration's again. The same. */
int orders_unset_weight(struct orders *orders, size_t pool, size_t backend);

/*
 * The backend gets no new clients, and its flows may go on until then, by the monotonic clock in
 * ms; DRAIN_NO_DEADLINE: as long as they like; DRAIN_NONE: all is as before. The same.
 */
int orders_drain_backend(struct orders *orders, size_t pool, size_t backend, uint64_t until_ms);
/*
 * until_ms: as above, by the monotonic clock. refused_ms: from then on workers turn its clients
 * away; before, they still serve those whose SYN was on its way.
 */
void orders_drain_listener(
	struct orders *orders, size_t listener, uint64_t until_ms, uint64_t refused_ms);

/*
 * For the next image. An order goes on there unless what it is about is gone, or the configuration
 * says another weight than it did when the order was given: then that one holds. A listener's drain
 * refuses its clients from the start there. bequeath takes NULL. Inheriting is done once, before
 * there are workers. 0 or a negative errno; what was taken over before stays in force.
 */
int orders_bequeath(const struct orders *orders, struct estate *estate);
int orders_inherit(struct orders *orders, const struct estate *estate);
