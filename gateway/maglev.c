#include "maglev.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"

/*
 * Theory of operation
 *
 * Every target has a permutation of the slots, made from its address. Targets take turns, in the
 * order of their addresses' hashes, and each takes the next slot of its permutation that is free. A
 * target with half the weight of the heaviest has a turn in every second round.
 *
 * A permutation is an offset and a step; as the number of slots is a prime, any step leads through
 * all of them. The order of turns is by hash, and not that of the configuration, so that two
 * gateways may list their backends differently.
 *
 * What is hashed is bytes in a fixed order, with ports in network order, and with a byte behind the
 * address for each use (1: permutation, 2: client, 3: rank, none: order), so that no use says
 * anything of another. Key and bytes must never change: all clients would move, and gateways of two
 * releases would not agree.
 */
#define FREE UINT16_MAX

/* Known to all: a table that was hashed with a secret would be one gateway's own. */
static const struct hash_key key = { { 0x7369786761746531, 0x6d61676c65763031 } };

struct maglev_row {
	uint64_t order; /* of turns */
	uint32_t offset, skip;
	uint32_t next; /* the place in the permutation to look at next */
	uint32_t weight;
	uint32_t credit; /* a turn costs the heaviest weight; below twice that */
	uint16_t index;	 /* of the target, as it is written to the slots */
};

/* 16 bytes of address, IPv4 in its v4-mapped form, and 2 of port; how many. */
static size_t put_address(const struct sockaddr_any *addr, uint8_t bytes[18])
{
	const struct sockaddr_any *from = addr;
	uint16_t port = sockaddr_port(addr);

	memset(bytes, 0, 16);
	if (sockaddr_family(from) == AF_INET6) {
		memcpy(bytes, &from->in6.sin6_addr, 16);
	} else {
		bytes[10] = bytes[11] = 0xff;
		memcpy(bytes + 12, &from->in.sin_addr, 4);
	}
	bytes[16] = (uint8_t)(port >> 8);
	bytes[17] = (uint8_t)port;
	return 18;
}

static struct maglev_row make_row(const struct maglev_target *target, size_t index)
{
	uint8_t bytes[19];
	size_t len = put_address(&target->addr, bytes);
	uint64_t where;

	bytes[len] = 1;
	where = hash_bytes(&key, bytes, len + 1);
	return (struct maglev_row){
		.order = hash_bytes(&key, bytes, len),
		.offset = (uint32_t)(where % MAGLEV_SLOTS),
		.skip = (uint32_t)((where >> 32) % (MAGLEV_SLOTS - 1) + 1),
		.weight = target->weight,
		.index = (uint16_t)index,
	};
}

static int compare_rows(const void *a, const void *b)
{
	const struct maglev_row *x = a, *y = b;

	return x->order < y->order ? -1 : x->order > y->order;
}

/* The row's next slot that is free; there is one. */
static void take_slot(struct maglev_row *row, uint16_t slots[MAGLEV_SLOTS])
{
	uint32_t slot;

	do {
		slot = (uint32_t)((row->offset + (uint64_t)row->next * row->skip) % MAGLEV_SLOTS);
		row->next++;
	} while (slots[slot] != FREE);
	slots[slot] = row->index;
}

static void fill(struct maglev_row *rows, size_t n, uint32_t heaviest, uint16_t slots[MAGLEV_SLOTS])
{
	size_t taken = 0;

	for (size_t slot = 0; slot < MAGLEV_SLOTS; slot++)
		slots[slot] = FREE;
	while (taken < MAGLEV_SLOTS) {
		for (size_t i = 0; i < n && taken < MAGLEV_SLOTS; i++) {
			rows[i].credit += rows[i].weight;
			if (rows[i].credit < heaviest)
				continue;
			rows[i].credit -= heaviest;
			take_slot(&rows[i], slots);
			taken++;
		}
	}
}

struct maglev_row *maglev_new_rows(size_t n)
{
	return calloc(n + 1, sizeof(struct maglev_row));
}

int maglev_build_in(struct maglev_row *rows, const struct maglev_target *targets, size_t n,
	uint16_t ret_slots[MAGLEV_SLOTS])
{
	uint32_t heaviest = 0;
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		if (targets[i].weight == 0)
			continue;
		rows[used++] = make_row(&targets[i], i);
		if (targets[i].weight > heaviest)
			heaviest = targets[i].weight;
	}
	if (used == 0)
		return -EINVAL;
	qsort(rows, used, sizeof(*rows), compare_rows);
	fill(rows, used, heaviest, ret_slots);
	return 0;
}

int maglev_build(const struct maglev_target *targets, size_t n, uint16_t ret_slots[MAGLEV_SLOTS])
{
	struct maglev_row *rows = maglev_new_rows(n);
	int err = rows ? maglev_build_in(rows, targets, n, ret_slots) : -ENOMEM;

	free(rows);
	return err;
}

size_t maglev_slot(const struct sockaddr_any *client, enum maglev_hash hash, unsigned attempt)
{
	uint8_t bytes[20];
	size_t len = put_address(client, bytes);

	if (hash == MAGLEV_CLIENT_64 && sockaddr_family(client) == AF_INET6)
		memset(bytes + 8, 0, 8);
	if (hash != MAGLEV_CLIENT_PORT)
		memset(bytes + 16, 0, 2);
	bytes[len] = 2; /* apart from the targets' own hashes */
	bytes[len + 1] = (uint8_t)attempt;
	return (size_t)(hash_bytes(&key, bytes, len + 2) % MAGLEV_SLOTS);
}

uint64_t maglev_rank(size_t slot, const struct sockaddr_any *target)
{
	uint8_t bytes[23];
	size_t len = put_address(target, bytes);
	uint32_t number = (uint32_t)slot;

	bytes[len] = 3;
	for (unsigned i = 0; i < 4; i++)
		bytes[len + 1 + i] = (uint8_t)(number >> (8 * i));
	return hash_bytes(&key, bytes, len + 5);
}
