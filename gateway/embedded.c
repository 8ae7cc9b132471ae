#include "embedded.h"

#include <errno.h>

/*
 * Why the rule on top: an operator who allows 0.0.0.0/0 means the internet, and not this machine's
 * loopback or the cloud's metadata service at 169.254.169.254, which a client could name as well.
 */

/*
 * What the IANA registry of special-purpose IPv4 addresses (RFC 6890) does not call global. No two
 * overlap, so an address has one block at most.
 */
static const struct embedded_prefix special[] = {
	{ 0x0a000000, 8 },  /* 10.0.0.0: private, RFC 1918 */
	{ 0x64400000, 10 }, /* 100.64.0.0: shared, RFC 6598 */
	{ 0x7f000000, 8 },  /* 127.0.0.0: loopback */
	{ 0xa9fe0000, 16 }, /* 169.254.0.0: link-local */
	{ 0xac100000, 12 }, /* 172.16.0.0: private */
	{ 0xc0000000, 24 }, /* 192.0.0.0: protocol assignments */
	{ 0xc0000200, 24 }, /* 192.0.2.0: documentation */
	{ 0xc0a80000, 16 }, /* 192.168.0.0: private */
	{ 0xc6120000, 15 }, /* 198.18.0.0: benchmarks */
	{ 0xc6336400, 24 }, /* 198.51.100.0: documentation */
	{ 0xcb007100, 24 }, /* 203.0.113.0: documentation */
	{ 0xf0000000, 4 },  /* 240.0.0.0: reserved */
};

/* No server has any of these. */
static const struct embedded_prefix never[] = {
	{ 0x00000000, 8 },  /* this network */
	{ 0xe0000000, 4 },  /* multicast */
	{ 0xffffffff, 32 }, /* broadcast */
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool covers(const struct embedded_prefix *wide, const struct embedded_prefix *narrow)
{
	uint32_t mask = wide->len ? UINT32_MAX << (32 - wide->len) : 0;

	return wide->len <= narrow->len && ((wide->addr ^ narrow->addr) & mask) == 0;
}

/* The block that all of the prefix lies in; NULL: none. */
static const struct embedded_prefix *find_block(
	const struct embedded_prefix *blocks, size_t n, const struct embedded_prefix *prefix)
{
	for (size_t i = 0; i < n; i++)
		if (covers(&blocks[i], prefix))
			return &blocks[i];
	return NULL;
}

bool embedded_is_prefix_len(uint8_t len)
{
	return len == 32 || len == 40 || len == 48 || len == 56 || len == 64 || len == 96;
}

int embedded_extract(const struct in6_addr *addr, uint8_t len, struct in_addr *ret_addr)
{
	const uint8_t *bytes = addr->s6_addr;
	uint32_t host = 0;

	if (!embedded_is_prefix_len(len) || bytes[8] != 0)
		return -EINVAL;
	for (size_t i = 0, at = len / 8; i < 4; i++, at++) {
		if (at == 8)
			at++; /* bits 64 to 71 */
		host = host << 8 | bytes[at];
	}
	ret_addr->s_addr = htonl(host);
	return 0;
}

bool embedded_is_special(const struct embedded_prefix *prefix)
{
	return find_block(special, COUNT(special), prefix);
}

bool embedded_is_never(const struct embedded_prefix *prefix)
{
	return find_block(never, COUNT(never), prefix);
}

bool embedded_is_allowed(const struct embedded_prefix *allow, size_t n, const struct in_addr *addr)
{
	const struct embedded_prefix server = { ntohl(addr->s_addr), 32 };
	const struct embedded_prefix *block = find_block(special, COUNT(special), &server);

	if (embedded_is_never(&server))
		return false;
	for (size_t i = 0; i < n; i++)
		if (covers(&allow[i], &server) && (!block || allow[i].len >= block->len))
			return true;
	return false;
}

bool embedded_is_named(const struct embedded_prefix *allow, size_t n, const struct in_addr *addr)
{
	const struct embedded_prefix server = { ntohl(addr->s_addr), 32 };

	if (server.addr >> 24 == IN_LOOPBACKNET)
		return true;
	for (size_t i = 0; i < n; i++)
		if (allow[i].len == 32 && allow[i].addr == server.addr)
			return true;
	return false;
}
