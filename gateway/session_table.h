/*
 * session_table - finds the UDP session of a datagram by its four ends.
 */
#pragma once

#include <stddef.h>

#include "flow.h"
#include "hash.h"

struct session_table {
	struct list_node *slots;
	size_t mask;
	struct hash_key key;
};

/* For about so many sessions; more are found, more slowly. 0 or a negative errno. */
int session_table_init(struct session_table *table, size_t sessions);
/* Takes a zeroed one. */
void session_table_destroy(struct session_table *table);

/* NULL: there is none. Both addresses without v4-mapped forms. */
struct flow *session_table_find(const struct session_table *table,
	const struct sockaddr_any *client, const struct sockaddr_any *local);

/* By its client and local, which stay as they are until it is removed. */
void session_table_add(struct session_table *table, struct flow *flow);
void session_table_remove(struct flow *flow);
