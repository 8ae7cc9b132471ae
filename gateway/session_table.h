/*
 * session_table - finds the UDP session of a datagram by its four ends.
 *
 * A hash table with chains, keyed with random bytes (hash.h), so that a client cannot choose ports
 * that fall into one chain. It owns no flows, and links them by flow->session.chain. A worker's;
 * one thread.
 */
#pragma once

#include <stddef.h>

#include "flow.h"
#include "hash.h"

struct session_table {
	struct list_node *slots; /* mask + 1 of them, a power of two */
	size_t mask;
	struct hash_key key;
};

/*
 * For about so many sessions; more are found, more slowly. It never grows: a worker knows its limit
 * of flows at the start, and growing would be a pause for everybody. 0; -ENOMEM, or what
 * getrandom(2) says.
 */
int session_table_init(struct session_table *table, size_t sessions);
/* Takes a zeroed one. */
void session_table_destroy(struct session_table *table);

/* NULL: there is none. Both addresses without v4-mapped forms. */
struct flow *session_table_find(const struct session_table *table,
	const struct sockaddr_any *client, const struct sockaddr_any *local);

/* By its client and local, which stay as they are until it is removed. */
void session_table_add(struct session_table *table, struct flow *flow);
/* Harmless if it is in none. */
void session_table_remove(struct flow *flow);
