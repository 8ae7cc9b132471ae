/*
 * balance - which backend gets the next client: plain functions over plain data.
 *
 * No socket, no clock, no allocation: whatever carries the flow can use them. Not thread-safe; each
 * worker has its own state. Consistent hashing has a module of its own, maglev.h.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct balance_target {
	uint32_t weight; /* 0: gets nothing; whoever calls has put there who may be chosen at all */
	uint32_t load;	 /* for balance_least(): connections that it has */
	int64_t current; /* for balance_round_robin(): zero at first */
};

#define BALANCE_NONE ((size_t)-1)

/*
 * Smooth weighted round robin: over a run of picks as long as the sum of the weights each target
 * is picked as often as its weight says, spread evenly over the run. Changes "current" of all that
 * have a weight. An index below n, or BALANCE_NONE if all weights are 0. O(n).
 */
size_t balance_round_robin(struct balance_target *targets, size_t n);

/*
 * The target that with one connection more has the least load for its weight. Changes nothing. Of
 * equal ones the first from index `start` on (modulo n), which the caller lets go up by one each
 * time. BALANCE_NONE if all weights are 0.
 */
size_t balance_least(const struct balance_target *targets, size_t n, size_t start);
