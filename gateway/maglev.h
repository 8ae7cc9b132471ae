/*
 * maglev - consistent hashing: a client always gets the same backend, and only the clients of a
 * backend that goes away move.
 *
 * Plain functions over plain data, without a key that is chosen at random: whoever has the same
 * backends and weights, in whatever order, has the same table, so gateways agree without talking to
 * each other. Source: Eisenbud and others, "Maglev: A Fast and Reliable Software Network Load
 * Balancer" (NSDI 2016), section 3.4; weights by leaving out turns.
 *
 * The price: who has many addresses to come from can find out which of them leads to which backend.
 *
 * Called by workers, each with a table of its own (pool.c). Addresses may be of either family.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sockaddr.h"

#define MAGLEV_SLOTS 65537U /* a prime, some 64 times as many as the most backends of a pool */

/* What makes two flows of the same client. */
enum maglev_hash {
	MAGLEV_CLIENT,	    /* its address */
	MAGLEV_CLIENT_64,   /* an IPv6 client's /64, an IPv4 client's address */
	MAGLEV_CLIENT_PORT, /* its address and port */
};

struct maglev_target {
	struct sockaddr_any addr; /* no two are equal; the order does not matter */
	uint32_t weight;	  /* 0: gets no slot */
};

/*
 * Writes for every slot the index of its target, of which there are up to 65535. 0, -ENOMEM, or
 * -EINVAL if every weight is 0; ret_slots (128 KiB) is untouched then. A target whose share is
 * less than a slot may have none.
 */
int maglev_build(const struct maglev_target *targets, size_t n, uint16_t ret_slots[MAGLEV_SLOTS]);

/* What building takes for up to n targets, to be freed with free(); NULL: no memory. */
struct maglev_row *maglev_new_rows(size_t n);
/*
 * The same in memory that there is, for as many targets at most, again and again: 0 or -EINVAL. So
 * nothing can fail for lack of memory while clients are served.
 */
int maglev_build_in(struct maglev_row *rows, const struct maglev_target *targets, size_t n,
	uint16_t ret_slots[MAGLEV_SLOTS]);

/*
 * The client's slot, below MAGLEV_SLOTS. attempt: 0 at first; further ones, up to 255, lead
 * elsewhere, when the slot's target cannot be had, in the same way on every gateway.
 */
size_t maglev_slot(const struct sockaddr_any *client, enum maglev_hash hash, unsigned attempt);

/*
 * For the few that are left when slots lead to nobody: a slot's clients belong to the target that
 * has the highest rank for it, whatever the order of the targets.
 */
uint64_t maglev_rank(size_t slot, const struct sockaddr_any *target);
