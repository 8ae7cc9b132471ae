#include "ring.h"

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Theory of operation
 *
 * head counts records written, tail records read; head - tail lie in the ring. Only the writer
 * stores head and only the reader stores tail; release on store and acquire on load order the
 * slot's contents. Each side keeps to its own cache line. To sleep, the reader sets "asleep" and
 * looks once more; to wake it, the writer publishes head and then takes "asleep" down. Both are
 * sequentially consistent, so one of them sees the other.
 *
 * A writer that is killed within ring_push() has not published its record, and its successor writes
 * over the slot. A reader that is killed within ring_pop() has not freed the slot, and its
 * successor reads it again. The counts are of 64 bits and never wrap.
 */
struct slot {
	uint32_t type;
	uint32_t len;
	uint8_t data[RING_DATA_MAX];
};
static_assert(sizeof(struct slot) % 64 == 0, "slots end on cache lines");

struct shared {
	alignas(64) _Atomic uint64_t head; /* the writer's */
	_Atomic uint64_t lost;		   /* of both: what found no room, what could not be used */
	alignas(64) _Atomic uint64_t tail; /* the reader's */
	_Atomic bool asleep;		   /* the reader sets it, the writer takes it down */
	alignas(64) struct slot slots[];
};

/* Each process's own: a writer that has been taken over must not choose where the reader looks. */
struct ring {
	struct shared *shared;
	size_t n_slots;
};

static size_t ring_bytes(size_t n_slots)
{
	return sizeof(struct shared) + n_slots * sizeof(struct slot);
}

struct ring *ring_create(size_t n_slots)
{
	struct ring *ring = malloc(sizeof(*ring));

	assert(n_slots > 0 && (n_slots & (n_slots - 1)) == 0);
	if (!ring)
		return NULL;
	ring->n_slots = n_slots;
	ring->shared = mmap(NULL, ring_bytes(n_slots), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ring->shared == MAP_FAILED) {
		free(ring);
		return NULL;
	}
	return ring;
}

void ring_destroy(struct ring *ring)
{
	if (!ring)
		return;
	munmap(ring->shared, ring_bytes(ring->n_slots));
	free(ring);
}

bool ring_push(struct ring *ring, uint32_t type, const void *data, size_t len)
{
	uint64_t head = atomic_load_explicit(&ring->shared->head, memory_order_relaxed);
	struct slot *slot = &ring->shared->slots[head & (ring->n_slots - 1)];

	assert(len <= RING_DATA_MAX);
	if (head - atomic_load_explicit(&ring->shared->tail, memory_order_acquire) >=
		ring->n_slots) {
		atomic_fetch_add_explicit(&ring->shared->lost, 1, memory_order_relaxed);
		return false;
	}
	slot->type = type;
	slot->len = (uint32_t)len;
	memcpy(slot->data, data, len);
	atomic_store(&ring->shared->head, head + 1);
	return true;
}

/* The load first: an exchange takes the cache line away from the reader, with each record. */
bool ring_must_wake(struct ring *ring)
{
	return atomic_load(&ring->shared->asleep) && atomic_exchange(&ring->shared->asleep, false);
}

void ring_send(struct ring *ring, int wake_fd, uint32_t type, const void *data, size_t len)
{
	const uint64_t one = 1;

	ring_push(ring, type, data, len);
	if (ring_must_wake(ring) && write(wake_fd, &one, sizeof(one)) < 0) {
		/* EAGAIN: the reader has not yet seen an earlier wake-up. */
	}
}

bool ring_pop(struct ring *ring, uint32_t *ret_type, void *data, size_t *ret_len)
{
	uint64_t tail = atomic_load_explicit(&ring->shared->tail, memory_order_relaxed);
	struct slot *slot = &ring->shared->slots[tail & (ring->n_slots - 1)];
	size_t len;

	if (tail == atomic_load(&ring->shared->head))
		return false;
	/* The writer is another process, and the less trusted one: it may change this meanwhile. */
	len = __atomic_load_n(&slot->len, __ATOMIC_RELAXED);
	if (len > RING_DATA_MAX)
		len = RING_DATA_MAX;
	memcpy(data, slot->data, len);
	*ret_type = slot->type;
	*ret_len = len;
	atomic_store_explicit(&ring->shared->tail, tail + 1, memory_order_release);
	return true;
}

bool ring_sleep(struct ring *ring)
{
	atomic_store(&ring->shared->asleep, true);
	if (atomic_load(&ring->shared->head) ==
		atomic_load_explicit(&ring->shared->tail, memory_order_relaxed))
		return true;
	atomic_store(&ring->shared->asleep, false);
	return false;
}

void ring_lose(struct ring *ring, uint64_t n)
{
	atomic_fetch_add_explicit(&ring->shared->lost, n, memory_order_relaxed);
}

uint64_t ring_lost(const struct ring *ring)
{
	return atomic_load_explicit(&ring->shared->lost, memory_order_relaxed);
}
