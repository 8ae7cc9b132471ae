#include "pool.h"

#include <errno.h>
#include <stdlib.h>

#include "maglev.h"

/*
 * Theory of operation
 *
 * Backends are asked in three rounds: the ordinary ones, the backups, and those that have failed
 * lately, since to try one of them is better than to turn the client away.
 *
 * The table of maglev is made once, of the configured weights, and never again: a client whose
 * backend cannot be had goes to another slot, and nobody else moves. So two gateways that see the
 * same backends up choose the same one, however they came to see them so.
 *
 * Weights are multiplied by WEIGHT_SCALE, so that a backend that starts slowly can have less than a
 * weight of 1.
 */
#define WEIGHT_SCALE	128U
#define MAGLEV_ATTEMPTS 16U

enum round { ROUND_ORDINARY, ROUND_BACKUP, ROUND_FAILED, ROUNDS };

int pool_init(struct pool *pool, const struct config *config, size_t index,
	struct pool_state *state, size_t worker)
{
	const struct config_pool *own = &config->pools[index];
	struct pool made = { .config = own, .state = state, .index = index, .worker = worker };
	struct maglev_target *hashed = NULL;
	int err = 0;

	made.targets = calloc(own->n_backends + 1, sizeof(*made.targets));
	if (!made.targets)
		return -ENOMEM;
	if (own->balance == CONFIG_BALANCE_MAGLEV) {
		hashed = calloc(own->n_backends + 1, sizeof(*hashed));
		made.slots = calloc(MAGLEV_SLOTS, sizeof(*made.slots));
		err = hashed && made.slots ? 0 : -ENOMEM;
	}
	for (size_t i = 0; hashed && i < own->n_backends; i++)
		hashed[i] = (struct maglev_target){
			.addr = own->backends[i].addr,
			.weight = own->backends[i].backup ? 0 : own->backends[i].weight,
		};
	if (!err && hashed)
		err = maglev_build(hashed, own->n_backends, made.slots);
	free(hashed);
	if (err == -EINVAL) { /* all are backups: every slot is somebody's who is not asked */
		err = 0;
	}
	if (err)
		pool_destroy(&made);
	else
		*pool = made;
	return err;
}

void pool_destroy(struct pool *pool)
{
	free(pool->targets);
	free(pool->slots);
	pool->targets = NULL;
	pool->slots = NULL;
}

static struct pool_state_backend *state_of(const struct pool *pool, size_t backend)
{
	return &pool->state->backends[pool->state->first[pool->index] + backend];
}

static bool was_tried(const struct pool_request *request, size_t backend)
{
	for (size_t i = 0; i < request->n_tried; i++)
		if (request->tried[i] == backend)
			return true;
	return false;
}

/* Those that have just come back begin with little. */
static uint32_t weight_now(const struct pool *pool, size_t backend, uint64_t now_ms)
{
	uint32_t weight = pool->config->backends[backend].weight * WEIGHT_SCALE;
	uint64_t up_ms = __atomic_load_n(&state_of(pool, backend)->up_ms, __ATOMIC_RELAXED);
	uint64_t part;

	if (!up_ms || !pool->config->slow_start_ms || weight == 0)
		return weight;
	if (now_ms < up_ms)
		return 1;
	if (now_ms - up_ms >= pool->config->slow_start_ms)
		return weight;
	part = weight * (now_ms - up_ms) / pool->config->slow_start_ms;
	return part ? (uint32_t)part : 1;
}

static bool is_of_round(const struct pool *pool, const struct pool_request *request, size_t backend,
	enum round round)
{
	const struct config_backend *config = &pool->config->backends[backend];
	const struct pool_state_backend *state = state_of(pool, backend);
	bool open = request->now_ms < __atomic_load_n(&state->closed_at_ms, __ATOMIC_RELAXED);

	if (config->weight == 0 || __atomic_load_n(&state->down, __ATOMIC_ACQUIRE) ||
		was_tried(request, backend))
		return false;
	return round == ROUND_FAILED || (!open && config->backup == (round == ROUND_BACKUP));
}

static size_t pick_hashed(
	const struct pool *pool, const struct pool_request *request, enum round round)
{
	const size_t n = pool->config->n_backends;
	size_t slot = 0, i;

	for (unsigned attempt = 0; attempt < MAGLEV_ATTEMPTS; attempt++) {
		slot = maglev_slot(request->client, pool->config->hash, attempt);
		if (is_of_round(pool, request, pool->slots[slot], round))
			return pool->slots[slot];
	}
	/* Few are left, or they have no slots. */
	for (size_t k = 0; k < n; k++) {
		i = (slot + k) % n;
		if (is_of_round(pool, request, i, round))
			return i;
	}
	return BALANCE_NONE;
}

static size_t pick_of_round(struct pool *pool, const struct pool_request *request, enum round round)
{
	const size_t n = pool->config->n_backends;

	if (pool->slots)
		return pick_hashed(pool, request, round);
	for (size_t i = 0; i < n; i++)
		pool->targets[i].weight = is_of_round(pool, request, i, round)
						  ? weight_now(pool, i, request->now_ms)
						  : 0;
	if (pool->config->balance != CONFIG_BALANCE_LEAST_CONNECTIONS)
		return balance_round_robin(pool->targets, n);
	for (size_t i = 0; i < n; i++)
		pool->targets[i].load = (uint32_t)pool_state_live(pool->state, pool->index, i);
	return balance_least(pool->targets, n, pool->turn++);
}

size_t pool_pick(struct pool *pool, const struct pool_request *request)
{
	size_t picked = BALANCE_NONE;

	for (int round = 0; round < ROUNDS && picked == BALANCE_NONE; round++)
		picked = pick_of_round(pool, request, (enum round)round);
	return picked;
}

/* ---- what became of it ---- */

static void add_live(struct pool *pool, size_t backend, uint32_t n)
{
	uint32_t *live = &pool->state->live[pool->worker * pool->state->n_backends +
					    pool->state->first[pool->index] + backend];

	__atomic_store_n(live, *live + n, __ATOMIC_RELAXED);
}

void pool_take(struct pool *pool, size_t backend)
{
	add_live(pool, backend, 1);
}

void pool_give(struct pool *pool, size_t backend)
{
	add_live(pool, backend, (uint32_t)-1);
}

bool pool_failed(struct pool *pool, size_t backend, uint64_t now_ms)
{
	const uint32_t limit = pool->config->circuit_failures;
	struct pool_state_backend *state = state_of(pool, backend);
	uint32_t failures = __atomic_add_fetch(&state->failures, 1, __ATOMIC_RELAXED);

	if (limit == 0 || failures < limit)
		return false;
	__atomic_store_n(&state->closed_at_ms, now_ms + pool->config->circuit_ms, __ATOMIC_RELAXED);
	return failures == limit;
}

bool pool_answered(struct pool *pool, size_t backend)
{
	const uint32_t limit = pool->config->circuit_failures;
	struct pool_state_backend *state = state_of(pool, backend);
	uint32_t failures = __atomic_load_n(&state->failures, __ATOMIC_RELAXED);

	if (failures == 0)
		return false;
	__atomic_store_n(&state->failures, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&state->closed_at_ms, 0, __ATOMIC_RELAXED);
	return limit > 0 && failures >= limit;
}

const struct sockaddr_any *pool_source(struct pool *pool)
{
	if (pool->config->n_sources == 0)
		return NULL;
	pool->next_source = (pool->next_source + 1) % pool->config->n_sources;
	return &pool->config->sources[pool->next_source];
}
