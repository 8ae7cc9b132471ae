#include "icmp_socket.h"

#include <assert.h>
#include <errno.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_v6(int *ret_fd)
{
	const int on = 1;
	struct icmp6_filter filter;
	int fd = socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMPV6);

	if (fd < 0)
		return -errno;
	ICMP6_FILTER_SETBLOCKALL(&filter);
	if (setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter)) < 0 ||
		setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on)) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

static int open_v4(int *ret_fd)
{
	const int on = 1;
	struct icmp_filter filter = { .data = UINT32_MAX };
	int fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMP);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_RAW, ICMP_FILTER, &filter, sizeof(filter)) < 0 ||
		setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

int icmp_sockets_open(struct icmp_sockets *sockets)
{
	int err;

	*sockets = (struct icmp_sockets){ .fd6 = -1, .fd4 = -1 };
	err = open_v6(&sockets->fd6);
	if (!err)
		err = open_v4(&sockets->fd4);
	if (err)
		icmp_sockets_close(sockets);
	return err;
}

void icmp_sockets_close(struct icmp_sockets *sockets)
{
	if (sockets->fd6 >= 0)
		close(sockets->fd6);
	if (sockets->fd4 >= 0)
		close(sockets->fd4);
	*sockets = (struct icmp_sockets){ .fd6 = -1, .fd4 = -1 };
}

static bool rate_allows(struct icmp_sender *sender, uint64_t now_us)
{
	if (sender->used_us >= now_us + 1000000)
		return false;
	if (sender->used_us < now_us)
		sender->used_us = now_us;
	sender->used_us += 1000000 / ICMP_SOCKET_RATE;
	return true;
}

static void put_source(
	struct msghdr *message, struct cmsghdr *control, const struct sockaddr_any *local)
{
	struct in6_pktinfo info6 = { 0 };
	struct in_pktinfo info4 = { 0 };

	message->msg_control = control;
	if (sockaddr_family(local) == AF_INET6) {
		info6.ipi6_addr = local->in6.sin6_addr;
		info6.ipi6_ifindex = local->in6.sin6_scope_id;
		message->msg_controllen = CMSG_SPACE(sizeof(info6));
		control->cmsg_level = IPPROTO_IPV6;
		control->cmsg_type = IPV6_PKTINFO;
		control->cmsg_len = CMSG_LEN(sizeof(info6));
		memcpy(CMSG_DATA(control), &info6, sizeof(info6));
	} else {
		info4.ipi_spec_dst = local->in.sin_addr;
		message->msg_controllen = CMSG_SPACE(sizeof(info4));
		control->cmsg_level = IPPROTO_IP;
		control->cmsg_type = IP_PKTINFO;
		control->cmsg_len = CMSG_LEN(sizeof(info4));
		memcpy(CMSG_DATA(control), &info4, sizeof(info4));
	}
}

void icmp_sender_tell(struct icmp_sender *sender, enum icmp_error_kind kind, uint32_t mtu,
	const struct icmp_error_quote *quote, uint64_t now_us)
{
	bool v6 = sockaddr_family(quote->client) == AF_INET6;
	int fd = v6 ? sender->sockets.fd6 : sender->sockets.fd4;
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control = { 0 };
	struct sockaddr_any client = *quote->client;
	uint8_t data[ICMP_ERROR_MAX];
	struct iovec iov = { .iov_base = data };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	assert(sockaddr_family(quote->client) == sockaddr_family(quote->local));
	if (fd < 0 || icmp_error_encode(kind, mtu, quote, data, &iov.iov_len) < 0)
		return;
	if (!rate_allows(sender, now_us)) {
		stats_add(sender->stats, STATS_ICMP_LIMITED, 1);
		return;
	}
	sockaddr_set_port(&client, 0); /* raw sockets take a protocol there */
	message.msg_name = &client;
	message.msg_namelen = sockaddr_len(&client);
	put_source(&message, &control.header, quote->local);
	if (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		stats_add(sender->stats, STATS_ICMP_SENT, 1);
}
