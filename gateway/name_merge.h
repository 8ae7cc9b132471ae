/*
 * name_merge - which of a name's addresses has which of its slots: a plain function over plain
 * data.
 *
 * An address that stays keeps its slot, with its connections and all that is known of it. Which
 * slot an address has decides nothing else: hashing goes by addresses (maglev.h).
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum name_slot_change { NAME_SLOT_SAME, NAME_SLOT_GONE, NAME_SLOT_NEW };

struct name_slot {
	struct in_addr addr; /* network order; also if it is gone; 0.0.0.0: there never was one */
	bool there;	     /* the address may be chosen; no two slots that are have the same */
	uint64_t live;	     /* connections to what the slot has, or had; read only */
	enum name_slot_change change; /* written only */
};

/*
 * Gives the slots to the n addresses, which are sorted and freed of doubles: n is changed. If there
 * are more than slots, the least ones win, so that all gateways take the same. A new address gets,
 * of the free slots, the one that it had before, or else the one with the fewest connections left.
 * Each slot's change is set; one whose address makes room for another is NAME_SLOT_NEW. Returns
 * how many addresses got none. *n 0: all go.
 */
size_t name_merge(struct name_slot *slots, size_t n_slots, struct in_addr *addrs, size_t *n);
