#include "pool_state.h"

#include <stdlib.h>
#include <sys/mman.h>

static void *map_shared(size_t size)
{
	void *made = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return made == MAP_FAILED ? NULL : made;
}

/* At least one of each, so that there is something to map. */
static size_t backends_size(const struct pool_state *state)
{
	return (state->n_backends + 1) * sizeof(*state->backends);
}

static size_t live_size(const struct pool_state *state)
{
	return (state->n_workers * state->n_backends + 1) * sizeof(*state->live);
}

struct pool_state *pool_state_create(const struct config *config, size_t n_workers)
{
	struct pool_state *state = calloc(1, sizeof(*state));

	if (!state)
		return NULL;
	state->n_workers = n_workers;
	state->first = calloc(config->n_pools + 1, sizeof(*state->first));
	for (size_t i = 0; i < config->n_pools && state->first; i++) {
		state->first[i] = state->n_backends;
		state->n_backends += config->pools[i].n_backends;
	}
	state->backends = map_shared(backends_size(state));
	state->live = map_shared(live_size(state));
	if (!state->first || !state->backends || !state->live) {
		pool_state_destroy(state);
		return NULL;
	}
	return state;
}

void pool_state_destroy(struct pool_state *state)
{
	if (!state)
		return;
	if (state->backends)
		munmap(state->backends, backends_size(state));
	if (state->live)
		munmap(state->live, live_size(state));
	free(state->first);
	free(state);
}

void pool_state_clear_worker(struct pool_state *state, size_t worker)
{
	for (size_t i = 0; i < state->n_backends; i++)
		__atomic_store_n(&state->live[worker * state->n_backends + i], 0, __ATOMIC_RELAXED);
}

static struct pool_state_backend *find(const struct pool_state *state, size_t pool, size_t backend)
{
	return &state->backends[state->first[pool] + backend];
}

void pool_state_set_up(
	struct pool_state *state, size_t pool, size_t backend, bool up, uint64_t now_ms)
{
	struct pool_state_backend *found = find(state, pool, backend);

	if (up) {
		__atomic_store_n(&found->up_ms, now_ms, __ATOMIC_RELAXED);
		__atomic_store_n(&found->failures, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&found->closed_at_ms, 0, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&found->down, !up, __ATOMIC_RELEASE);
}

bool pool_state_is_up(const struct pool_state *state, size_t pool, size_t backend)
{
	return !__atomic_load_n(&find(state, pool, backend)->down, __ATOMIC_ACQUIRE);
}

uint64_t pool_state_live(const struct pool_state *state, size_t pool, size_t backend)
{
	const uint32_t *live = state->live + state->first[pool] + backend;
	uint64_t sum = 0;

	for (size_t worker = 0; worker < state->n_workers; worker++)
		sum += __atomic_load_n(live + worker * state->n_backends, __ATOMIC_RELAXED);
	return sum;
}
