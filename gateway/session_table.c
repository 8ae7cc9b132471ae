#include "session_table.h"

#include <errno.h>
#include <stdlib.h>

#include "ends.h"

int session_table_init(struct session_table *table, size_t sessions)
{
	size_t n = 64;
	int err;

	*table = (struct session_table){ 0 };
	err = hash_key_init(&table->key);
	if (err)
		return err;
	while (n < sessions)
		n *= 2;
	table->slots = calloc(n, sizeof(*table->slots));
	if (!table->slots)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		list_init(&table->slots[i]);
	table->mask = n - 1;
	return 0;
}

void session_table_destroy(struct session_table *table)
{
	free(table->slots);
	*table = (struct session_table){ 0 };
}

static struct list_node *slot_of(const struct session_table *table,
	const struct sockaddr_any *client, const struct sockaddr_any *local)
{
	return &table->slots[ends_hash(&table->key, client, local) & table->mask];
}

struct flow *session_table_find(const struct session_table *table,
	const struct sockaddr_any *client, const struct sockaddr_any *local)
{
	struct list_node *slot = slot_of(table, client, local);

	for (struct list_node *node = slot->next; node != slot; node = node->next) {
		struct flow *flow = list_entry(node, struct flow, session.chain);

		if (sockaddr_equal(&flow->client, client) && sockaddr_equal(&flow->local, local))
			return flow;
	}
	return NULL;
}

void session_table_add(struct session_table *table, struct flow *flow)
{
	list_append(slot_of(table, &flow->client, &flow->local), &flow->session.chain);
}

void session_table_remove(struct flow *flow)
{
	list_remove(&flow->session.chain);
}
