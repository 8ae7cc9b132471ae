#include "name_merge.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
	uint32_t x = ntohl(((const struct in_addr *)a)->s_addr);
	uint32_t y = ntohl(((const struct in_addr *)b)->s_addr);

	return x < y ? -1 : x > y;
}

static size_t sort_unique(struct in_addr *addrs, size_t n)
{
	size_t kept = 0;

	if (n > 1)
		qsort(addrs, n, sizeof(*addrs), compare);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || addrs[i].s_addr != addrs[kept - 1].s_addr)
			addrs[kept++] = addrs[i];
	return kept;
}

static bool has_slot(const struct name_slot *slots, size_t n_slots, const struct in_addr *addr)
{
	for (size_t i = 0; i < n_slots; i++)
		if (slots[i].there && slots[i].addr.s_addr == addr->s_addr)
			return true;
	return false;
}

/* One that was never used leaves the others to those who may come back. */
static bool is_freer(const struct name_slot *a, const struct name_slot *b)
{
	return a->live < b->live || (a->live == b->live && !a->addr.s_addr && b->addr.s_addr);
}

/* The one that it had, or else the freest; there is a free one. */
static struct name_slot *find_free(
	struct name_slot *slots, size_t n_slots, const struct in_addr *addr, bool own_only)
{
	struct name_slot *best = NULL;

	for (size_t i = 0; i < n_slots; i++) {
		if (slots[i].there)
			continue;
		if (slots[i].addr.s_addr == addr->s_addr)
			return &slots[i];
		if (!own_only && (!best || is_freer(&slots[i], best)))
			best = &slots[i];
	}
	return best;
}

/* Frees the slots of all that is not among the addresses. */
static void let_go(
	struct name_slot *slots, size_t n_slots, const struct in_addr *addrs, size_t n_addrs)
{
	for (size_t i = 0; i < n_slots; i++) {
		bool stays = slots[i].there && n_addrs > 0 &&
			     bsearch(&slots[i].addr, addrs, n_addrs, sizeof(*addrs), compare);

		slots[i].change = slots[i].there && !stays ? NAME_SLOT_GONE : NAME_SLOT_SAME;
		slots[i].there = stays;
	}
}

/* Gives slots to those that have none. own_only: to those that find the one that they had. */
static void take_in(struct name_slot *slots, size_t n_slots, const struct in_addr *addrs,
	size_t n_addrs, bool own_only)
{
	for (size_t i = 0; i < n_addrs; i++) {
		struct name_slot *slot;

		if (has_slot(slots, n_slots, &addrs[i]))
			continue;
		slot = find_free(slots, n_slots, &addrs[i], own_only);
		if (!slot)
			continue;
		slot->addr = addrs[i];
		slot->there = true;
		slot->change = NAME_SLOT_NEW;
	}
}

/*
 * Those that go leave first, so that their slots are free; then those come that find their own
 * slot, before a stranger could take it; then the rest.
 */
size_t name_merge(struct name_slot *slots, size_t n_slots, struct in_addr *addrs, size_t *n)
{
	size_t taken;

	*n = sort_unique(addrs, *n);
	taken = *n < n_slots ? *n : n_slots;
	let_go(slots, n_slots, addrs, taken);
	take_in(slots, n_slots, addrs, taken, true);
	take_in(slots, n_slots, addrs, taken, false);
	return *n - taken;
}
