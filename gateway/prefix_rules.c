#include "prefix_rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Theory of operation
 *
 * Prefixes are disjoint or one within the other. Sorted by where they begin, the wider one first,
 * they are walked through with a stack of those that one is within at the moment. Where one begins
 * its word holds, and where it ends that of the one around it, so that a list of places is left,
 * each with the word that holds from there on. To look up is then a binary search.
 *
 * Not a trie: an array of places is copied into shared memory as it is, has no pointers that could
 * lead astray while it is replaced, and a million prefixes are found in 21 steps.
 */
#define DEPTH_MAX 130U /* prefixes of all lengths around each other */
#define LINE_MAX_ 127U /* of a list, without its comment */

typedef unsigned __int128 address;

void prefix_rules_clear(struct prefix_rules *rules)
{
	free(rules->rules);
	*rules = (struct prefix_rules){ 0 };
}

int prefix_rules_add(struct prefix_rules *rules, const struct prefix *prefix, bool allow)
{
	if (rules->n >= PREFIX_RULES_MAX)
		return -ENOSPC;
	if (rules->n == rules->room) {
		size_t room = rules->room ? 2 * rules->room : 64;
		struct prefix_rule *bigger =
			reallocarray(rules->rules, room, sizeof(*rules->rules));

		if (!bigger)
			return -ENOMEM;
		rules->rules = bigger;
		rules->room = room;
	}
	rules->rules[rules->n++] = (struct prefix_rule){ *prefix, allow };
	rules->allows = rules->allows || allow;
	return 0;
}

/* ---- text ---- */

int prefix_rules_parse_one(const char *text, struct prefix *ret_prefix, const char **ret_reason)
{
	struct prefix prefix;

	if (prefix_parse(text, &prefix, ret_reason) < 0)
		return -EINVAL;
	if (sockaddr_family(&prefix.addr) == AF_INET6 && prefix.addr.in6.sin6_scope_id) {
		*ret_reason = "a list has addresses without an interface: remove the % and what "
			      "follows";
		return -EINVAL;
	}
	if (prefix_has_host_bits(&prefix)) {
		*ret_reason = "the bits beyond the length of a prefix must be zero, like in "
			      "2001:db8:1::/64 or 10.0.0.0/8";
		return -EINVAL;
	}
	if (sockaddr_family(&prefix.addr) == AF_INET6 && prefix.len >= 96 &&
		IN6_IS_ADDR_V4MAPPED(&prefix.addr.in6.sin6_addr)) {
		sockaddr_unmap(&prefix.addr);
		prefix.len = (uint8_t)(prefix.len - 96);
	}
	*ret_prefix = prefix;
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* What may go into a message. */
static void clean(char *text)
{
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
}

/* One line, without its end. 0; -ENOMEM; or -EINVAL and the reason. */
static int parse_line(struct prefix_rules *rules, const char *line, size_t len, bool allow,
	char shown[LINE_MAX_ + 1], const char **ret_reason)
{
	const char *comment = memchr(line, '#', len);
	struct prefix prefix;
	int err;

	if (comment)
		len = (size_t)(comment - line);
	while (len && is_blank(line[len - 1]))
		len--;
	while (len && is_blank(*line)) {
		line++;
		len--;
	}
	if (len == 0)
		return 0;
	snprintf(shown, LINE_MAX_ + 1, "%.*s", (int)(len < LINE_MAX_ ? len : LINE_MAX_), line);
	*ret_reason = "a line has one address or prefix, such as 192.0.2.0/24 or 2001:db8::/32";
	if (len >= LINE_MAX_ || memchr(line, '\0', len))
		return -EINVAL;
	err = prefix_rules_parse_one(shown, &prefix, ret_reason);
	if (!err)
		err = prefix_rules_add(rules, &prefix, allow);
	if (err == -ENOSPC) {
		*ret_reason =
			"a listener's lists may have 1000000 prefixes: put neighbours together";
		err = -EINVAL;
	}
	return err;
}

int prefix_rules_parse(struct prefix_rules *rules, const char *name, const char *text, size_t len,
	bool allow, char error[PREFIX_RULES_ERROR_MAX])
{
	const char *end = text + len, *reason = NULL;
	char shown[LINE_MAX_ + 1] = "";
	size_t number = 1;

	for (const char *line = text; line < end; number++) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		size_t line_len = (size_t)((stop ? stop : end) - line);
		int err = parse_line(rules, line, line_len, allow, shown, &reason);

		if (err == -EINVAL) {
			clean(shown);
			snprintf(error, PREFIX_RULES_ERROR_MAX, "%s:%zu: \"%.60s\": %s", name,
				number, shown, reason);
		}
		if (err)
			return err;
		line = stop ? stop + 1 : end;
	}
	return 0;
}

/* ---- ranges ---- */

static address address_of(const struct sockaddr_any *addr)
{
	address value = 0;

	if (sockaddr_family(addr) == AF_INET)
		return (address)ntohl(addr->in.sin_addr.s_addr) << 96;
	for (int i = 0; i < 16; i++)
		value = value << 8 | addr->in6.sin6_addr.s6_addr[i];
	return value;
}

/* The last address of the prefix; IPv4 ones have what is below them, too. */
static address last_of(const struct prefix *prefix)
{
	return prefix->len == 0
		       ? ~(address)0
		       : address_of(&prefix->addr) | (~(address)0 >> (prefix->len - 1)) >> 1;
}

static int compare(const void *a, const void *b)
{
	const struct prefix_rule *x = a, *y = b;
	address start_x, start_y;

	if (sockaddr_family(&x->prefix.addr) != sockaddr_family(&y->prefix.addr))
		return sockaddr_family(&x->prefix.addr) < sockaddr_family(&y->prefix.addr) ? -1 : 1;
	start_x = address_of(&x->prefix.addr);
	start_y = address_of(&y->prefix.addr);
	if (start_x != start_y)
		return start_x < start_y ? -1 : 1;
	if (x->prefix.len != y->prefix.len)
		return x->prefix.len < y->prefix.len ? -1 : 1;
	/* The last one of equals holds: that which denies. */
	return (int)y->allow - (int)x->allow;
}

struct sweep {
	struct prefix_range *ranges; /* what is left of it, in order */
	size_t n;
	const struct prefix_rule *stack[DEPTH_MAX]; /* the innermost one on top */
	size_t depth;
	bool otherwise; /* the word where the stack is empty */
};

/*
 * From start on this word holds. What was said of the very same place before was of a wider one,
 * and goes; what says the same as the one before needs no place.
 */
static void emit(struct sweep *sweep, address start, bool allow)
{
	struct prefix_range range = { (uint64_t)(start >> 64), (uint64_t)start, allow };
	struct prefix_range *last = sweep->n ? &sweep->ranges[sweep->n - 1] : NULL;

	if (last && last->high == range.high && last->low == range.low)
		last = --sweep->n ? last - 1 : NULL;
	if (!last || last->allow != allow)
		sweep->ranges[sweep->n++] = range;
}

/* Those that end before the address; the word of the one around them holds from there on. */
static void leave(struct sweep *sweep, address start)
{
	while (sweep->depth > 0) {
		address last = last_of(&sweep->stack[sweep->depth - 1]->prefix);

		if (last >= start)
			return;
		sweep->depth--;
		emit(sweep, last + 1,
			sweep->depth ? sweep->stack[sweep->depth - 1]->allow : sweep->otherwise);
	}
}

/* Of the one kind. */
static int make(const struct prefix_rule *rules, size_t n, bool otherwise,
	struct prefix_range **ret_ranges, size_t *ret_n)
{
	struct sweep sweep = { .otherwise = otherwise };

	sweep.ranges = calloc(2 * n + 1, sizeof(*sweep.ranges));
	if (!sweep.ranges)
		return -ENOMEM;
	emit(&sweep, 0, otherwise);
	for (size_t i = 0; i < n; i++) {
		const struct prefix *prefix = &rules[i].prefix;

		/* The same once more follows, which says it. */
		if (i + 1 < n && rules[i + 1].prefix.len == prefix->len &&
			address_of(&rules[i + 1].prefix.addr) == address_of(&prefix->addr))
			continue;
		leave(&sweep, address_of(&prefix->addr));
		emit(&sweep, address_of(&prefix->addr), rules[i].allow);
		sweep.stack[sweep.depth++] = &rules[i];
	}
	/* Nothing comes behind those that reach to the end of all addresses. */
	leave(&sweep, ~(address)0);
	*ret_ranges = sweep.ranges;
	*ret_n = sweep.n;
	return 0;
}

int prefix_ranges_make(struct prefix_rules *rules, struct prefix_ranges *ret_ranges)
{
	struct prefix_ranges ranges = { 0 };
	size_t n4 = 0;
	int err;

	if (rules->n)
		qsort(rules->rules, rules->n, sizeof(*rules->rules), compare);
	while (n4 < rules->n && sockaddr_family(&rules->rules[n4].prefix.addr) == AF_INET)
		n4++;
	err = make(rules->rules, n4, !rules->allows, &ranges.v4, &ranges.n4);
	if (!err)
		err = make(rules->rules ? rules->rules + n4 : NULL, rules->n - n4, !rules->allows,
			&ranges.v6, &ranges.n6);
	if (err)
		prefix_ranges_clear(&ranges);
	else
		*ret_ranges = ranges;
	return err;
}

void prefix_ranges_clear(struct prefix_ranges *ranges)
{
	free(ranges->v6);
	free(ranges->v4);
	*ranges = (struct prefix_ranges){ 0 };
}

/* Whatever the words say, `at` stays below n, and the distance is halved each time. */
bool prefix_ranges_allow(
	const struct prefix_range *ranges, size_t n, const struct sockaddr_any *addr)
{
	address value = address_of(addr);
	size_t at = 0, end = n;

	while (end - at > 1) {
		size_t middle = at + (end - at) / 2;
		uint64_t high = __atomic_load_n(&ranges[middle].high, __ATOMIC_RELAXED);
		uint64_t low = __atomic_load_n(&ranges[middle].low, __ATOMIC_RELAXED);

		if (((address)high << 64 | low) <= value)
			at = middle;
		else
			end = middle;
	}
	return __atomic_load_n(&ranges[at].allow, __ATOMIC_RELAXED);
}
