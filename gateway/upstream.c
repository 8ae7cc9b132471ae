#include "upstream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "prefix.h"

bool upstream_is_trusted(
	const struct config_accept_proxy *accept_proxy, const struct sockaddr_any *peer)
{
	struct prefix host = { .addr = *peer };

	sockaddr_unmap(&host.addr);
	host.len = prefix_full_len(&host.addr);
	for (size_t i = 0; i < accept_proxy->n_from; i++) {
		const struct config_address *from = &accept_proxy->from[i];
		const struct prefix prefix = { from->addr, from->prefix_len };

		if (prefix_overlaps(&prefix, &host))
			return true;
	}
	return false;
}

/*
 * Whether what has come so far begins a header that has no room, or fills all there is. Only asked
 * of one that is not complete: a peer that waits for us to read more would wait forever.
 */
static bool is_too_long(const uint8_t *buf, size_t len)
{
	if (len == UPSTREAM_HEADER_MAX)
		return true;
	/* Version 2 says at once how long it will be; version 1 begins with a letter. */
	return len >= PROXYHDR_V2_MIN && buf[0] == '\r' &&
	       PROXYHDR_V2_MIN + ((size_t)buf[14] << 8 | buf[15]) > UPSTREAM_HEADER_MAX;
}

static ssize_t receive(int fd, uint8_t *buf, size_t len, int flags)
{
	ssize_t n;

	do {
		n = recv(fd, buf, len, flags);
	} while (n < 0 && errno == EINTR);
	return n;
}

int upstream_read(int fd, uint8_t buf[UPSTREAM_HEADER_MAX], bool ended, struct proxyhdr *ret_header,
	const char **ret_reason)
{
	enum proxyhdr_reason reason;
	struct proxyhdr header;
	ssize_t n = receive(fd, buf, UPSTREAM_HEADER_MAX, MSG_PEEK);
	int err;

	if (n <= 0)
		return n < 0 ? -errno : -ENODATA;
	err = proxyhdr_decode(
		buf, (size_t)n, PROXYHDR_ACCEPT_V1 | PROXYHDR_ACCEPT_V2, &header, &reason);
	if (err == -EAGAIN && is_too_long(buf, (size_t)n)) {
		*ret_reason = "its header is longer than 4096 bytes";
		return -EBADMSG;
	}
	if (err == -EAGAIN && ended) {
		*ret_reason = "it ended in the middle of its header";
		return -EBADMSG;
	}
	if (err == -EBADMSG)
		*ret_reason = proxyhdr_reason_text(reason);
	if (err)
		return err;
	/* They were there a moment ago. With TCP, MSG_TRUNC throws bytes away and copies none
	 * (tcp(7)): buf keeps what was looked at. */
	if (receive(fd, buf, header.consumed, MSG_TRUNC) != (ssize_t)header.consumed)
		return -EIO;
	*ret_header = header;
	return 0;
}

static void put_end(
	const struct proxyhdr_endpoint *end, enum proxyhdr_family family, struct sockaddr_any *addr)
{
	*addr = (struct sockaddr_any){ 0 };
	if (family == PROXYHDR_INET) {
		addr->in.sin_family = AF_INET;
		memcpy(&addr->in.sin_addr, end->addr, sizeof(addr->in.sin_addr));
	} else if (family == PROXYHDR_INET6) {
		addr->in6.sin6_family = AF_INET6;
		memcpy(&addr->in6.sin6_addr, end->addr, sizeof(addr->in6.sin6_addr));
	} else {
		return;
	}
	sockaddr_set_port(addr, end->port);
}

int upstream_ends(
	const struct proxyhdr *header, struct sockaddr_any *ret_src, struct sockaddr_any *ret_dst)
{
	enum proxyhdr_family family =
		header->command == PROXYHDR_PROXY ? header->family : PROXYHDR_UNSPEC;

	if (family == PROXYHDR_UNIX)
		return -EAFNOSUPPORT;
	put_end(&header->src, family, ret_src);
	put_end(&header->dst, family, ret_dst);
	return 0;
}
