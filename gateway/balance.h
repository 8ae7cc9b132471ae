/*
 * balance - which backend gets the next client: plain functions over plain data.
 *
 * No socket, no clock, no allocation: whatever carries the flow can use them. Not thread-safe; each
 * worker has its own state.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct balance_target {
	uint32_t weight; /* 0: gets nothing */
	int64_t current; /* zero at first */
};

#define BALANCE_NONE ((size_t)-1)

/*
 * Smooth weighted round robin: over a run of picks as long as the sum of the weights each target
 * is picked as often as its weight says, spread evenly over the run. BALANCE_NONE if all weights
 * are 0.
 */
size_t balance_round_robin(struct balance_target *targets, size_t n);
