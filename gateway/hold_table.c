#include "hold_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ends.h"

/*
 * Theory of operation
 *
 * All memory is taken at the start, as a flood must not be able to have us ask for more. Entries
 * and origins (clients) are in free lists and hash tables with chains, both keyed with a secret. An
 * origin exists as long as it has entries, so there are never more origins than entries, and one is
 * always free when an entry is.
 *
 * Invariants: n is the number of entries that are not HOLD_FREE; the sum of n of all origins is the
 * same; an entry's id has its place in the lower bits, always.
 *
 * "lately" is a cache and no table: a SYN that pushes another one out of its place costs that one's
 * client at most what a client without it would have: to be held once more.
 */
#define PLACE_BITS 16U

static_assert(HOLD_TABLE_MAX <= 1U << PLACE_BITS, "a place fits in an identifier");

static struct list_node *make_slots(size_t n)
{
	struct list_node *slots = calloc(n, sizeof(*slots));

	for (size_t i = 0; slots && i < n; i++)
		list_init(&slots[i]);
	return slots;
}

static int fill(struct hold_table *table, size_t n_slots)
{
	table->entries = calloc(table->max, sizeof(*table->entries));
	table->origins = calloc(table->max, sizeof(*table->origins));
	table->lately = calloc(HOLD_TABLE_LATELY, sizeof(*table->lately));
	table->slots = make_slots(n_slots);
	table->origin_slots = make_slots(n_slots);
	if (!table->entries || !table->origins || !table->lately || !table->slots ||
		!table->origin_slots)
		return -ENOMEM;
	list_init(&table->free);
	list_init(&table->free_origins);
	for (size_t i = 0; i < table->max; i++) {
		table->entries[i].id = (uint32_t)i;
		list_append(&table->free, &table->entries[i].chain);
		list_append(&table->free_origins, &table->origins[i].chain);
	}
	return 0;
}

int hold_table_init(struct hold_table *table, size_t max, size_t max_per_client)
{
	size_t n_slots = 64;
	int err;

	assert(max > 0 && max <= HOLD_TABLE_MAX);
	*table = (struct hold_table){ .max = max, .max_per_client = max_per_client };
	while (n_slots < max)
		n_slots *= 2;
	table->mask = n_slots - 1;
	err = hash_key_init(&table->key);
	if (!err)
		err = fill(table, n_slots);
	if (err)
		hold_table_destroy(table);
	return err;
}

void hold_table_destroy(struct hold_table *table)
{
	free(table->entries);
	free(table->origins);
	free(table->lately);
	free(table->slots);
	free(table->origin_slots);
	*table = (struct hold_table){ 0 };
}

uint64_t hold_table_hash(const struct hold_table *table, const struct sockaddr_any *client,
	const struct sockaddr_any *local)
{
	return ends_hash(&table->key, client, local);
}

struct hold_entry *hold_table_find(struct hold_table *table, const struct sockaddr_any *client,
	const struct sockaddr_any *local)
{
	struct list_node *slot = &table->slots[hold_table_hash(table, client, local) & table->mask];

	for (struct list_node *node = slot->next; node != slot; node = node->next) {
		struct hold_entry *entry = list_entry(node, struct hold_entry, chain);

		if (sockaddr_equal(&entry->client, client) && sockaddr_equal(&entry->local, local))
			return entry;
	}
	return NULL;
}

struct hold_entry *hold_table_by_id(struct hold_table *table, uint32_t id)
{
	size_t place = id & ((1U << PLACE_BITS) - 1U);
	struct hold_entry *entry = place < table->max ? &table->entries[place] : NULL;

	return entry && entry->state != HOLD_FREE && entry->id == id ? entry : NULL;
}

/* ---- where clients come from ---- */

static void set_prefix(struct hold_origin *origin, const struct sockaddr_any *client)
{
	origin->family = (uint8_t)sockaddr_family(client);
	memset(origin->prefix, 0, sizeof(origin->prefix));
	if (origin->family == AF_INET)
		memcpy(origin->prefix, &client->in.sin_addr, 4);
	else
		memcpy(origin->prefix, &client->in6.sin6_addr, sizeof(origin->prefix));
}

/* That of the client, counted once more; NULL: it has as many as it may. */
static struct hold_origin *take_origin(struct hold_table *table, const struct sockaddr_any *client)
{
	struct hold_origin sought = { 0 }, *origin;
	struct list_node *slot, *node;

	set_prefix(&sought, client);
	slot = &table->origin_slots[hash_bytes(&table->key, sought.prefix, sizeof(sought.prefix)) &
				    table->mask];
	for (node = slot->next; node != slot; node = node->next) {
		origin = list_entry(node, struct hold_origin, chain);
		if (origin->family != sought.family ||
			memcmp(origin->prefix, sought.prefix, sizeof(sought.prefix)) != 0)
			continue;
		if (table->max_per_client && origin->n >= table->max_per_client)
			return NULL;
		origin->n++;
		return origin;
	}
	/* There are as many as entries, and one is free. */
	assert(!list_empty(&table->free_origins));
	origin = list_entry(list_pop(&table->free_origins), struct hold_origin, chain);
	set_prefix(origin, client);
	origin->n = 1;
	list_append(slot, &origin->chain);
	return origin;
}

static void give_origin(struct hold_table *table, struct hold_origin *origin)
{
	assert(origin->n > 0);
	if (--origin->n > 0)
		return;
	list_remove(&origin->chain);
	list_append(&table->free_origins, &origin->chain);
}

/* ---- entries ---- */

enum hold_room hold_table_add(struct hold_table *table, const struct sockaddr_any *client,
	const struct sockaddr_any *local, struct hold_entry **ret_entry)
{
	struct hold_origin *origin;
	struct hold_entry *entry;

	if (table->n >= table->max)
		return HOLD_FULL;
	origin = take_origin(table, client);
	if (!origin)
		return HOLD_CLIENT_FULL;
	assert(!list_empty(&table->free));
	entry = list_entry(list_pop(&table->free), struct hold_entry, chain);
	assert(entry->state == HOLD_FREE);
	entry->client = *client;
	entry->local = *local;
	entry->origin = (uint32_t)(origin - table->origins);
	entry->state = HOLD_PENDING;
	list_append(
		&table->slots[hold_table_hash(table, client, local) & table->mask], &entry->chain);
	table->n++;
	*ret_entry = entry;
	return HOLD_ROOM;
}

void hold_table_remove(struct hold_table *table, struct hold_entry *entry)
{
	assert(entry->state != HOLD_FREE && table->n > 0);
	give_origin(table, &table->origins[entry->origin]);
	entry->state = HOLD_FREE;
	/* Late answers for the old one find nobody; it wraps around after 65,536 uses of the place.
	 */
	entry->id += 1U << PLACE_BITS;
	list_remove(&entry->chain);
	list_append(&table->free, &entry->chain);
	table->n--;
}

/* ---- those who are in ---- */

static uint64_t hash_syn(const struct hold_table *table, const struct sockaddr_any *client,
	const struct sockaddr_any *local, uint32_t isn)
{
	const uint64_t data[2] = { hold_table_hash(table, client, local), isn };

	return hash_bytes(&table->key, data, sizeof(data));
}

void hold_table_remember(struct hold_table *table, const struct hold_entry *entry, uint64_t now_ms)
{
	uint64_t hash = hash_syn(table, &entry->client, &entry->local, entry->isn);

	table->lately[hash % HOLD_TABLE_LATELY] = (struct hold_lately){
		.hash = hash,
		.until_ms = now_ms + HOLD_TABLE_LATELY_MS,
	};
}

bool hold_table_was_lately(const struct hold_table *table, const struct sockaddr_any *client,
	const struct sockaddr_any *local, uint32_t isn, uint64_t now_ms)
{
	uint64_t hash = hash_syn(table, client, local, isn);
	const struct hold_lately *lately = &table->lately[hash % HOLD_TABLE_LATELY];

	return lately->hash == hash && now_ms < lately->until_ms;
}
