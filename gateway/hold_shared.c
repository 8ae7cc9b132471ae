#include "hold_shared.h"

#include <assert.h>
#include <sys/mman.h>

#include "shared_map.h"

static size_t size_of(size_t n_workers, size_t n_backends)
{
	return sizeof(struct hold_shared) + n_workers * sizeof(uint64_t) +
	       n_workers * n_backends * sizeof(uint32_t);
}

struct hold_shared *hold_shared_create(size_t n_workers, size_t n_backends)
{
	struct hold_shared *shared = shared_map(size_of(n_workers, n_backends));

	if (!shared)
		return NULL;
	shared->n_workers = n_workers;
	shared->n_backends = n_backends;
	shared->seen = (uint64_t *)(void *)(shared + 1);
	shared->waiting = (uint32_t *)(void *)(shared->seen + n_workers);
	return shared;
}

void hold_shared_destroy(struct hold_shared *shared)
{
	if (shared)
		munmap(shared, size_of(shared->n_workers, shared->n_backends));
}

void hold_shared_clear_worker(struct hold_shared *shared, size_t worker)
{
	for (size_t i = 0; i < shared->n_backends; i++)
		__atomic_store_n(
			&shared->waiting[worker * shared->n_backends + i], 0, __ATOMIC_RELAXED);
}

void hold_shared_set_seen(struct hold_shared *shared, size_t worker, uint64_t seq)
{
	__atomic_store_n(&shared->seen[worker], seq, __ATOMIC_RELAXED);
}

uint64_t hold_shared_seen(const struct hold_shared *shared, size_t worker)
{
	return __atomic_load_n(&shared->seen[worker], __ATOMIC_RELAXED);
}

void hold_shared_add(struct hold_shared *shared, size_t worker, size_t backend, int n)
{
	uint32_t *waiting = &shared->waiting[worker * shared->n_backends + backend];

	assert(worker < shared->n_workers && backend < shared->n_backends);
	assert(n > 0 || *waiting > 0);
	/* Nobody else writes there: the store must be whole, and need not be an addition. */
	__atomic_store_n(waiting, *waiting + (uint32_t)n, __ATOMIC_RELAXED);
}

size_t hold_shared_waiting(const struct hold_shared *shared, size_t backend)
{
	size_t sum = 0;

	for (size_t w = 0; w < shared->n_workers; w++)
		sum += __atomic_load_n(
			&shared->waiting[w * shared->n_backends + backend], __ATOMIC_RELAXED);
	return sum;
}
