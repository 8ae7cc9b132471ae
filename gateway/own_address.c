#include "own_address.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

int own_address_open(struct own_address *own)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	own->fd = fd;
	return 0;
}

void own_address_close(struct own_address *own)
{
	if (own->fd >= 0)
		close(own->fd);
	own->fd = -1;
}

bool own_address_is(const struct own_address *own, const struct sockaddr_any *addr)
{
	const struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	struct sockaddr_any source = { 0 }, there = *addr;
	socklen_t len = sizeof(source);

	sockaddr_set_port(&there, 9);
	/* A socket keeps the source of its last destination until it is let go. */
	if (connect(own->fd, &nobody, sizeof(nobody)) < 0 ||
		connect(own->fd, &there.sa, sockaddr_len(&there)) < 0 ||
		getsockname(own->fd, &source.sa, &len) < 0)
		return false;
	return source.in.sin_addr.s_addr == addr->in.sin_addr.s_addr;
}
