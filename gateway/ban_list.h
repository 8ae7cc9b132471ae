/*
 * ban_list - who is banned, and what of it the kernel is to hold: plain functions over plain data.
 *
 * Bans may lie within one another. The sets of nftables take no two prefixes that overlap, so only
 * the outermost are in force; one within takes its place when the outer one ends before it does.
 * Every change says what that means for the sets.
 *
 * Nothing here reads a clock, opens anything or logs: whoever calls says what time it is. Used by
 * the supervisor only (bans, guard, ban_store), so there is no lock.
 */
#pragma once

#include <nft_guard.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "prefix.h"

#define BAN_LIST_MAX   65536U
#define BAN_REASON_MAX NFT_GUARD_COMMENT_MAX /* bytes */

struct ban {
	uint8_t family; /* AF_INET or AF_INET6 */
	uint8_t prefix_len;
	uint8_t addr[16];  /* network order; bits beyond prefix_len are zero */
	bool in_force;	   /* no other ban has it within */
	uint64_t until_ms; /* of the wall clock, since 1970; 0: for ever */
	char reason[];	   /* "": none was given */
};

struct ban_list {
	struct ban **bans; /* by family, address and length: an outer one before those within */
	size_t n;
	size_t size;
	/* How many there are of IPv4, IPv6 of each length: lengths of none need not be looked for.
	 */
	uint32_t by_len[2][129];
};

/*
 * What is to leave the sets, then to enter them, in this order: what enters may overlap with what
 * leaves. Starts as all zero; the arrays are its own until ban_changes_clear().
 *
 * The comment of an element to be added is its ban's reason, in the list's memory: it is good until
 * the list is changed again. Those to be removed have none. Times in elements are what is left, in
 * ms, as the kernel wants them; 0: for ever.
 */
struct ban_changes {
	struct nft_guard_element *remove;
	size_t n_remove, room_remove;
	struct nft_guard_element *add;
	size_t n_add, room_add;
};

/* Both take a zeroed one, free what is in it, and leave it zeroed. */
void ban_changes_clear(struct ban_changes *changes);
void ban_list_clear(struct ban_list *list);

/*
 * "2001:db8:1::/64", "192.0.2.1": bits beyond the length are cleared, ::ffff:192.0.2.1 is an IPv4
 * address. Into ret_ban, which has no reason then. 0; or -EINVAL and, in ret_reason, a static
 * sentence that says what would be right.
 */
int ban_list_parse(const char *text, struct ban *ret_ban, const char **ret_reason);

/* "2001:db8:1::/64", "192.0.2.1" into buf, which is returned. */
#define BAN_TEXT_MAX (SOCKADDR_TEXT_MAX + 4)
const char *ban_list_text(const struct ban *ban, char buf[BAN_TEXT_MAX]);

/* Whether it may stand in a comment: up to BAN_REASON_MAX bytes, none a control character. */
bool ban_list_reason_is_fine(const char *reason);

/*
 * Adds a ban, or gives that of the same prefix another end and reason. ban is copied, its in_force
 * and reason are not looked at; reason may be "" and must be fine as above. now_ms: of the wall
 * clock, here and below. changes are added to. 0; -ENOSPC: there are BAN_LIST_MAX, and nothing has
 * changed; -ENOMEM: the list has it or not, changes are incomplete, and ban_list_all() tells what
 * is to be in the sets.
 */
int ban_list_put(struct ban_list *list, const struct ban *ban, const char *reason, uint64_t now_ms,
	struct ban_changes *changes);

/*
 * Takes out the ban of just this prefix, whatever lies within or around it. 0; -ENOENT, and nothing
 * has changed; -ENOMEM: it is out, but changes are incomplete, as before.
 */
int ban_list_remove(
	struct ban_list *list, const struct ban *ban, uint64_t now_ms, struct ban_changes *changes);

/*
 * Takes out those that have ended. The sets have let them go by themselves, so changes only say
 * what takes their place. ret_n: how many; it may be set on failure, too, where some have ended but
 * changes are incomplete. 0 or -ENOMEM, as before.
 */
int ban_list_expire(
	struct ban_list *list, uint64_t now_ms, struct ban_changes *changes, size_t *ret_n);

/* When the first of them ends, in ms of the wall clock; 0: none ever does. */
uint64_t ban_list_next(const struct ban_list *list);

/* All that is to be in the sets, none of it removed; changes should be empty. 0 or -ENOMEM. */
int ban_list_all(const struct ban_list *list, uint64_t now_ms, struct ban_changes *changes);

/* The outermost ban that it lies within; NULL: it is in force itself. */
const struct ban *ban_list_cover(const struct ban_list *list, const struct ban *ban);
