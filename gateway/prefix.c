#include "prefix.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HOST_MAX 80 /* longer than any address with an interface */

static const uint8_t *bytes_of(const struct sockaddr_any *addr)
{
	return sockaddr_family(addr) == AF_INET ? (const uint8_t *)&addr->in.sin_addr
						: addr->in6.sin6_addr.s6_addr;
}

uint8_t prefix_full_len(const struct sockaddr_any *addr)
{
	return sockaddr_family(addr) == AF_INET ? 32 : 128;
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
	const uint8_t *x = bytes_of(&a->addr), *y = bytes_of(&b->addr);
	unsigned len = a->len < b->len ? a->len : b->len;

	if (sockaddr_family(&a->addr) != sockaddr_family(&b->addr) || memcmp(x, y, len / 8) != 0)
		return false;
	return len % 8 == 0 || (x[len / 8] ^ y[len / 8]) >> (8 - len % 8) == 0;
}

bool prefix_has_host_bits(const struct prefix *prefix)
{
	const uint8_t *bytes = bytes_of(&prefix->addr);
	unsigned n = prefix_full_len(&prefix->addr), len = prefix->len;

	if (len % 8 && (bytes[len / 8] & 0xff >> len % 8))
		return true;
	for (unsigned i = (len + 7) / 8; i < n / 8; i++)
		if (bytes[i])
			return true;
	return false;
}

/* text[0..len): up to `digits` plain decimal digits that make a number up to max. */
static int parse_number(
	const char *text, size_t len, size_t digits, unsigned max, unsigned *ret_number)
{
	unsigned number = 0;

	if (len < 1 || len > digits)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		number = number * 10 + (unsigned)(text[i] - '0');
	}
	if (number > max)
		return -EINVAL;
	*ret_number = number;
	return 0;
}

static int parse_len(const char *text, size_t text_len, const struct sockaddr_any *addr,
	uint8_t *ret_len, const char **ret_reason)
{
	unsigned len;

	if (parse_number(text, text_len, 3, prefix_full_len(addr), &len) < 0) {
		*ret_reason = "the length of a prefix is a number up to 128, or to 32 for IPv4";
		return -EINVAL;
	}
	*ret_len = (uint8_t)len;
	return 0;
}

int prefix_parse(const char *text, struct prefix *ret_prefix, const char **ret_reason)
{
	const char *slash = strchr(text, '/');
	struct prefix prefix;
	char host[HOST_MAX];
	int err;

	/* Cut short, what is too long is no address either. */
	snprintf(host, sizeof(host), "%.*s",
		(int)(slash && slash - text < HOST_MAX ? slash - text : HOST_MAX), text);
	if (sockaddr_parse_host(host, &prefix.addr, ret_reason) < 0) {
		*ret_reason = "this is no address: write 192.0.2.1 or 2001:db8::1, with or without "
			      "a length like /24";
		return -EINVAL;
	}
	prefix.len = prefix_full_len(&prefix.addr);
	if (slash) {
		err = parse_len(
			slash + 1, strlen(slash + 1), &prefix.addr, &prefix.len, ret_reason);
		if (err)
			return err;
	}
	*ret_prefix = prefix;
	return 0;
}

int prefix_parse_ports(
	const char *text, uint16_t *ret_min, uint16_t *ret_max, const char **ret_reason)
{
	const char *dash = strchr(text, '-');
	size_t len = dash ? (size_t)(dash - text) : strlen(text);
	unsigned min = 1, max = UINT16_MAX;
	int err = 0;

	if (strcmp(text, "*") != 0) {
		err = parse_number(text, len, 5, UINT16_MAX, &min);
		max = min;
		if (!err && dash)
			err = parse_number(dash + 1, strlen(dash + 1), 5, UINT16_MAX, &max);
	}
	if (err || min == 0 || max == 0) {
		*ret_reason = "a port is a number from 1 to 65535, a range like 1000-2000, or * "
			      "for all";
		return -EINVAL;
	}
	if (min > max) {
		*ret_reason = "a range of ports begins with the lesser one, like 1000-2000";
		return -EINVAL;
	}
	*ret_min = (uint16_t)min;
	*ret_max = (uint16_t)max;
	return 0;
}

/* Takes "/64" out of "[2001:db8::/64]:80". Nothing to take out is no mistake. */
static int find_len(const char *text, const char *colon, const char **ret_slash,
	const char **ret_end, const char **ret_reason)
{
	const char *slash = memchr(text, '/', (size_t)(colon - text));
	const char *bracket = text[0] == '[' ? memchr(text, ']', (size_t)(colon - text)) : NULL;

	*ret_slash = slash;
	*ret_end = bracket ? bracket : colon;
	if (slash && bracket && slash > bracket) {
		*ret_reason = "the length of an IPv6 prefix stands in the brackets: "
			      "[2001:db8::/64]:80";
		return -EINVAL;
	}
	return 0;
}

int prefix_parse_endpoint(const char *text, struct prefix *ret_prefix, uint16_t *ret_port_max,
	const char **ret_reason)
{
	const char *colon = strrchr(text, ':'), *slash = NULL, *end = NULL;
	struct prefix prefix;
	char plain[HOST_MAX];
	uint16_t min, max;

	/* The address alone, with a port that is right; too long a text is none: so says
	 * sockaddr_parse(), and why. */
	if (!colon || colon - text > HOST_MAX - 8) {
		(void)sockaddr_parse(text, &prefix.addr, ret_reason);
		return -EINVAL;
	}
	if (find_len(text, colon, &slash, &end, ret_reason) < 0)
		return -EINVAL;
	snprintf(plain, sizeof(plain), "%.*s%.*s:1", (int)((slash ? slash : colon) - text), text,
		(int)(slash ? colon - end : 0), end);
	if (sockaddr_parse(plain, &prefix.addr, ret_reason) < 0)
		return -EINVAL;
	prefix.len = prefix_full_len(&prefix.addr);
	if (slash && parse_len(slash + 1, (size_t)(end - slash - 1), &prefix.addr, &prefix.len,
			     ret_reason) < 0)
		return -EINVAL;
	if (prefix_parse_ports(colon + 1, &min, &max, ret_reason) < 0)
		return -EINVAL;
	sockaddr_set_port(&prefix.addr, min);
	*ret_prefix = prefix;
	*ret_port_max = max;
	return 0;
}
