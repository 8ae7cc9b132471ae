#include "slab.h"

#include <assert.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(addr, size)	((void)(addr), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(addr, size) ((void)(addr), (void)(size))
#endif

/*
 * Theory of operation
 *
 * A chunk is aligned to its own size, a power of two, so that the chunk of an object is found by
 * masking the object's address. Objects that are free form a list through their first bytes; those
 * never used yet lie behind "fresh", so that memory is not touched before it is needed.
 * A chunk is in slab.partial while it has room, else in slab.full.
 *
 * What was given back last goes out first: it is in the cache. Objects come from the chunk that has
 * been in slab.partial for the longest time, so that others have a chance to become empty. One
 * empty chunk is kept, or a load around the edge of a chunk would allocate and free one with each
 * object.
 */
struct chunk {
	struct list_node node;
	void *free;
	size_t fresh; /* objects never handed out start at this index */
	size_t used;
};

#define CHUNK_MIN   ((size_t)64 * 1024)
#define CHUNK_FRONT ((sizeof(struct chunk) + 63) / 64 * 64)

static struct chunk *chunk_of(const struct slab *slab, void *object)
{
	return (void *)((uintptr_t)object & ~(uintptr_t)(slab->chunk_size - 1));
}

static void *chunk_object(const struct slab *slab, struct chunk *chunk, size_t index)
{
	return (char *)chunk + CHUNK_FRONT + index * slab->object_size;
}

void slab_init(struct slab *slab, size_t object_size, size_t limit)
{
	size_t align = alignof(max_align_t);

	assert(object_size >= sizeof(void *));
	*slab = (struct slab){ .limit = limit, .chunk_size = CHUNK_MIN };
	slab->object_size = (object_size + align - 1) / align * align;
	while (slab->chunk_size < 16 * slab->object_size)
		slab->chunk_size *= 2;
	slab->per_chunk = (slab->chunk_size - CHUNK_FRONT) / slab->object_size;
	list_init(&slab->partial);
	list_init(&slab->full);
}

static struct chunk *chunk_add(struct slab *slab)
{
	struct chunk *chunk = aligned_alloc(slab->chunk_size, slab->chunk_size);

	if (!chunk)
		return NULL;
	*chunk = (struct chunk){ 0 };
	list_append(&slab->partial, &chunk->node);
	slab->empty_chunks++;
	return chunk;
}

void *slab_get(struct slab *slab)
{
	struct chunk *chunk;
	void *object;

	if (slab->used >= slab->limit)
		return NULL;
	if (list_empty(&slab->partial)) {
		chunk = chunk_add(slab);
		if (!chunk)
			return NULL;
	} else {
		chunk = list_entry(slab->partial.next, struct chunk, node);
	}
	if (chunk->free) {
		object = chunk->free;
		ASAN_UNPOISON_MEMORY_REGION(object, slab->object_size);
		chunk->free = *(void **)object;
	} else {
		object = chunk_object(slab, chunk, chunk->fresh++);
	}
	if (chunk->used++ == 0)
		slab->empty_chunks--;
	if (chunk->used == slab->per_chunk) {
		list_remove(&chunk->node);
		list_append(&slab->full, &chunk->node);
	}
	slab->used++;
	return object;
}

static void chunk_free(struct slab *slab, struct chunk *chunk)
{
	list_remove(&chunk->node);
	ASAN_UNPOISON_MEMORY_REGION(chunk, slab->chunk_size);
	free(chunk);
}

void slab_put(struct slab *slab, void *object)
{
	struct chunk *chunk;

	if (!object)
		return;
	chunk = chunk_of(slab, object);
	assert(chunk->used > 0 && slab->used > 0);
	if (chunk->used == slab->per_chunk) {
		list_remove(&chunk->node);
		list_append(&slab->partial, &chunk->node);
	}
	*(void **)object = chunk->free;
	chunk->free = object;
	ASAN_POISON_MEMORY_REGION(object, slab->object_size);
	slab->used--;
	if (--chunk->used > 0)
		return;
	if (slab->empty_chunks > 0)
		chunk_free(slab, chunk);
	else
		slab->empty_chunks++;
}

static void chunks_free(struct slab *slab, struct list_node *head)
{
	struct list_node *node, *tmp;

	list_for_each_safe (node, tmp, head)
		chunk_free(slab, list_entry(node, struct chunk, node));
}

void slab_destroy(struct slab *slab)
{
	chunks_free(slab, &slab->partial);
	chunks_free(slab, &slab->full);
	slab->used = slab->empty_chunks = 0;
}
