/*
 * shared_count - counts of what several processes hold together, each up to a limit.
 *
 * Without a lock, and exact: of any number that ask at once for the places that are left, just as
 * many get one. A process may die at any moment; its successor gives back all that it held.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shared_count;

/* The most that a count can be. */
#define SHARED_COUNT_MAX	 16777214U
#define SHARED_COUNT_WORKERS_MAX 256U

/* n counts of zero in shared memory, made before the workers fork; NULL without memory. */
struct shared_count *shared_count_create(size_t n_workers, size_t n);
/* Takes NULL. */
void shared_count_destroy(struct shared_count *counts);

/* What a new worker does first: whatever its predecessor held is given back. */
void shared_count_recover(struct shared_count *counts, size_t worker);

/* One more; false: there are max already. max 0: as many as can be counted. */
bool shared_count_take(struct shared_count *counts, size_t worker, size_t i, uint32_t max);
void shared_count_give(struct shared_count *counts, size_t worker, size_t i);

uint32_t shared_count_value(const struct shared_count *counts, size_t i);

/*
 * For tables in which a count changes its owner. A look is what the count was, and changes with
 * each change of the count; so what was read between a look and the call that takes it is still
 * true when that call succeeds.
 */
uint64_t shared_count_look(const struct shared_count *counts, size_t i);
uint32_t shared_count_of_look(uint64_t look);
bool shared_count_is_closed(uint64_t look);

enum shared_count_taken { SHARED_COUNT_TAKEN, SHARED_COUNT_FULL, SHARED_COUNT_CHANGED };

/* Takes one more if the count is still as in the look. */
enum shared_count_taken shared_count_take_from(
	struct shared_count *counts, size_t worker, size_t i, uint32_t max, uint64_t look);

/* From now on nobody takes one, until it is opened, by the same worker. False: it has changed, or
 * is not zero. */
bool shared_count_close(struct shared_count *counts, size_t worker, size_t i, uint64_t look);
void shared_count_open(struct shared_count *counts, size_t worker, size_t i);
