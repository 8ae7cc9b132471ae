/*
 * hold_shared - what holder and workers know of each other, in shared memory made before the fork:
 * how far each worker has read its questions, and how many clients wait for each backend.
 *
 * Each worker writes its own row; anybody reads. So a sum over workers may be of moments that
 * differ by some instructions: a bound on it can be overrun by one for each worker, and no more.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct hold_shared {
	size_t n_workers;
	size_t n_backends; /* of all pools */
	uint64_t *seen;	   /* of each worker: the question that it read last (hold_ask.seq) */
	uint32_t *waiting; /* a row of n_backends for each worker */
};

/* NULL without memory. */
struct hold_shared *hold_shared_create(size_t n_workers, size_t n_backends);
/* Takes NULL. */
void hold_shared_destroy(struct hold_shared *shared);

/* What a worker does when it begins: nobody waits any more. */
void hold_shared_clear_worker(struct hold_shared *shared, size_t worker);

void hold_shared_set_seen(struct hold_shared *shared, size_t worker, uint64_t seq);
uint64_t hold_shared_seen(const struct hold_shared *shared, size_t worker);

/* n: 1 or -1. */
void hold_shared_add(struct hold_shared *shared, size_t worker, size_t backend, int n);
/* Of all workers. */
size_t hold_shared_waiting(const struct hold_shared *shared, size_t backend);
