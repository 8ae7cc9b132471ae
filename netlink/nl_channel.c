#include "nl_channel.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "nl_answer.h"

/*
 * Theory of operation
 *
 * A request is sent, then datagrams are read until nl_answer says that the answer is complete. What
 * belongs to an earlier request (one that timed out) has another sequence number and is passed over
 * there. If the socket's buffer overflowed meanwhile (ENOBUFS), or nothing came, an answer may be
 * missing: the socket, which may be in the midst of a dump, is replaced by a new one, a dump is
 * begun anew, and a request fails with -ETIMEDOUT, "not known". A request is never repeated by
 * itself: it may have been carried out. Whatever belonged to the old socket (a table with an owner)
 * is gone with it.
 *
 * This waits, with a deadline for each answer, and is used where waiting is right: at start and
 * end, and for a few messages that the kernel answers from memory. What must not wait for the
 * kernel's own time is told by another socket (net_watch.h).
 */
#define DATAGRAM_MAX 65536U

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int open_socket(struct nl_channel *channel)
{
	struct sockaddr_nl local = { .nl_family = AF_NETLINK };
	const int on = 1, size = (int)channel->buffer;
	socklen_t len = sizeof(local);
	int fd, err;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, channel->protocol);
	if (fd < 0)
		return -errno;
	/* Both are better to have, and old kernels have not. */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	if ((size && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0) ||
		bind(fd, (struct sockaddr *)&local, sizeof(local)) < 0 ||
		getsockname(fd, (struct sockaddr *)&local, &len) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	channel->fd = fd;
	channel->port = local.nl_pid;
	return 0;
}

int nl_channel_adopt(struct nl_channel *channel, int fd, int protocol)
{
	struct sockaddr_nl local = { 0 };
	socklen_t len = sizeof(local);
	char unread[64];
	int own = 0;
	socklen_t own_len = sizeof(own);

	if (getsockname(fd, (struct sockaddr *)&local, &len) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &own, &own_len) < 0)
		return -errno;
	if (local.nl_family != AF_NETLINK || own != protocol)
		return -EPROTOTYPE;
	/* Answers to what that image has asked are for nobody. */
	while (recv(fd, unread, sizeof(unread), MSG_DONTWAIT | MSG_TRUNC) >= 0)
		continue;
	*channel = (struct nl_channel){
		.fd = fd,
		.protocol = protocol,
		.port = local.nl_pid,
		/* Far from those that it may have used last. */
		.seq = (uint32_t)time(NULL) << 8,
	};
	return 0;
}

int nl_channel_open(struct nl_channel *channel, int protocol, size_t buffer)
{
	struct nl_channel opened = { .fd = -1, .protocol = protocol, .buffer = buffer };
	int err = open_socket(&opened);

	if (!err)
		*channel = opened;
	return err;
}

void nl_channel_close(struct nl_channel *channel)
{
	if (channel->fd >= 0)
		close(channel->fd);
	channel->fd = -1;
}

uint32_t nl_channel_next_seq(struct nl_channel *channel)
{
	if (++channel->seq == 0)
		channel->seq = 1;
	return channel->seq;
}

static int send_all(struct nl_channel *channel, const void *buf, size_t len)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int size = (int)len * 2;

	/* A batch of some thousand rules is larger than the buffer that sockets are born with. */
	if (len > 65536 &&
		setsockopt(channel->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(channel->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (sendto(channel->fd, buf, len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	return 0;
}

/*
 * The next datagram of the kernel into buf. Its length; 0: none, and may_wait is false; -ENOBUFS:
 * some were lost; -ETIMEDOUT; -EMSGSIZE: one did not fit.
 */
static ssize_t receive(struct nl_channel *channel, void *buf, bool may_wait, uint64_t deadline_ms)
{
	for (;;) {
		struct sockaddr_nl from = { 0 };
		struct iovec data = { .iov_base = buf, .iov_len = DATAGRAM_MAX };
		struct msghdr header = {
			.msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &data,
			.msg_iovlen = 1,
		};
		struct pollfd poll_fd = { .fd = channel->fd, .events = POLLIN };
		ssize_t n = recvmsg(channel->fd, &header, 0);
		uint64_t now = now_ms();

		/* 0 is the kernel; any process may send to our port. */
		if (n > 0 && from.nl_pid == 0)
			return header.msg_flags & MSG_TRUNC ? -EMSGSIZE : n;
		if (n >= 0 || errno == EINTR)
			continue; /* from another process, or nothing */
		if (errno != EAGAIN)
			return -errno;
		if (!may_wait)
			return 0;
		if (now >= deadline_ms)
			return -ETIMEDOUT;
		(void)poll(&poll_fd, 1, (int)(deadline_ms - now));
	}
}

/* One request, to the end of its answer. -EAGAIN: it is not known whole. */
static int converse(
	struct nl_channel *channel, const void *buf, size_t len, struct nl_answer *answer)
{
	uint64_t deadline_ms = now_ms() + NL_CHANNEL_TIMEOUT_MS;
	void *datagram = malloc(DATAGRAM_MAX);
	ssize_t n = 1;
	int err;

	assert(len >= sizeof(struct nlmsghdr));
	if (!datagram)
		return -ENOMEM;
	err = send_all(channel, buf, len);
	while (!err && !answer->complete && n > 0) {
		/* After a failure the rest of a batch need not be answered. */
		n = receive(channel, datagram, answer->take || !answer->error, deadline_ms);
		if (n > 0)
			nl_answer_feed(answer, datagram, (size_t)n);
		else if (n < 0)
			err = (int)n;
	}
	free(datagram);
	if (err == -ENOBUFS || err == -EMSGSIZE || err == -ETIMEDOUT) {
		nl_channel_close(channel);
		if (open_socket(channel) < 0)
			return -EIO;
		return err == -ETIMEDOUT ? err : -EAGAIN;
	}
	return err ? err : answer->error;
}

/* One that could not be replaced, for want of descriptors or memory, is tried again. */
static int reopen(struct nl_channel *channel)
{
	return channel->fd >= 0 || open_socket(channel) == 0 ? 0 : -EIO;
}

int nl_channel_request(struct nl_channel *channel, const void *buf, size_t len, uint32_t last_seq)
{
	struct nl_answer answer;
	int err = reopen(channel);

	if (err)
		return err;
	nl_answer_init(&answer, ((const struct nlmsghdr *)buf)->nlmsg_seq, last_seq, channel->port,
		NULL, NULL);
	err = converse(channel, buf, len, &answer);
	return err == -EAGAIN ? -ETIMEDOUT : err;
}

int nl_channel_query(struct nl_channel *channel, const void *buf, size_t len, nl_answer_take *take,
	nl_channel_restart *restart, void *userdata)
{
	uint32_t seq = ((const struct nlmsghdr *)buf)->nlmsg_seq;
	struct nlmsghdr *copy;
	int err = reopen(channel);

	assert(take);
	if (err)
		return err;
	copy = malloc(len);
	if (!copy)
		return -ENOMEM;
	err = -EAGAIN;
	memcpy(copy, buf, len);
	for (unsigned i = 0; i < NL_CHANNEL_TRIES && err == -EAGAIN; i++) {
		struct nl_answer answer;

		if (i > 0) {
			channel->rereads++;
			seq = nl_channel_next_seq(channel);
			copy->nlmsg_seq = seq;
			if (restart)
				restart(userdata);
		}
		nl_answer_init(&answer, seq, seq, channel->port, take, userdata);
		err = converse(channel, copy, len, &answer);
	}
	free(copy);
	return err;
}
