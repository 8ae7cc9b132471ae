/*
 * slab - objects of one size, taken and given back in constant time.
 *
 * Objects come out of aligned chunks; a chunk whose objects are all back is freed, but for one that
 * is kept for the next load. Not thread-safe. Under AddressSanitizer an object that was given back
 * is poisoned.
 */
#pragma once

#include <stddef.h>

#include "list.h"

struct slab {
	size_t object_size;
	size_t chunk_size;
	size_t per_chunk;
	size_t limit; /* objects at most */
	size_t used;
	size_t empty_chunks;
	struct list_node partial; /* chunks with room */
	struct list_node full;
};

/* No memory is taken yet. limit: how many objects there may be at a time. */
void slab_init(struct slab *slab, size_t object_size, size_t limit);

/* Uninitialised memory aligned for any type; NULL at the limit or without memory. */
void *slab_get(struct slab *slab);

/* Takes NULL. */
void slab_put(struct slab *slab, void *object);

/* Frees all chunks, and with them objects still in use. */
void slab_destroy(struct slab *slab);
