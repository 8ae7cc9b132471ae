/*
 * ring - records from one writing process to one reading process, through shared memory.
 *
 * Lock-free, one writer, one reader; records of any type up to RING_DATA_MAX bytes. A full ring
 * loses the new record and counts it: the writer never waits. The memory outlives both processes,
 * so what a killed writer had put in is still read. The next reader goes on where one has stopped,
 * and the next writer where its predecessor has.
 *
 * Writers are workers, the holder and the observer, each with a ring of its own; the reader of all
 * is the logger; the supervisor makes them (shared.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_DATA_MAX 440 /* bytes; with type and length a slot is seven cache lines */

struct ring;

/*
 * n_slots: a power of two, and as many records as may wait. NULL without memory. Made before the
 * processes fork; memory that no record has been in takes no room.
 */
struct ring *ring_create(size_t n_slots);
/* Takes NULL. Of this process's mapping; others keep theirs. */
void ring_destroy(struct ring *ring);

/*
 * Writer. data: len bytes, RING_DATA_MAX at most, copied; type is any number. False: the ring was
 * full, the record is lost and counted. No system call.
 */
bool ring_push(struct ring *ring, uint32_t type, const void *data, size_t len);

/*
 * Writer, after ring_push(): whether the reader sleeps and must be woken. True once per
 * ring_sleep() of the reader.
 */
bool ring_must_wake(struct ring *ring);

/*
 * Writer: pushes, and wakes the reader through its non-blocking eventfd if it sleeps. One that is
 * killed between the two leaves a record that nobody is told of: the supervisor does it then, when
 * it was a worker (shared_wake()).
 */
void ring_send(struct ring *ring, int wake_fd, uint32_t type, const void *data, size_t len);

/* Reader. False: empty. data has room for RING_DATA_MAX bytes. */
bool ring_pop(struct ring *ring, uint32_t *ret_type, void *data, size_t *ret_len);

/*
 * Reader: announces sleep. False: something came in meanwhile, read on instead; it is awake then. A
 * wake-up may come all the same, once.
 */
bool ring_sleep(struct ring *ring);

/* Reader. So many that were taken out could not be used: they count as lost. */
void ring_lose(struct ring *ring, uint64_t n);
/* Records lost since the ring was made. */
uint64_t ring_lost(const struct ring *ring);
