#include "own_address.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int own_address_open(struct own_address *own, int family)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	own->fd = fd;
	own->family = family;
	return 0;
}

void own_address_close(struct own_address *own)
{
	if (own->family)
		close(own->fd);
	*own = (struct own_address){ 0 };
}

bool own_address_is(const struct own_address *own, const struct sockaddr_any *addr)
{
	const struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	struct sockaddr_any source = { 0 }, there = *addr;
	socklen_t len = sizeof(source);

	if (own->family != sockaddr_family(addr))
		return false;
	sockaddr_set_port(&there, 9);
	/* A socket keeps the source of its last destination until it is let go. */
	if (connect(own->fd, &nobody, sizeof(nobody)) < 0 ||
		connect(own->fd, &there.sa, sockaddr_len(&there)) < 0 ||
		getsockname(own->fd, &source.sa, &len) < 0)
		return false;
	if (own->family == AF_INET6)
		return memcmp(&source.in6.sin6_addr, &addr->in6.sin6_addr,
			       sizeof(addr->in6.sin6_addr)) == 0;
	return source.in.sin_addr.s_addr == addr->in.sin_addr.s_addr;
}
