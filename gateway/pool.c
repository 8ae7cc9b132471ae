#include "pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "maglev.h"

/*
 * Theory of operation
 *
 * Backends are asked in three rounds: the ordinary ones, the backups, and those that have failed
 * lately, since to try one of them is better than to turn the client away.
 *
 * The table of maglev is made of the weights in force and the addresses that there are, anew when
 * these change and never otherwise: a client whose backend cannot be had goes to another slot, and
 * nobody else moves. If no slot leads to anybody, rank decides. Indices of backends decide nothing,
 * so two gateways that see the same addresses up choose the same one, however they came to see them
 * so.
 *
 * Limits are counted only where there are some, in places that all workers share. A backend that is
 * full is passed over like one that is down; it may become full between choice and take, which then
 * fails.
 *
 * Weights are multiplied by WEIGHT_SCALE, so that a backend that starts slowly can have less than a
 * weight of 1.
 */
#define WEIGHT_SCALE	128U
#define MAGLEV_ATTEMPTS 16U

/* The backends as maglev.h has them, and what is made of them. */
struct pool_table {
	uint32_t generation; /* of pool_state.h; 0: not made yet */
	struct maglev_target *targets;
	struct maglev_row *rows;
	uint16_t slots[MAGLEV_SLOTS];
};

enum round { ROUND_ORDINARY, ROUND_BACKUP, ROUND_FAILED, ROUNDS };

static void table_destroy(struct pool_table *table)
{
	if (!table)
		return;
	free(table->targets);
	free(table->rows);
	free(table);
}

static struct pool_table *table_new(size_t n_backends)
{
	struct pool_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->targets = calloc(n_backends + 1, sizeof(*table->targets));
	table->rows = maglev_new_rows(n_backends);
	if (table->targets && table->rows)
		return table;
	table_destroy(table);
	return NULL;
}

/* Makes the table anew if addresses or weights have changed. */
static void table_refresh(const struct pool *pool)
{
	uint32_t generation = pool_state_generation(pool->state, pool->index);
	struct pool_table *table = pool->table;

	if (table->generation == generation)
		return;
	/* Before the addresses are read: one that changes meanwhile brings another generation. */
	table->generation = generation;
	for (size_t i = 0; i < pool->config->n_backends; i++) {
		const struct config_backend *config = &pool->config->backends[i];
		struct maglev_target *target = &table->targets[i];
		bool there = pool_state_address(pool->state, pool->index, i, &target->addr);

		target->weight = there && !config->backup
					 ? pool_state_weight(pool->state, pool->index, i)
					 : 0;
	}
	/* If it cannot be made, all are backups or nowhere. */
	(void)maglev_build_in(table->rows, table->targets, pool->config->n_backends, table->slots);
}

int pool_init(struct pool *pool, const struct config *config, size_t index,
	struct pool_state *state, size_t worker)
{
	const struct config_pool *own = &config->pools[index];
	struct pool made = { .config = own, .state = state, .index = index, .worker = worker };
	bool hashes = own->balance == CONFIG_BALANCE_MAGLEV;

	made.targets = calloc(own->n_backends + 1, sizeof(*made.targets));
	made.table = hashes ? table_new(own->n_backends) : NULL;
	if (!made.targets || (hashes && !made.table)) {
		pool_destroy(&made);
		return -ENOMEM;
	}
	if (made.table)
		table_refresh(&made);
	*pool = made;
	return 0;
}

void pool_destroy(struct pool *pool)
{
	free(pool->targets);
	table_destroy(pool->table);
	pool->targets = NULL;
	pool->table = NULL;
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

/*
 * Those that have just come back begin with little: the weight grows with the time since up_ms. In
 * the supervisor's clock, which is the machine's, so a worker may be a moment behind it.
 */
static uint32_t weight_now(const struct pool *pool, size_t backend, uint64_t now_ms)
{
	uint32_t weight = pool_state_weight(pool->state, pool->index, backend) * WEIGHT_SCALE;
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

/* Of pool_state's places: those of all backends come first, then those of the pools. */
static size_t place_of(const struct pool *pool, size_t backend)
{
	assert(backend < pool->config->n_backends);
	return pool->state->first[pool->index] + backend;
}

static size_t place_of_all(const struct pool *pool)
{
	return pool->state->n_backends + pool->index;
}

static bool is_full(const struct pool *pool, size_t backend)
{
	uint32_t max = pool->config->backends[backend].max_connections;

	return max && shared_count_value(pool->state->places, place_of(pool, backend)) >= max;
}

/* Whether it could be had if it were not full. */
static bool is_usable(const struct pool *pool, const struct pool_request *request, size_t backend)
{
	return pool_state_serves(pool->state, pool->index, backend) && !was_tried(request, backend);
}

static bool is_of_round(const struct pool *pool, const struct pool_request *request, size_t backend,
	enum round round)
{
	const struct config_backend *config = &pool->config->backends[backend];
	const struct pool_state_backend *state = state_of(pool, backend);
	bool open = request->now_ms < __atomic_load_n(&state->closed_at_ms, __ATOMIC_RELAXED);

	if (!is_usable(pool, request, backend) || is_full(pool, backend))
		return false;
	return round == ROUND_FAILED || (!open && config->backup == (round == ROUND_BACKUP));
}

/* Few are left, or they have no slots. */
static size_t pick_ranked(
	const struct pool *pool, const struct pool_request *request, enum round round, size_t slot)
{
	uint64_t highest = 0, rank;
	size_t best = BALANCE_NONE;

	for (size_t i = 0; i < pool->config->n_backends; i++) {
		if (!is_of_round(pool, request, i, round))
			continue;
		rank = maglev_rank(slot, &pool->table->targets[i].addr);
		if (best == BALANCE_NONE || rank > highest) {
			best = i;
			highest = rank;
		}
	}
	return best;
}

static size_t pick_hashed(
	const struct pool *pool, const struct pool_request *request, enum round round)
{
	const uint16_t *slots = pool->table->slots;
	const enum maglev_hash hash = pool->config->hash;

	table_refresh(pool);
	for (unsigned attempt = 0; attempt < MAGLEV_ATTEMPTS; attempt++) {
		size_t backend = slots[maglev_slot(request->client, hash, attempt)];

		assert(backend < pool->config->n_backends);
		/* A table that could not be made leads to somebody who has no part in it. */
		if (pool->table->targets[backend].weight &&
			is_of_round(pool, request, backend, round))
			return backend;
	}
	return pick_ranked(pool, request, round, maglev_slot(request->client, hash, 0));
}

static size_t pick_of_round(struct pool *pool, const struct pool_request *request, enum round round)
{
	const size_t n = pool->config->n_backends;

	if (pool->table)
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

	assert(n == 1 || *live > 0); /* nobody gives what was never taken */
	/* The row has one writer; atomic only so that others never read a torn number. */
	__atomic_store_n(live, *live + n, __ATOMIC_RELAXED);
}

bool pool_is_full(const struct pool *pool)
{
	uint32_t max = pool->config->max_connections;

	return max && shared_count_value(pool->state->places, place_of_all(pool)) >= max;
}

bool pool_backends_full(const struct pool *pool, const struct pool_request *request)
{
	for (size_t i = 0; i < pool->config->n_backends; i++)
		if (is_usable(pool, request, i))
			return true;
	return false;
}

bool pool_take(struct pool *pool, size_t backend, bool moves)
{
	const struct config_pool *config = pool->config;
	struct shared_count *places = pool->state->places;
	uint32_t max = config->backends[backend].max_connections;
	bool counted = !moves && config->max_connections;

	assert(backend < config->n_backends);
	if (counted && !shared_count_take(
			       places, pool->worker, place_of_all(pool), config->max_connections))
		return false;
	if (max && !shared_count_take(places, pool->worker, place_of(pool, backend), max)) {
		if (counted)
			shared_count_give(places, pool->worker, place_of_all(pool));
		return false;
	}
	add_live(pool, backend, 1);
	return true;
}

void pool_keep(struct pool *pool, size_t backend)
{
	const struct config_pool *config = pool->config;
	struct shared_count *places = pool->state->places;

	if (config->max_connections)
		(void)shared_count_take(places, pool->worker, place_of_all(pool), UINT32_MAX);
	if (config->backends[backend].max_connections)
		(void)shared_count_take(places, pool->worker, place_of(pool, backend), UINT32_MAX);
	add_live(pool, backend, 1);
}

void pool_give(struct pool *pool, size_t backend, bool moves)
{
	const struct config_pool *config = pool->config;

	if (config->backends[backend].max_connections)
		shared_count_give(pool->state->places, pool->worker, place_of(pool, backend));
	if (!moves && config->max_connections)
		shared_count_give(pool->state->places, pool->worker, place_of_all(pool));
	add_live(pool, backend, (uint32_t)-1);
}

struct sockaddr_any pool_address(const struct pool *pool, size_t backend)
{
	struct sockaddr_any addr;

	(void)pool_state_address(pool->state, pool->index, backend, &addr);
	return addr;
}

bool pool_failed(
	struct pool *pool, size_t backend, const struct sockaddr_any *addr, uint64_t now_ms)
{
	const uint32_t limit = pool->config->circuit_failures;
	struct pool_state_backend *state = state_of(pool, backend);
	uint32_t failures;

	if (limit == 0 || !pool_state_is_at(pool->state, pool->index, backend, addr))
		return false;
	/* All workers count here: the circuit opens by what they have seen together. */
	failures = __atomic_add_fetch(&state->failures, 1, __ATOMIC_RELAXED);
	if (failures < limit)
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
