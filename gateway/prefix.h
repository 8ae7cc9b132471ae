/*
 * prefix - an address or a prefix of addresses, and how people write it: plain functions over plain
 * data.
 *
 * Text forms: those of sockaddr.h, with a length: "192.0.2.0/24", "2001:db8::/64"; with ports
 * "192.0.2.0/24:80", "[2001:db8::/64]:80", where these may be a range, "1000-2000", or "*" for all.
 * Bits beyond the length are left as they were written.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sockaddr.h"

struct prefix {
	struct sockaddr_any addr;
	uint8_t len; /* 32 or 128: one address; also if no length was written */
};

/* 32 or 128. */
uint8_t prefix_full_len(const struct sockaddr_any *addr);

/* Whether there is an address in both; interfaces and ports do not count. */
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);

/* Whether a bit beyond the length is set. */
bool prefix_has_host_bits(const struct prefix *prefix);

/*
 * The parsers return 0, or -EINVAL and, in ret_reason, a static sentence that says what would be
 * right; the rest is untouched then. They take an interface as sockaddr_parse() does. Ports are in
 * host order, 1 to 65535, the least one first.
 */

/* Without ports; the port becomes 0. */
int prefix_parse(const char *text, struct prefix *ret_prefix, const char **ret_reason);

/*
 * The port of the address becomes the least of the ports. "[2001:db8::/64]:80": the length of an
 * IPv6 prefix stands in the brackets.
 */
int prefix_parse_endpoint(const char *text, struct prefix *ret_prefix, uint16_t *ret_port_max,
	const char **ret_reason);

/* "80", "1000-2000", "*" for 1 to 65535. */
int prefix_parse_ports(
	const char *text, uint16_t *ret_min, uint16_t *ret_max, const char **ret_reason);
