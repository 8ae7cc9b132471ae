#include "sockaddr.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_MAX 64 /* an IPv6 address with the name of an interface */

static_assert(SOCKADDR_TEXT_MAX >= INET6_ADDRSTRLEN + IF_NAMESIZE + sizeof("%[]:65535"),
	"room for every text form");

socklen_t sockaddr_len(const struct sockaddr_any *addr)
{
	switch (addr->sa.sa_family) {
	case AF_INET:
		return sizeof(addr->in);
	case AF_INET6:
		return sizeof(addr->in6);
	default:
		return 0;
	}
}

uint16_t sockaddr_port(const struct sockaddr_any *addr)
{
	return ntohs(addr->sa.sa_family == AF_INET ? addr->in.sin_port : addr->in6.sin6_port);
}

void sockaddr_set_port(struct sockaddr_any *addr, uint16_t port)
{
	if (addr->sa.sa_family == AF_INET)
		addr->in.sin_port = htons(port);
	else
		addr->in6.sin6_port = htons(port);
}

bool sockaddr_is_any(const struct sockaddr_any *addr)
{
	if (addr->sa.sa_family == AF_INET)
		return addr->in.sin_addr.s_addr == htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr);
}

void sockaddr_unmap(struct sockaddr_any *addr)
{
	struct sockaddr_any plain = { .in = { .sin_family = AF_INET } };

	if (addr->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr))
		return;
	plain.in.sin_port = addr->in6.sin6_port;
	memcpy(&plain.in.sin_addr, &addr->in6.sin6_addr.s6_addr[12], sizeof(plain.in.sin_addr));
	*addr = plain;
}

bool sockaddr_equal(const struct sockaddr_any *a, const struct sockaddr_any *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_port == b->in.sin_port &&
		       a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return a->in6.sin6_port == b->in6.sin6_port &&
	       a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
	       IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr);
}

const char *sockaddr_format_host(const struct sockaddr_any *addr, char buf[SOCKADDR_TEXT_MAX])
{
	size_t len;

	if (addr->sa.sa_family == AF_INET)
		return inet_ntop(AF_INET, &addr->in.sin_addr, buf, SOCKADDR_TEXT_MAX);
	if (addr->sa.sa_family != AF_INET6)
		return memcpy(buf, "-", 2);
	inet_ntop(AF_INET6, &addr->in6.sin6_addr, buf, SOCKADDR_TEXT_MAX);
	if (addr->in6.sin6_scope_id == 0)
		return buf;
	len = strlen(buf);
	/* By number: the name takes system calls that a worker may not make. */
	snprintf(buf + len, SOCKADDR_TEXT_MAX - len, "%%%u", addr->in6.sin6_scope_id);
	return buf;
}

const char *sockaddr_format(const struct sockaddr_any *addr, char buf[SOCKADDR_TEXT_MAX])
{
	char host[SOCKADDR_TEXT_MAX];

	sockaddr_format_host(addr, host);
	if (addr->sa.sa_family == AF_INET)
		snprintf(buf, SOCKADDR_TEXT_MAX, "%.15s:%u", host, sockaddr_port(addr));
	else if (addr->sa.sa_family == AF_INET6)
		snprintf(buf, SOCKADDR_TEXT_MAX, "[%.64s]:%u", host, sockaddr_port(addr));
	else
		memcpy(buf, "-", 2);
	return buf;
}

/* Plain decimal digits that make 1 to 65535. */
static int parse_port(const char *text, uint16_t *ret_port)
{
	unsigned port = 0;

	if (*text == '\0' || strlen(text) > 5)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		port = port * 10 + (unsigned)(*text - '0');
	}
	if (port < 1 || port > 65535)
		return -EINVAL;
	*ret_port = (uint16_t)port;
	return 0;
}

/* An interface by name or, as we print it, by number; 0 if there is none. A name may look like a
 * number, and then it is the name. */
static uint32_t scope_index(const char *scope)
{
	unsigned long index = if_nametoindex(scope);
	char *end;

	if (index || scope[0] < '1' || scope[0] > '9')
		return (uint32_t)index;
	index = strtoul(scope, &end, 10);
	return *end || index > INT_MAX ? 0 : (uint32_t)index;
}

/* text[0..len) without brackets. */
static int parse_v6(const char *text, size_t len, struct sockaddr_any *ret_addr)
{
	struct sockaddr_any addr = { .in6 = { .sin6_family = AF_INET6 } };
	char host[HOST_MAX];
	char *scope;

	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	scope = strchr(host, '%');
	if (scope) {
		*scope++ = '\0';
		addr.in6.sin6_scope_id = scope_index(scope);
		if (addr.in6.sin6_scope_id == 0)
			return -ENODEV;
	}
	if (inet_pton(AF_INET6, host, &addr.in6.sin6_addr) != 1)
		return -EINVAL;
	*ret_addr = addr;
	return 0;
}

static int parse_v4(const char *text, size_t len, struct sockaddr_any *ret_addr)
{
	struct sockaddr_any addr = { .in = { .sin_family = AF_INET } };
	char host[HOST_MAX];

	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	if (inet_pton(AF_INET, host, &addr.in.sin_addr) != 1)
		return -EINVAL;
	*ret_addr = addr;
	return 0;
}

int sockaddr_parse(const char *text, struct sockaddr_any *ret_addr, const char **ret_reason)
{
	struct sockaddr_any addr;
	const char *colon = strrchr(text, ':');
	const char *end = colon;
	uint16_t port;
	int err;

	if (text[0] == '[') {
		end = strchr(text, ']');
		if (!end || end[1] != ':' || end + 1 != colon) {
			*ret_reason = "write an IPv6 address with its port as [2001:db8::1]:80";
			return -EINVAL;
		}
		err = parse_v6(text + 1, (size_t)(end - text - 1), &addr);
	} else {
		if (colon && strchr(text, ':') != colon) {
			*ret_reason = "write an IPv6 address in brackets: [2001:db8::1]:80";
			return -EINVAL;
		}
		if (!colon) {
			*ret_reason = "a port is missing: write 192.0.2.1:80 or [2001:db8::1]:80";
			return -EINVAL;
		}
		err = parse_v4(text, (size_t)(end - text), &addr);
	}
	if (err) {
		*ret_reason =
			err == -ENODEV
				? "there is no interface of that name on this machine"
				: "this is no address: write 192.0.2.1:80 or [2001:db8::1]:80";
		return -EINVAL;
	}
	if (parse_port(colon + 1, &port) < 0) {
		*ret_reason = "a port is a number from 1 to 65535";
		return -EINVAL;
	}
	sockaddr_set_port(&addr, port);
	*ret_addr = addr;
	return 0;
}

int sockaddr_parse_host(const char *text, struct sockaddr_any *ret_addr, const char **ret_reason)
{
	size_t len = strlen(text);

	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		if (parse_v6(text + 1, len - 2, ret_addr) == 0)
			return 0;
	} else if (parse_v4(text, len, ret_addr) == 0 || parse_v6(text, len, ret_addr) == 0) {
		return 0;
	}
	*ret_reason = "this is no address: write 192.0.2.1 or 2001:db8::1, without a port";
	return -EINVAL;
}
