#include "net_watch.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_event.h"

#define BUFFER_DEFAULT 1048576
#define DATAGRAMS_MAX  64 /* a call: others want to be served, too */
#define DATAGRAM_MAX   32768

static int open_groups(int protocol, const unsigned *groups, size_t n, size_t buffer, int *ret_fd)
{
	struct sockaddr_nl local = { .nl_family = AF_NETLINK };
	const int size = buffer ? (int)buffer : BUFFER_DEFAULT;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	int err = 0;

	if (fd < 0)
		return -errno;
	/* More than rmem_max takes a capability; less than asked for loses events, which is
	 * noticed. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)&local, sizeof(local)) < 0)
		err = -errno;
	for (size_t i = 0; i < n && !err; i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			    sizeof(groups[i])) < 0)
			err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

int net_watch_open(struct net_watch *watch, size_t buffer)
{
	static const unsigned route_groups[] = { RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
		RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_IFINFO, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
		RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE };
	static const unsigned nft_groups[] = { NFNLGRP_NFTABLES };
	struct net_watch opened = { .route_fd = -1, .nft_fd = -1 };
	int err;

	err = open_groups(NETLINK_ROUTE, route_groups,
		sizeof(route_groups) / sizeof(route_groups[0]), buffer, &opened.route_fd);
	if (err)
		return err;
	/* Without it somebody else's changes are only found when everything is read again. */
	(void)open_groups(NETLINK_NETFILTER, nft_groups, 1, buffer, &opened.nft_fd);
	*watch = opened;
	return 0;
}

void net_watch_close(struct net_watch *watch)
{
	if (watch->route_fd >= 0)
		close(watch->route_fd);
	if (watch->nft_fd >= 0)
		close(watch->nft_fd);
	watch->route_fd = watch->nft_fd = -1;
}

static int read_socket(struct net_watch *watch, int fd, const char *nft_table, unsigned *events)
{
	_Alignas(8) uint8_t buf[DATAGRAM_MAX];

	for (int i = 0; i < DATAGRAMS_MAX; i++) {
		struct sockaddr_nl from = { 0 };
		struct iovec data = { .iov_base = buf, .iov_len = sizeof(buf) };
		struct msghdr header = {
			.msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &data,
			.msg_iovlen = 1,
		};
		ssize_t n = recvmsg(fd, &header, 0);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && errno != ENOBUFS && errno != EINTR)
			return -errno;
		if ((n < 0 && errno == ENOBUFS) || (n > 0 && header.msg_flags & MSG_TRUNC)) {
			*events |= NET_EVENT_LOST;
			watch->lost++;
		} else if (n > 0 && from.nl_pid == 0) {
			*events |= fd == watch->nft_fd ? net_event_nft(buf, (size_t)n, nft_table)
						       : net_event_route(buf, (size_t)n);
		}
	}
	return 0;
}

int net_watch_read(struct net_watch *watch, const char *nft_table, unsigned *ret_events)
{
	unsigned events = 0;
	int err = 0;

	if (watch->route_fd >= 0)
		err = read_socket(watch, watch->route_fd, nft_table, &events);
	if (!err && watch->nft_fd >= 0)
		err = read_socket(watch, watch->nft_fd, nft_table, &events);
	if (!err)
		*ret_events = events;
	return err;
}
