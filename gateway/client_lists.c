#include "client_lists.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/*
 * Theory of operation
 *
 * There are two halves. The generation says which one holds; the other one is written, and then the
 * generation goes on. A reader whose half was written meanwhile sees that the generation is another
 * one and looks again. Until then it may read anything, which leads to no place beyond the half.
 *
 * What does not hold any more is given back to the kernel at once.
 *
 * It is a seqlock whose writer never makes readers wait: while one half is written the other one
 * holds. A reader would have to sleep through two replacements to see its half written at all. All
 * words are read and written as atomics, as the two may meet; the fences order them against the
 * generation.
 */
struct table {
	uint64_t first, n; /* of the half's ranges; n 0: no list */
};

enum kind { KIND_V6, KIND_V4, KINDS };

struct client_lists {
	size_t n_lists; /* the last one is that of the banned */
	size_t capacity;
	size_t half_size;
	uint64_t *generation; /* in shared memory, on a page of its own */
	uint8_t *halves;
};

#define PAGE 4096U

static size_t round_up(size_t size)
{
	return (size + PAGE - 1) & ~(size_t)(PAGE - 1);
}

static struct table *table_of(const struct client_lists *lists, uint64_t generation)
{
	return (struct table *)(void *)(lists->halves + (generation & 1) * lists->half_size);
}

static struct prefix_range *ranges_of(const struct client_lists *lists, uint64_t generation)
{
	return (struct prefix_range *)(void *)(table_of(lists, generation) +
					       KINDS * lists->n_lists);
}

struct client_lists *client_lists_create(size_t n_listeners, size_t ranges)
{
	struct client_lists *lists = calloc(1, sizeof(*lists));
	void *shared;

	if (!lists)
		return NULL;
	lists->n_lists = n_listeners + 1;
	lists->capacity = ranges;
	lists->half_size = round_up(KINDS * lists->n_lists * sizeof(struct table) +
				    ranges * sizeof(struct prefix_range));
	shared = mmap(NULL, PAGE + 2 * lists->half_size, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (shared == MAP_FAILED) {
		free(lists);
		return NULL;
	}
	lists->generation = shared;
	lists->halves = (uint8_t *)shared + PAGE;
	return lists;
}

void client_lists_destroy(struct client_lists *lists)
{
	if (!lists)
		return;
	munmap(lists->generation, PAGE + 2 * lists->half_size);
	free(lists);
}

static void store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static void put(struct table *table, struct prefix_range *to, size_t *at,
	const struct prefix_range *from, size_t n)
{
	store(&table->first, *at);
	store(&table->n, n);
	for (size_t i = 0; i < n; i++) {
		struct prefix_range *range = &to[(*at)++];

		store(&range->high, from[i].high);
		store(&range->low, from[i].low);
		__atomic_store_n(&range->allow, from[i].allow, __ATOMIC_RELAXED);
	}
}

int client_lists_publish(struct client_lists *lists, const struct prefix_ranges *parts)
{
	uint64_t generation = __atomic_load_n(lists->generation, __ATOMIC_RELAXED) + 1;
	struct table *table = table_of(lists, generation);
	struct prefix_range *ranges = ranges_of(lists, generation);
	size_t n = 0, at = 0;

	/* Who still reads this half must see that it does not hold before it is written. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (size_t i = 0; i < lists->n_lists; i++)
		n += parts[i].n6 + parts[i].n4;
	if (n > lists->capacity)
		return -ENOSPC;
	/* The half that is written, and never the one that holds. */
	assert(table != table_of(lists, generation - 1));
	for (size_t i = 0; i < lists->n_lists; i++) {
		put(table++, ranges, &at, parts[i].v6, parts[i].n6);
		put(table++, ranges, &at, parts[i].v4, parts[i].n4);
	}
	assert(at == n);
	__atomic_store_n(lists->generation, generation, __ATOMIC_SEQ_CST);
	/* The pages read as zeros then: to who is late in there, "no list", and he looks again. */
	(void)madvise(table_of(lists, generation + 1), lists->half_size, MADV_REMOVE);
	return 0;
}

static bool allows(const struct client_lists *lists, size_t list, const struct sockaddr_any *client)
{
	enum kind kind = sockaddr_family(client) == AF_INET ? KIND_V4 : KIND_V6;
	uint64_t generation = __atomic_load_n(lists->generation, __ATOMIC_ACQUIRE), before;
	bool allow;

	do {
		const struct table *table = table_of(lists, generation) + KINDS * list + kind;
		uint64_t first = __atomic_load_n(&table->first, __ATOMIC_RELAXED);
		uint64_t n = __atomic_load_n(&table->n, __ATOMIC_RELAXED);

		allow = n == 0 || first + n > lists->capacity ||
			prefix_ranges_allow(ranges_of(lists, generation) + first, n, client);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		before = generation;
		generation = __atomic_load_n(lists->generation, __ATOMIC_ACQUIRE);
	} while (generation != before);
	return allow;
}

enum client_lists_verdict client_lists_judge(
	const struct client_lists *lists, size_t listener, const struct sockaddr_any *client)
{
	assert(listener < lists->n_lists - 1);
	if (!allows(lists, lists->n_lists - 1, client))
		return CLIENT_LISTS_BANNED;
	return allows(lists, listener, client) ? CLIENT_LISTS_ALLOWED : CLIENT_LISTS_DENIED;
}
