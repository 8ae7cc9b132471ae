#include "pool_state.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "shared_map.h"

/*
 * Theory of operation
 *
 * A backend's address is one word, so that no worker ever sees half of a change: IPv4, port and
 * whether it is there now. What belongs to an address (down, failures, weight) is changed while it
 * is not there: NOW is cleared first, and set with the new address last and with release, so who
 * sees the new address sees what belongs to it. A worker that read the old word goes on with it;
 * pool_state_is_at() is how it finds out later whether what it learned is of any use.
 *
 * EVER stays when NOW goes: flows to the last address still count, and are handed over by it.
 *
 * Live counts are a row for each worker, added up by who wants to know. One counter for all would
 * be off for ever by what a killed worker had not given back; a row is simply cleared.
 */

/* The word of an address: IPv4 as in the packet, port, whether the backend is there now. */
#define PORT_SHIFT 32
#define EVER	   (1ULL << 62) /* also if it is not */
#define NOW	   (1ULL << 63)
#define VALID	   (NOW | EVER)

static struct pool_state_backend *find(const struct pool_state *state, size_t pool, size_t backend)
{
	assert(pool < state->n_pools && state->first[pool] + backend < state->n_backends);
	return &state->backends[state->first[pool] + backend];
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

static size_t generations_size(const struct pool_state *state)
{
	return (state->n_pools + 1) * sizeof(*state->generations);
}

static uint64_t word_of(const struct sockaddr_any *addr)
{
	assert(sockaddr_family(addr) == AF_INET);
	return addr->in.sin_addr.s_addr | (uint64_t)sockaddr_port(addr) << PORT_SHIFT;
}

/* Those that the configuration itself names are where it says. */
static void place_backends(struct pool_state *state, const struct config *config)
{
	for (size_t i = 0; i < config->n_pools; i++) {
		const struct config_pool *pool = &config->pools[i];

		state->generations[i] = 1;
		for (size_t b = 0; b < pool->n_backends; b++) {
			find(state, i, b)->weight = pool->backends[b].weight;
			if (!sockaddr_is_any(&pool->backends[b].addr))
				find(state, i, b)->where = word_of(&pool->backends[b].addr) | VALID;
		}
	}
}

static bool has_limits(const struct config *config)
{
	for (size_t i = 0; i < config->n_pools; i++) {
		const struct config_pool *pool = &config->pools[i];

		if (pool->max_connections)
			return true;
		for (size_t k = 0; k < pool->n_backends; k++)
			if (pool->backends[k].max_connections)
				return true;
	}
	return false;
}

struct pool_state *pool_state_create(const struct config *config, size_t n_workers)
{
	struct pool_state *state = calloc(1, sizeof(*state));

	if (!state)
		return NULL;
	list_init(&state->watches);
	state->config = config;
	state->n_workers = n_workers;
	state->n_pools = config->n_pools;
	state->first = calloc(config->n_pools + 1, sizeof(*state->first));
	for (size_t i = 0; i < config->n_pools && state->first; i++) {
		state->first[i] = state->n_backends;
		state->n_backends += config->pools[i].n_backends;
	}
	state->backends = shared_map(backends_size(state));
	state->live = shared_map(live_size(state));
	state->generations = shared_map(generations_size(state));
	if (has_limits(config))
		state->places = shared_count_create(n_workers, state->n_backends + config->n_pools);
	if (!state->first || !state->backends || !state->live || !state->generations ||
		(has_limits(config) && !state->places)) {
		pool_state_destroy(state);
		return NULL;
	}
	place_backends(state, config);
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
	if (state->generations)
		munmap(state->generations, generations_size(state));
	shared_count_destroy(state->places);
	free(state->first);
	free(state);
}

void pool_state_clear_worker(struct pool_state *state, size_t worker)
{
	assert(worker < state->n_workers);
	for (size_t i = 0; i < state->n_backends; i++)
		__atomic_store_n(&state->live[worker * state->n_backends + i], 0, __ATOMIC_RELAXED);
	if (state->places)
		shared_count_recover(state->places, worker);
}

void pool_state_add_watch(struct pool_state *state, struct pool_state_watch *watch)
{
	list_append(&state->watches, &watch->node);
}

static void tell(struct pool_state *state, size_t pool, size_t backend)
{
	struct list_node *node, *tmp;

	list_for_each_safe (node, tmp, &state->watches) {
		struct pool_state_watch *watch = list_entry(node, struct pool_state_watch, node);

		watch->on_change(watch, pool, backend);
	}
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
	tell(state, pool, backend);
}

bool pool_state_is_up(const struct pool_state *state, size_t pool, size_t backend)
{
	const struct pool_state_backend *found = find(state, pool, backend);

	return (__atomic_load_n(&found->where, __ATOMIC_ACQUIRE) & VALID) == VALID &&
	       !__atomic_load_n(&found->down, __ATOMIC_ACQUIRE);
}

/* Never 0, which a table that was not made yet has. */
static void renew_generation(struct pool_state *state, size_t pool)
{
	if (__atomic_add_fetch(&state->generations[pool], 1, __ATOMIC_RELEASE) == 0)
		__atomic_store_n(&state->generations[pool], 1, __ATOMIC_RELEASE);
}

void pool_state_set_weight(struct pool_state *state, size_t pool, size_t backend, uint32_t weight)
{
	struct pool_state_backend *found = find(state, pool, backend);

	if (found->weight == weight)
		return;
	__atomic_store_n(&found->weight, weight, __ATOMIC_RELEASE);
	renew_generation(state, pool);
	tell(state, pool, backend);
}

uint32_t pool_state_weight(const struct pool_state *state, size_t pool, size_t backend)
{
	return __atomic_load_n(&find(state, pool, backend)->weight, __ATOMIC_ACQUIRE);
}

/* No table is made anew: as with one that is down, only its own clients go elsewhere. */
void pool_state_set_drained(
	struct pool_state *state, size_t pool, size_t backend, uint64_t until_ms)
{
	struct pool_state_backend *found = find(state, pool, backend);

	if (found->drained_ms == until_ms)
		return;
	__atomic_store_n(&found->drained_ms, until_ms, __ATOMIC_RELEASE);
	tell(state, pool, backend);
}

uint64_t pool_state_drained(const struct pool_state *state, size_t pool, size_t backend)
{
	return __atomic_load_n(&find(state, pool, backend)->drained_ms, __ATOMIC_ACQUIRE);
}

bool pool_state_serves(const struct pool_state *state, size_t pool, size_t backend)
{
	return pool_state_weight(state, pool, backend) > 0 &&
	       pool_state_drained(state, pool, backend) == DRAIN_NONE &&
	       pool_state_is_up(state, pool, backend);
}

bool pool_state_address(
	const struct pool_state *state, size_t pool, size_t backend, struct sockaddr_any *ret_addr)
{
	uint64_t word = __atomic_load_n(&find(state, pool, backend)->where, __ATOMIC_ACQUIRE);

	*ret_addr = (struct sockaddr_any){ 0 };
	if (word & EVER) {
		ret_addr->in.sin_family = AF_INET;
		ret_addr->in.sin_addr.s_addr = (in_addr_t)word;
		sockaddr_set_port(ret_addr, (uint16_t)(word >> PORT_SHIFT));
	}
	return (word & VALID) == VALID;
}

bool pool_state_is_at(const struct pool_state *state, size_t pool, size_t backend,
	const struct sockaddr_any *addr)
{
	uint64_t word = __atomic_load_n(&find(state, pool, backend)->where, __ATOMIC_ACQUIRE);

	return sockaddr_family(addr) == AF_INET && (word & EVER) &&
	       addr->in.sin_addr.s_addr == (in_addr_t)word;
}

void pool_state_set_address(struct pool_state *state, size_t pool, size_t backend,
	const struct sockaddr_any *addr, bool up, uint64_t now_ms)
{
	struct pool_state_backend *found = find(state, pool, backend);

	/* Nobody is sent there while what is known of it changes. */
	__atomic_and_fetch(&found->where, ~NOW, __ATOMIC_RELEASE);
	if (addr) {
		if ((found->where & EVER) && (found->where & ~VALID) != word_of(addr)) {
			__atomic_store_n(&found->weight,
				state->config->pools[pool].backends[backend].weight,
				__ATOMIC_RELAXED);
			__atomic_store_n(&found->drained_ms, DRAIN_NONE, __ATOMIC_RELAXED);
		}
		__atomic_store_n(&found->up_ms, now_ms, __ATOMIC_RELAXED);
		__atomic_store_n(&found->failures, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&found->closed_at_ms, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&found->down, !up, __ATOMIC_RELAXED);
		__atomic_store_n(&found->where, word_of(addr) | VALID, __ATOMIC_RELEASE);
	}
	renew_generation(state, pool);
	tell(state, pool, backend);
}

uint32_t pool_state_generation(const struct pool_state *state, size_t pool)
{
	return __atomic_load_n(&state->generations[pool], __ATOMIC_ACQUIRE);
}

uint64_t pool_state_live(const struct pool_state *state, size_t pool, size_t backend)
{
	const uint32_t *live = state->live + state->first[pool] + backend;
	uint64_t sum = 0;

	for (size_t worker = 0; worker < state->n_workers; worker++)
		sum += __atomic_load_n(live + worker * state->n_backends, __ATOMIC_RELAXED);
	return sum;
}
