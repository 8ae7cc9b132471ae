/*
 * hold_table - the clients that wait to be let in: plain data of the holder's process.
 *
 * Bounded in all and for each client (an IPv6 /64, or an IPv4 address). All memory is taken at the
 * beginning. An entry lives from a client's SYN until the worker is done with it: either the client
 * was refused, or it has come, or it never did.
 *
 * Strangers fill it, with addresses that they may have forged: it is hashed with a key of its own,
 * and finding, adding and removing take constant time however full it is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hash.h"
#include "list.h"
#include "sockaddr.h"
#include "timer.h"

#define HOLD_TABLE_MAX 65536U

/* For how long it is known that a client was let in, and of how many, about. */
#define HOLD_TABLE_LATELY_MS 4000U
#define HOLD_TABLE_LATELY    65536U

enum hold_state {
	HOLD_FREE,
	HOLD_PENDING, /* the kernel has the packet, a worker the question */
	HOLD_LET_IN,  /* the packet went on; the client's connection is not there yet */
};

struct hold_entry {
	struct list_node chain; /* in a slot, or among the free */
	struct timer timer;	/* the owner's; not set when the entry is added or removed */
	struct sockaddr_any client;
	struct sockaddr_any local;
	void *owner;	 /* the owner's, like what follows down to bind */
	uint64_t seq;	 /* of the question */
	uint32_t packet; /* the kernel's number of it */
	uint32_t isn;	 /* the SYN's sequence number */
	uint16_t worker;
	uint16_t bind;
	bool seen; /* by the worker */
	/*
	 * The place in the lower 16 bits, and how often that was used in the upper ones: never the
	 * same for two entries that follow each other in a place, so a late answer finds none.
	 */
	uint32_t id;
	uint32_t origin; /* index of its client's row */
	uint8_t state;	 /* enum hold_state; changed from PENDING to LET_IN by the owner */
};

/* A client (a /64, or an IPv4 address) that has entries. */
struct hold_origin {
	struct list_node chain; /* in a slot, or among the free */
	uint8_t prefix[8];	/* the /64, or the IPv4 address in front of zeros */
	uint8_t family;
	uint32_t n; /* entries of it; 0: it is free */
};

/* SYNs that were let in, by their hash; a later one takes the place of one before it. */
struct hold_lately {
	uint64_t hash;
	uint64_t until_ms; /* 0: none */
};

struct hold_table {
	struct hold_lately *lately; /* HOLD_TABLE_LATELY of them */
	struct hold_entry *entries;
	struct hold_origin *origins; /* as many */
	struct list_node *slots, *origin_slots;
	struct list_node free, free_origins;
	size_t mask;	       /* slots, a power of two, less one */
	size_t max;	       /* entries */
	size_t max_per_client; /* 0: no limit */
	size_t n;	       /* entries that are not HOLD_FREE */
	struct hash_key key;
};

enum hold_room {
	HOLD_ROOM,
	HOLD_FULL,
	HOLD_CLIENT_FULL,
};

/* max: 1 to HOLD_TABLE_MAX. 0; or a negative errno, and the table is zeroed. */
int hold_table_init(struct hold_table *table, size_t max, size_t max_per_client);
/* Takes a zeroed one. */
void hold_table_destroy(struct hold_table *table);

/* NULL: there is none. */
struct hold_entry *hold_table_find(struct hold_table *table, const struct sockaddr_any *client,
	const struct sockaddr_any *local);
/* NULL: it is gone, or never was. */
struct hold_entry *hold_table_by_id(struct hold_table *table, uint32_t id);

/*
 * Of ends that are not in it. Unless it is HOLD_ROOM nothing has changed. The owner fills in what
 * is his, and must cancel the timer before it removes the entry, which lives in the table until
 * then.
 */
enum hold_room hold_table_add(struct hold_table *table, const struct sockaddr_any *client,
	const struct sockaddr_any *local, struct hold_entry **ret_entry);
void hold_table_remove(struct hold_table *table, struct hold_entry *entry);

/*
 * A SYN that was sent twice and is late may come when its client is in, and its entry gone: that is
 * no client who wants to be held. A new connection of the same ends has another sequence number.
 */
void hold_table_remember(struct hold_table *table, const struct hold_entry *entry, uint64_t now_ms);
bool hold_table_was_lately(const struct hold_table *table, const struct sockaddr_any *client,
	const struct sockaddr_any *local, uint32_t isn, uint64_t now_ms);

/* A number that depends on the ends only, for as long as the table lives. */
uint64_t hold_table_hash(const struct hold_table *table, const struct sockaddr_any *client,
	const struct sockaddr_any *local);
