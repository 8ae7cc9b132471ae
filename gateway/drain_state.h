/*
 * drain_state - which listeners are drained by order, in memory shared with the workers; and how
 * long the gateway's own drain takes. Backends' drains are in pool_state.h.
 *
 * Made before the workers are forked. The supervisor alone writes. Times are of the monotonic clock
 * in ms, which all processes share. Each word is atomic by itself; nobody relies on two of them
 * changing together, as a worker looks again when it is told.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Until when the flows of what is drained may go on. */
#define DRAIN_NONE	  0U	     /* it is not drained */
#define DRAIN_NO_DEADLINE UINT64_MAX /* as long as they like */

struct drain_listener {
	uint64_t until_ms;   /* its flows may go on; or DRAIN_NONE, DRAIN_NO_DEADLINE */
	uint64_t refused_ms; /* from then on workers turn new clients away */
};

struct drain_state {
	size_t n;			  /* listeners, as in the configuration */
	struct drain_listener *listeners; /* in shared memory, like the next one */
	uint32_t *gateway_ms;		  /* how long SIGTERM lets flows go on */
};

/* gateway_ms: the configuration's drain. NULL without memory. */
struct drain_state *drain_state_create(size_t n_listeners, uint32_t gateway_ms);
/* Takes NULL. */
void drain_state_destroy(struct drain_state *state);

/* until_ms DRAIN_NONE: no more. */
void drain_state_set(
	struct drain_state *state, size_t listener, uint64_t until_ms, uint64_t refused_ms);
/* These two take NULL: nothing is drained. */
uint64_t drain_state_until(const struct drain_state *state, size_t listener);
bool drain_state_refuses(const struct drain_state *state, size_t listener, uint64_t now_ms);

void drain_state_set_gateway(struct drain_state *state, uint32_t gateway_ms);
uint32_t drain_state_gateway(const struct drain_state *state);
