/*
 * prefix_rules - which of many prefixes an address belongs to, and whether that one lets it in:
 * plain functions over plain data.
 *
 * The most specific prefix that has the address decides. If nothing has it: it is let in, unless
 * there is a prefix of its kind, or of the other, that is allowed. A prefix that is both allowed
 * and denied is denied.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "prefix.h"

/* Of one list. Some 36 MB as rules, while they are read; up to 48 MB as ranges. */
#define PREFIX_RULES_MAX 1000000U

struct prefix_rule {
	struct prefix prefix; /* no bits beyond its length; port and interface are not looked at */
	bool allow;	      /* or else it denies */
};

/* Starts as all zero. Of one list, in any order, doubles included. */
struct prefix_rules {
	struct prefix_rule *rules;
	size_t n, room; /* those there are, and those there is memory for */
	bool allows;	/* one of them does */
};

/* Takes a zeroed one, and leaves it so. */
void prefix_rules_clear(struct prefix_rules *rules);

/* 0; -ENOMEM; -ENOSPC: there are PREFIX_RULES_MAX. */
int prefix_rules_add(struct prefix_rules *rules, const struct prefix *prefix, bool allow);

/*
 * "192.0.2.0/24", "2001:db8::1": an address or a prefix that has no bits beyond its length, and no
 * interface. IPv4-mapped ones become IPv4, as addresses of clients do. 0; or -EINVAL and, in
 * ret_reason, a static sentence; ret_prefix is untouched then.
 */
int prefix_rules_parse_one(const char *text, struct prefix *ret_prefix, const char **ret_reason);

/*
 * A text with one prefix on a line; blank lines, blanks around it, and what stands behind a # do
 * not count. Into rules, all allowed or all denied. 0; -ENOMEM; or -EINVAL and in error a sentence
 * that begins with "name:line: ". After a failure the lines before that one have been added, so the
 * rules are good for prefix_rules_clear() alone. text need not end with a newline or a NUL.
 */
#define PREFIX_RULES_ERROR_MAX 400
int prefix_rules_parse(struct prefix_rules *rules, const char *name, const char *text, size_t len,
	bool allow, char error[PREFIX_RULES_ERROR_MAX]);

/* From this address on, up to the next one's. IPv4 ones stand in the first 32 bits. */
struct prefix_range {
	uint64_t high, low;
	bool allow;
};

/* Each kind's ranges, ascending; the first one begins at 0. Starts as all zero: of no list. */
struct prefix_ranges {
	struct prefix_range *v6, *v4;
	size_t n6, n4;
};

/*
 * The same in the form that is looked up in: up to twice as many ranges as rules, and one, of each
 * kind. Puts the rules in another order. 0, and ret_ranges is to be cleared; or -ENOMEM, and it is
 * untouched.
 */
int prefix_ranges_make(struct prefix_rules *rules, struct prefix_ranges *ret_ranges);
/* Takes a zeroed one, and leaves it so. */
void prefix_ranges_clear(struct prefix_ranges *ranges);

/*
 * By workers: n ranges of the address's kind, at least one; a v4-mapped address counts as IPv6.
 * They may be overwritten meanwhile by somebody else: the answer is then no answer, and nothing
 * worse, and who asked has to see that by himself (client_lists.c).
 */
bool prefix_ranges_allow(
	const struct prefix_range *ranges, size_t n, const struct sockaddr_any *addr);
