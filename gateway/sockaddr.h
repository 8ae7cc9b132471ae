/*
 * sockaddr - an IPv4 or IPv6 socket address, as one value type, and its text forms.
 *
 * Text forms: "192.0.2.1:80", "[2001:db8::1]:80", "[fe80::1%eth0]:80"; RFC 5952 for IPv6.
 *
 * To be copied by assignment and never compared with memcmp(3): what the family does not use may be
 * anything. Zeroed, it is of family AF_UNSPEC: no address. The functions take addresses of AF_INET
 * and AF_INET6 unless they say what they do with others.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Addresses and ports in it are in network order, as the system calls have them. */
struct sockaddr_any {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
};

#define SOCKADDR_TEXT_MAX 80 /* "[v6%scope]:port" with its NUL */

static inline sa_family_t sockaddr_family(const struct sockaddr_any *addr)
{
	return addr->sa.sa_family;
}

/* The length that the system calls want; 0 for a family that is neither INET nor INET6. */
socklen_t sockaddr_len(const struct sockaddr_any *addr);

/* Port in host order. */
uint16_t sockaddr_port(const struct sockaddr_any *addr);
void sockaddr_set_port(struct sockaddr_any *addr, uint16_t port);

/* The unspecified address of its family (0.0.0.0 or ::). */
bool sockaddr_is_any(const struct sockaddr_any *addr);

/*
 * ::ffff:a.b.c.d becomes AF_INET a.b.c.d with the same port; everything else stays, of any family.
 * An IPv6 socket that takes IPv4 clients has theirs in that form.
 */
void sockaddr_unmap(struct sockaddr_any *addr);

/*
 * Family, address, port and, of IPv6, the interface. A v4-mapped address is not equal to the IPv4
 * address in it: sockaddr_unmap() both first, where that should count.
 */
bool sockaddr_equal(const struct sockaddr_any *a, const struct sockaddr_any *b);

/*
 * "address:port" into buf, which is returned; "-" for an unknown family. An interface is told by
 * its number. No system call: workers may.
 */
const char *sockaddr_format(const struct sockaddr_any *addr, char buf[SOCKADDR_TEXT_MAX]);

/* The address alone, without brackets or port. */
const char *sockaddr_format_host(const struct sockaddr_any *addr, char buf[SOCKADDR_TEXT_MAX]);

/*
 * Parse "a.b.c.d:port" or "[v6]:port". The port must be a plain decimal number from 1 to 65535.
 * Returns 0; on error -EINVAL and, in ret_reason, a static sentence that says what would be right;
 * ret_addr is untouched then. An interface ("%eth0", "%2") is looked up by system calls that a
 * worker may not make; a number is taken without a look whether there is such an interface.
 */
int sockaddr_parse(const char *text, struct sockaddr_any *ret_addr, const char **ret_reason);

/* The same for an address without port, brackets optional; the port becomes 0. */
int sockaddr_parse_host(const char *text, struct sockaddr_any *ret_addr, const char **ret_reason);
