/*
 * shared_count - counts of what several processes hold together, each up to a limit.
 *
 * Without a lock, and exact: of any number that ask at once for the places that are left, just as
 * many get one. A process may die at any moment; its successor gives back all that it held.
 *
 * worker: below n_workers, the caller's own number, of which one process lives at a time; i: below
 * n, which count. No system call after create, and nothing waits: who has to try again does so
 * since another one has succeeded.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shared_count;

/* The most that a count can be: 24 bits, but for the number that means "closed". */
#define SHARED_COUNT_MAX	 16777214U
#define SHARED_COUNT_WORKERS_MAX 256U /* their numbers have 8 bits */

/*
 * n counts of zero in shared memory, made before the workers fork; NULL without memory. Pages that
 * were never written take no room, so n may be generous.
 */
struct shared_count *shared_count_create(size_t n_workers, size_t n);
/* Takes NULL. */
void shared_count_destroy(struct shared_count *counts);

/*
 * What a new worker does first: whatever its predecessor, which must be dead, held is given back.
 * What it had closed stays closed, and is to be opened by its successor, who knows why.
 */
void shared_count_recover(struct shared_count *counts, size_t worker);

/*
 * One more; false: there are max already, or it is closed. max 0: as many as can be counted. Counts
 * may be beyond a max that is less than the one they were taken by.
 */
bool shared_count_take(struct shared_count *counts, size_t worker, size_t i, uint32_t max);
/* One less, of those that this worker has taken. */
void shared_count_give(struct shared_count *counts, size_t worker, size_t i);

/* What it was a moment ago; 0 if it is closed. By anybody. */
uint32_t shared_count_value(const struct shared_count *counts, size_t i);

/*
 * For tables in which a count changes its owner. A look is what the count was, and changes with
 * each change of the count; so what was read between a look and the call that takes it is still
 * true when that call succeeds.
 */
uint64_t shared_count_look(const struct shared_count *counts, size_t i);
/* The number in it, 0 if it is closed; and whether it is. */
uint32_t shared_count_of_look(uint64_t look);
bool shared_count_is_closed(uint64_t look);

enum shared_count_taken { SHARED_COUNT_TAKEN, SHARED_COUNT_FULL, SHARED_COUNT_CHANGED };

/*
 * Takes one more if the count is still as in the look. FULL is judged by the look alone, also of
 * one that is closed, and may be out of date: look again to be sure.
 */
enum shared_count_taken shared_count_take_from(
	struct shared_count *counts, size_t worker, size_t i, uint32_t max, uint64_t look);

/* From now on nobody takes one, until it is opened, by the same worker. False: it has changed, or
 * is not zero. */
bool shared_count_close(struct shared_count *counts, size_t worker, size_t i, uint64_t look);
void shared_count_open(struct shared_count *counts, size_t worker, size_t i);
