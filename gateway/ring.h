/*
 * ring - records from one writing process to one reading process, through shared memory.
 *
 * Lock-free, one writer, one reader; records of any type up to RING_DATA_MAX bytes. A full ring
 * loses the new record and counts it: the writer never waits. The memory outlives both processes,
 * so what a killed writer had put in is still read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_DATA_MAX 440

struct ring;

/* n_slots: a power of two. NULL without memory. Made before the processes fork. */
struct ring *ring_create(size_t n_slots);
void ring_destroy(struct ring *ring);

/* Writer. False: the ring was full, the record is lost and counted. */
bool ring_push(struct ring *ring, uint32_t type, const void *data, size_t len);

/*
 * Writer, after ring_push(): whether the reader sleeps and must be woken. True once per
 * ring_sleep() of the reader.
 */
bool ring_must_wake(struct ring *ring);

/* Writer: pushes, and wakes the reader through its non-blocking eventfd if it sleeps. */
void ring_send(struct ring *ring, int wake_fd, uint32_t type, const void *data, size_t len);

/* Reader. False: empty. data has room for RING_DATA_MAX bytes. */
bool ring_pop(struct ring *ring, uint32_t *ret_type, void *data, size_t *ret_len);

/* Reader: announces sleep. False: something came in meanwhile, read on instead. */
bool ring_sleep(struct ring *ring);

/* Reader. So many that were taken out could not be used: they count as lost. */
void ring_lose(struct ring *ring, uint64_t n);
/* Records lost since the ring was made. */
uint64_t ring_lost(const struct ring *ring);
