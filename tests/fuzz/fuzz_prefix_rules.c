/*
 * Fuzzes the reader of lists of prefixes for its promises:
 *
 *   - what is refused is told in one line that begins with the name and a line of the text;
 *   - what is accepted leads to ascending ranges that begin at 0, each with another word than the
 *     one before, and no more of them than there may be;
 *   - at every edge of a range the most specific of all prefixes says the same.
 *
 * The first byte says which lines are allowed and which denied.
 */
#include "prefix_rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define RULES_MAX 64U /* beyond it the walk through all would take too long */

static void check_error(const char *error, const char *text, size_t size)
{
	long line, lines = 1;
	char *rest;

	for (size_t i = 0; i < size; i++)
		lines += text[i] == '\n';
	REQUIRE(strnlen(error, PREFIX_RULES_ERROR_MAX) < PREFIX_RULES_ERROR_MAX);
	REQUIRE(strncmp(error, "fuzz:", 5) == 0);
	line = strtol(error + 5, &rest, 10);
	REQUIRE(rest[0] == ':' && rest[1] == ' ' && rest[2] == '"');
	REQUIRE(line >= 1 && line <= lines);
	for (const char *p = error; *p; p++)
		REQUIRE((unsigned char)*p >= ' ' && *p != '\x7f');
}

static bool naive(const struct prefix_rules *rules, const struct sockaddr_any *addr)
{
	const struct prefix one = { *addr, prefix_full_len(addr) };
	bool allow = !rules->allows;
	int best = -1;

	for (size_t i = 0; i < rules->n; i++) {
		const struct prefix_rule *rule = &rules->rules[i];

		if (rule->prefix.len < best || !prefix_overlaps(&rule->prefix, &one))
			continue;
		allow = rule->prefix.len == best ? allow && rule->allow : rule->allow;
		best = rule->prefix.len;
	}
	return allow;
}

static struct sockaddr_any address_at(const struct prefix_range *range, bool v4)
{
	struct sockaddr_any addr = { 0 };

	addr.sa.sa_family = v4 ? AF_INET : AF_INET6;
	if (v4)
		addr.in.sin_addr.s_addr = htonl((uint32_t)(range->high >> 32));
	for (int i = 0; i < 8 && !v4; i++) {
		addr.in6.sin6_addr.s6_addr[i] = (uint8_t)(range->high >> (56 - 8 * i));
		addr.in6.sin6_addr.s6_addr[8 + i] = (uint8_t)(range->low >> (56 - 8 * i));
	}
	return addr;
}

static void check_ranges(
	const struct prefix_rules *rules, const struct prefix_range *ranges, size_t n, bool v4)
{
	REQUIRE(n >= 1 && ranges[0].high == 0 && ranges[0].low == 0);
	for (size_t i = 0; i < n; i++) {
		struct sockaddr_any addr = address_at(&ranges[i], v4);
		struct prefix_range before = ranges[i];

		REQUIRE(prefix_ranges_allow(ranges, n, &addr) == ranges[i].allow);
		REQUIRE(naive(rules, &addr) == ranges[i].allow);
		if (i == 0)
			continue;
		REQUIRE(ranges[i].allow != ranges[i - 1].allow);
		REQUIRE(ranges[i].high > ranges[i - 1].high ||
			(ranges[i].high == ranges[i - 1].high &&
				ranges[i].low > ranges[i - 1].low));
		if (v4)
			before.high -= 1ULL << 32;
		else
			before.high -= before.low-- == 0;
		addr = address_at(&before, v4);
		REQUIRE(prefix_ranges_allow(ranges, n, &addr) == ranges[i - 1].allow);
		REQUIRE(naive(rules, &addr) == ranges[i - 1].allow);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[PREFIX_RULES_ERROR_MAX];
	struct prefix_rules rules = { 0 };
	struct prefix_ranges ranges;
	char *copy;
	int err;

	if (size < 1)
		return 0;
	copy = malloc(size);
	REQUIRE(copy);
	memcpy(copy, data + 1, size - 1);
	memset(error, 'x', sizeof(error));
	err = prefix_rules_parse(&rules, "fuzz", copy, size - 1, false, error);
	REQUIRE(err == 0 || err == -EINVAL);
	if (err)
		check_error(error, copy, size - 1);
	for (size_t i = 0; i < rules.n; i++) {
		REQUIRE(!prefix_has_host_bits(&rules.rules[i].prefix));
		rules.rules[i].allow = data[0] >> i % 8 & 1;
		rules.allows = rules.allows || rules.rules[i].allow;
	}
	if (rules.n <= RULES_MAX) {
		REQUIRE(prefix_ranges_make(&rules, &ranges) == 0);
		REQUIRE(ranges.n4 + ranges.n6 <= 2 * rules.n + 2);
		check_ranges(&rules, ranges.v4, ranges.n4, true);
		check_ranges(&rules, ranges.v6, ranges.n6, false);
		prefix_ranges_clear(&ranges);
	}
	prefix_rules_clear(&rules);
	free(copy);
	return 0;
}
