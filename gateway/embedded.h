/*
 * embedded - IPv4 addresses within IPv6 addresses: plain functions over plain data.
 *
 * RFC 6052 section 2.2: the IPv4 address follows a prefix of 32, 40, 48, 56, 64 or 96 bits, and
 * steps over bits 64 to 71, which are zero. Which of them may be reached is the operator's list,
 * and one rule on top: an address that is not global (loopback, private, link-local, ...) is only
 * allowed by an entry that lies within the same special block, never by a wider one.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of IPv4. */
struct embedded_prefix {
	uint32_t addr; /* host order; bits beyond len are zero */
	uint8_t len;   /* 0 to 32 */
};

/* 32, 40, 48, 56, 64 or 96. */
bool embedded_is_prefix_len(uint8_t len);

/*
 * The IPv4 address in network order. What follows it (the suffix) does not matter, as the RFC has
 * it. 0; -EINVAL: bits 64 to 71 are not zero, or len is no length that RFC 6052 knows; ret_addr is
 * untouched then.
 */
int embedded_extract(const struct in6_addr *addr, uint8_t len, struct in_addr *ret_addr);

/* Whether the whole prefix lies in one block that is not global: then it allows all of itself. */
bool embedded_is_special(const struct embedded_prefix *prefix);

/* Whether no address of it can be a server's, whatever is allowed. */
bool embedded_is_never(const struct embedded_prefix *prefix);

/*
 * By workers: whether a client may reach the server (addr: network order): one of n entries of
 * allow has it, by the rule on top. Multicast, broadcast and 0.0.0.0/8 never; with n 0 nobody.
 */
bool embedded_is_allowed(const struct embedded_prefix *allow, size_t n, const struct in_addr *addr);

/*
 * Whether an allowed address is meant as such: by an entry for it alone or, in 127.0.0.0/8, by any.
 * Only so may a client reach the gateway's own services. Only to be asked of what
 * embedded_is_allowed() allows: in 127.0.0.0/8 it looks no further, as no wider entry can.
 */
bool embedded_is_named(const struct embedded_prefix *allow, size_t n, const struct in_addr *addr);
