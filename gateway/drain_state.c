#include "drain_state.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "shared_map.h"

/*
 * Each generation has its own; what goes on from image to image is bequeathed by orders.h.
 *
 * refused_ms is written before until_ms, and read after it: whoever sees that a listener is drained
 * sees from when on it refuses, too, and not the 0 of before, by which it would turn away at once
 * those who are on their way.
 */
/* The gateway's word is behind the listeners. */
static size_t size_of(size_t n_listeners)
{
	return n_listeners * sizeof(struct drain_listener) + sizeof(uint32_t);
}

struct drain_state *drain_state_create(size_t n_listeners, uint32_t gateway_ms)
{
	struct drain_state *state = calloc(1, sizeof(*state));
	void *made = shared_map(size_of(n_listeners));

	if (!state || !made) {
		free(state);
		if (made)
			munmap(made, size_of(n_listeners));
		return NULL;
	}
	*state = (struct drain_state){ .n = n_listeners, .listeners = made };
	state->gateway_ms = (uint32_t *)(void *)(state->listeners + n_listeners);
	*state->gateway_ms = gateway_ms;
	return state;
}

void drain_state_destroy(struct drain_state *state)
{
	if (!state)
		return;
	munmap(state->listeners, size_of(state->n));
	free(state);
}

void drain_state_set(
	struct drain_state *state, size_t listener, uint64_t until_ms, uint64_t refused_ms)
{
	struct drain_listener *found = &state->listeners[listener];

	__atomic_store_n(&found->refused_ms, refused_ms, __ATOMIC_RELEASE);
	__atomic_store_n(&found->until_ms, until_ms, __ATOMIC_RELEASE);
}

uint64_t drain_state_until(const struct drain_state *state, size_t listener)
{
	if (!state)
		return DRAIN_NONE;
	return __atomic_load_n(&state->listeners[listener].until_ms, __ATOMIC_ACQUIRE);
}

bool drain_state_refuses(const struct drain_state *state, size_t listener, uint64_t now_ms)
{
	return drain_state_until(state, listener) != DRAIN_NONE &&
	       now_ms >= __atomic_load_n(&state->listeners[listener].refused_ms, __ATOMIC_ACQUIRE);
}

void drain_state_set_gateway(struct drain_state *state, uint32_t gateway_ms)
{
	__atomic_store_n(state->gateway_ms, gateway_ms, __ATOMIC_RELEASE);
}

uint32_t drain_state_gateway(const struct drain_state *state)
{
	return __atomic_load_n(state->gateway_ms, __ATOMIC_ACQUIRE);
}
