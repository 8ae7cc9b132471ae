/*
 * ctl_top_rates - what happened between two answers to "status", a second.
 *
 * Plain JSON in, plain JSON out: what "sixgatectl top --json" prints, sixgatectl(8), and what its
 * screen shows. A key that an answer lacks, or a counter that has begun anew, gives null: a rate
 * that is not known is not 0. No clock and no terminal, so that it can be tested.
 */
#pragma once

#include <jansson.h>

/*
 * before and now: results of "status", seconds apart. first: what "moved" counts from, or before.
 * before and first may be NULL: there is none yet. All stay the caller's. A new object, or NULL
 * without memory. seconds: above 0 where there is a before.
 */
json_t *ctl_top_rates(const json_t *first, const json_t *before, const json_t *now, double seconds);
