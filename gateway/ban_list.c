#include "ban_list.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Theory of operation
 *
 * One sorted array of pointers. The order (family, address, length) puts a prefix right in front of
 * everything that lies within it, so "all within" is a stretch that begins where the prefix is or
 * would be; and an outer one is found by asking for each shorter length that exists, 127 binary
 * searches at most. A trie would save those, and cost memory and code for what happens at the pace
 * of commands.
 *
 * Invariant, whenever no function is at work: a ban is in_force just if no other ban of the list
 * covers it. So no two that are in force overlap, and the sets of nftables, which refuse
 * overlapping intervals, can hold all of those.
 *
 * An end keeps the invariant in two steps: all that have ended leave the array first, and then the
 * stretch below each of them that was in force is settled. The other way round, one that has ended
 * as well would be put in force for an instant, and the kernel told so.
 *
 * Without memory only the changes are incomplete, never the flags: the list remains what holds, and
 * the caller has the sets replaced as a whole by ban_list_all().
 */

/* ---- one ban ---- */

static unsigned full_len(uint8_t family)
{
	return family == AF_INET6 ? 128 : 32;
}

static void clear_beyond(uint8_t addr[16], unsigned len)
{
	assert(len <= 128);
	for (unsigned bit = len; bit < 128; bit++)
		addr[bit / 8] &= (uint8_t) ~(0x80U >> bit % 8);
}

/* v4-mapped prefixes are IPv4's. */
static void unmap(struct ban *ban)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (ban->family != AF_INET6 || ban->prefix_len < 96 ||
		memcmp(ban->addr, mapped, sizeof(mapped)) != 0)
		return;
	ban->family = AF_INET;
	ban->prefix_len = (uint8_t)(ban->prefix_len - 96);
	memmove(ban->addr, ban->addr + 12, 4);
	memset(ban->addr + 4, 0, 12);
}

int ban_list_parse(const char *text, struct ban *ret_ban, const char **ret_reason)
{
	struct ban ban = { 0 };
	struct prefix prefix;

	if (prefix_parse(text, &prefix, ret_reason) < 0)
		return -EINVAL;
	ban.family = (uint8_t)sockaddr_family(&prefix.addr);
	ban.prefix_len = prefix.len;
	if (ban.family == AF_INET) {
		memcpy(ban.addr, &prefix.addr.in.sin_addr, 4);
	} else if (prefix.addr.in6.sin6_scope_id) {
		*ret_reason = "a ban holds whatever the interface: leave it out";
		return -EINVAL;
	} else {
		memcpy(ban.addr, &prefix.addr.in6.sin6_addr, 16);
	}
	clear_beyond(ban.addr, ban.prefix_len);
	unmap(&ban);
	if (ban.prefix_len == 0) {
		*ret_reason = "that is everybody: write a length of 1 at least";
		return -EINVAL;
	}
	*ret_ban = ban;
	return 0;
}

const char *ban_list_text(const struct ban *ban, char buf[BAN_TEXT_MAX])
{
	struct sockaddr_any addr = { .sa.sa_family = ban->family };
	size_t len;

	if (ban->family == AF_INET)
		memcpy(&addr.in.sin_addr, ban->addr, 4);
	else
		memcpy(&addr.in6.sin6_addr, ban->addr, 16);
	sockaddr_format_host(&addr, buf);
	len = strlen(buf);
	if (ban->prefix_len < full_len(ban->family))
		snprintf(buf + len, BAN_TEXT_MAX - len, "/%u", ban->prefix_len);
	return buf;
}

bool ban_list_reason_is_fine(const char *reason)
{
	size_t len = strlen(reason);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)reason[i] < ' ' || reason[i] == '\x7f')
			return false;
	return len <= BAN_REASON_MAX;
}

static int compare(const struct ban *a, const struct ban *b)
{
	int order;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	order = memcmp(a->addr, b->addr, sizeof(a->addr));
	return order ? order : a->prefix_len - b->prefix_len;
}

static bool covers(const struct ban *outer, const struct ban *inner)
{
	uint8_t addr[16];

	if (outer->family != inner->family || outer->prefix_len > inner->prefix_len)
		return false;
	memcpy(addr, inner->addr, sizeof(addr));
	clear_beyond(addr, outer->prefix_len);
	return memcmp(addr, outer->addr, sizeof(addr)) == 0;
}

static bool has_ended(const struct ban *ban, uint64_t now_ms)
{
	return ban->until_ms && ban->until_ms <= now_ms;
}

/* ---- changes ---- */

void ban_changes_clear(struct ban_changes *changes)
{
	free(changes->remove);
	free(changes->add);
	*changes = (struct ban_changes){ 0 };
}

/*
 * One that has just ended gets a millisecond: 0 would be for ever, and the ban is gone from the
 * list by the next look in any case.
 */
static struct nft_guard_element element_of(const struct ban *ban, uint64_t now_ms)
{
	struct nft_guard_element element = {
		.family = ban->family,
		.prefix_len = ban->prefix_len,
		.comment = ban->reason,
	};

	memcpy(element.addr, ban->addr, sizeof(element.addr));
	if (ban->until_ms)
		element.timeout_ms = ban->until_ms > now_ms ? ban->until_ms - now_ms : 1;
	return element;
}

static int note(struct nft_guard_element **array, size_t *n, size_t *room,
	const struct nft_guard_element *value)
{
	size_t wanted = *room ? 2 * *room : 4;
	struct nft_guard_element *bigger;

	if (*n == *room) {
		bigger = reallocarray(*array, wanted, sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		*array = bigger;
		*room = wanted;
	}
	(*array)[(*n)++] = *value;
	return 0;
}

static int enter(const struct ban *ban, uint64_t now_ms, struct ban_changes *changes)
{
	const struct nft_guard_element element = element_of(ban, now_ms);

	return note(&changes->add, &changes->n_add, &changes->room_add, &element);
}

static int leave(const struct ban *ban, struct ban_changes *changes)
{
	struct nft_guard_element element = element_of(ban, 0);

	element.comment = NULL; /* the ban may be gone before it is read */
	return note(&changes->remove, &changes->n_remove, &changes->room_remove, &element);
}

/* ---- the list ---- */

void ban_list_clear(struct ban_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->bans[i]);
	free(list->bans);
	*list = (struct ban_list){ 0 };
}

static void count(struct ban_list *list, const struct ban *ban, int by)
{
	assert(ban->prefix_len > 0 && ban->prefix_len <= full_len(ban->family));
	assert(by > 0 || list->by_len[ban->family == AF_INET6][ban->prefix_len] > 0);
	list->by_len[ban->family == AF_INET6][ban->prefix_len] += (uint32_t)by;
}

/* Where it is, or would be; true: it is there. */
static bool find(const struct ban_list *list, const struct ban *ban, size_t *ret_index)
{
	size_t low = 0, high = list->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare(list->bans[middle], ban);

		if (order == 0) {
			*ret_index = middle;
			return true;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_index = low;
	return false;
}

const struct ban *ban_list_cover(const struct ban_list *list, const struct ban *ban)
{
	size_t index;

	for (unsigned len = 1; len < ban->prefix_len; len++) {
		struct ban outer = *ban;

		if (list->by_len[ban->family == AF_INET6][len] == 0)
			continue;
		outer.prefix_len = (uint8_t)len;
		clear_beyond(outer.addr, len);
		if (find(list, &outer, &index))
			return list->bans[index];
	}
	return NULL;
}

/*
 * Of those within the prefix, which nothing else has within: the outermost come into force, and no
 * others.
 */
static int settle(struct ban_list *list, const struct ban *prefix, uint64_t now_ms,
	struct ban_changes *changes)
{
	const struct ban *outer = NULL;
	size_t i;
	int err = 0;

	(void)find(list, prefix, &i);
	for (; i < list->n && covers(prefix, list->bans[i]); i++) {
		struct ban *ban = list->bans[i];
		bool wanted = !outer || !covers(outer, ban);

		if (wanted)
			outer = ban;
		if (wanted == ban->in_force)
			continue;
		ban->in_force = wanted;
		if (!err)
			err = wanted ? enter(ban, now_ms, changes) : leave(ban, changes);
	}
	return err;
}

static struct ban *make(const struct ban *ban, const char *reason)
{
	size_t len = strlen(reason);
	struct ban *made = malloc(sizeof(*made) + len + 1);

	if (!made)
		return NULL;
	*made = *ban;
	made->in_force = false;
	memcpy(made->reason, reason, len + 1);
	return made;
}

static bool make_room(struct ban_list *list)
{
	size_t size = list->size ? 2 * list->size : 16;
	struct ban **bigger;

	if (list->n < list->size)
		return true;
	bigger = reallocarray(list->bans, size, sizeof(struct ban *));
	if (!bigger)
		return false;
	list->bans = bigger;
	list->size = size;
	return true;
}

/*
 * The prefix is banned already. The kernel has no way to give an element another end or comment, so
 * it leaves and comes anew; both are one batch, and nobody gets in between.
 */
static int replace(struct ban_list *list, size_t index, struct ban *made, uint64_t now_ms,
	struct ban_changes *changes)
{
	struct ban *old = list->bans[index];
	int err = 0;

	made->in_force = old->in_force;
	list->bans[index] = made;
	if (made->in_force) {
		err = leave(old, changes);
		if (!err)
			err = enter(made, now_ms, changes);
	}
	free(old);
	return err;
}

int ban_list_put(struct ban_list *list, const struct ban *ban, const char *reason, uint64_t now_ms,
	struct ban_changes *changes)
{
	struct ban *made;
	size_t index;
	bool there = find(list, ban, &index);

	assert(ban_list_reason_is_fine(reason));
	assert(list->n <= list->size && list->n <= BAN_LIST_MAX);
	if (!there && list->n >= BAN_LIST_MAX)
		return -ENOSPC;
	made = make(ban, reason);
	if (!made || !make_room(list)) {
		free(made);
		return -ENOMEM;
	}
	if (there)
		return replace(list, index, made, now_ms, changes);
	memmove(list->bans + index + 1, list->bans + index,
		(list->n - index) * sizeof(struct ban *));
	list->bans[index] = made;
	list->n++;
	count(list, made, 1);
	/* Within another, it changes nothing in the sets; else what it covers has to leave them. */
	return ban_list_cover(list, made) ? 0 : settle(list, made, now_ms, changes);
}

int ban_list_remove(
	struct ban_list *list, const struct ban *ban, uint64_t now_ms, struct ban_changes *changes)
{
	struct ban *gone;
	size_t index;
	int err = 0;

	if (!find(list, ban, &index))
		return -ENOENT;
	gone = list->bans[index];
	list->n--;
	count(list, gone, -1);
	memmove(list->bans + index, list->bans + index + 1,
		(list->n - index) * sizeof(struct ban *));
	if (gone->in_force) {
		err = leave(gone, changes);
		if (!err)
			err = settle(list, gone, now_ms, changes);
		else
			(void)settle(list, gone, now_ms, changes);
	}
	free(gone);
	return err;
}

/* The ended ones are taken out at once, so that none of them takes the place of another. */
int ban_list_expire(
	struct ban_list *list, uint64_t now_ms, struct ban_changes *changes, size_t *ret_n)
{
	struct ban **ended = calloc(list->n + 1, sizeof(struct ban *));
	size_t n = 0, kept = 0;
	int err = 0;

	if (!ended)
		return -ENOMEM;
	for (size_t i = 0; i < list->n; i++)
		if (has_ended(list->bans[i], now_ms)) {
			ended[n++] = list->bans[i];
			count(list, list->bans[i], -1);
		} else {
			list->bans[kept++] = list->bans[i];
		}
	list->n = kept;
	for (size_t i = 0; i < n; i++) {
		/* Also without memory for the changes: the flags are what ban_list_all() goes by.
		 */
		if (ended[i]->in_force) {
			int settled = settle(list, ended[i], now_ms, changes);

			err = err ? err : settled;
		}
		free(ended[i]);
	}
	free(ended);
	*ret_n = n;
	return err;
}

uint64_t ban_list_next(const struct ban_list *list)
{
	uint64_t next = 0;

	for (size_t i = 0; i < list->n; i++)
		if (list->bans[i]->until_ms && (next == 0 || list->bans[i]->until_ms < next))
			next = list->bans[i]->until_ms;
	return next;
}

int ban_list_all(const struct ban_list *list, uint64_t now_ms, struct ban_changes *changes)
{
	int err = 0;

	for (size_t i = 0; i < list->n && !err; i++)
		if (list->bans[i]->in_force && !has_ended(list->bans[i], now_ms))
			err = enter(list->bans[i], now_ms, changes);
	return err;
}
