/*
 * slab - objects of one size, taken and given back in constant time.
 *
 * Objects come out of aligned chunks; a chunk whose objects are all back is freed, but for one that
 * is kept for the next load. Not thread-safe. Under AddressSanitizer an object that was given back
 * is poisoned.
 *
 * An object stays where it is until it is given back. The slab itself must not be moved once it is
 * initialised: it is the head of lists.
 */
#pragma once

#include <stddef.h>

#include "list.h"

/* Members are this module's, but that `used` may be read: objects that are out. */
struct slab {
	size_t object_size;	  /* bytes, rounded up */
	size_t chunk_size;	  /* bytes, a power of two */
	size_t per_chunk;	  /* objects of a chunk, 15 at least */
	size_t limit;		  /* objects at most */
	size_t used;		  /* objects that are out */
	size_t empty_chunks;	  /* of those in partial; 0 or 1 between calls */
	struct list_node partial; /* chunks with room */
	struct list_node full;
};

/*
 * No memory is taken yet. object_size: that of a pointer at least. limit: how many objects there
 * may be at a time.
 */
void slab_init(struct slab *slab, size_t object_size, size_t limit);

/* Uninitialised memory aligned for any type; NULL at the limit or without memory. */
void *slab_get(struct slab *slab);

/* object: NULL, or one of this slab's that is out; its contents are gone. */
void slab_put(struct slab *slab, void *object);

/* Frees all chunks, and with them objects still in use. It may be used on then, as after init. */
void slab_destroy(struct slab *slab);
