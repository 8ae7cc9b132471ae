#include "hold_link.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

int hold_link_send(int fd, const void *records, size_t size, size_t n)
{
	assert(n > 0 && n <= HOLD_LINK_BATCH);
	return send(fd, records, size * n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int hold_link_receive(int fd, void *records, size_t size)
{
	ssize_t n = recv(fd, records, size * HOLD_LINK_BATCH, MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (n == 0)
		return -EPIPE;
	if ((size_t)n > size * HOLD_LINK_BATCH || (size_t)n % size != 0)
		return 0;
	return (int)((size_t)n / size);
}

bool hold_link_ask_ok(const struct hold_ask *ask, size_t n_binds)
{
	return ask->bind < n_binds && sockaddr_len(&ask->client) > 0 &&
	       sockaddr_family(&ask->client) == sockaddr_family(&ask->local) &&
	       sockaddr_port(&ask->client) > 0 && sockaddr_port(&ask->local) > 0;
}

bool hold_link_reply_ok(const struct hold_reply *reply)
{
	return reply->answer < HOLD_ANSWERS;
}

enum hold_answer hold_link_answer_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
	case ECONNRESET:
		return HOLD_REFUSED;
	case EHOSTUNREACH:
	case EHOSTDOWN:
		return HOLD_HOST_UNREACHABLE;
	case ENETUNREACH:
	case ENETDOWN:
		return HOLD_NET_UNREACHABLE;
	case EACCES:
	case EPERM:
		return HOLD_PROHIBITED;
	case ETIMEDOUT:
		return HOLD_SILENT;
	default: /* something is wrong with us: as if nobody had been held */
		return HOLD_ORDINARY;
	}
}
