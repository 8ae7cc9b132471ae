#include "broker.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for the descriptors of a batch in a control message. */
union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(BROKER_BATCH * sizeof(int))];
};

static int make_socket(int *ret_fd)
{
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof(on)) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

int broker_probe(void)
{
	int fd = -1;
	int err = make_socket(&fd);

	if (!err)
		close(fd);
	return err;
}

int broker_send(int channel_fd, char message)
{
	union control control = { 0 };
	struct iovec data = { .iov_base = &message, .iov_len = 1 };
	struct msghdr header = { .msg_iov = &data, .msg_iovlen = 1 };
	int fds[BROKER_BATCH];
	size_t n = 0;
	int fd = -1, err = 0;

	while (n < BROKER_BATCH && make_socket(&fd) == 0)
		fds[n++] = fd;
	if (n > 0) {
		header.msg_control = control.space;
		header.msg_controllen = CMSG_SPACE(n * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, n * sizeof(int));
	}
	if (sendmsg(channel_fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		err = -errno;
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
	return err;
}

/* What does not fit is closed, which only a supervisor that went mad would send. */
static void stock_add(struct broker_stock *stock, const struct cmsghdr *header)
{
	size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < n; i++) {
		int fd = -1;

		memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
		if (stock->n < BROKER_STOCK_MAX)
			stock->fds[stock->n++] = fd;
		else
			close(fd);
	}
}

int broker_receive(struct broker_stock *stock, int channel_fd, char *ret_message)
{
	union control control = { 0 };
	char message = 0;
	struct iovec data = { .iov_base = &message, .iov_len = 1 };
	struct msghdr header = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space),
	};
	ssize_t n = recvmsg(channel_fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return -errno;
	if (n == 0)
		return 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			stock_add(stock, c);
	*ret_message = message;
	return 1;
}

bool broker_is_low(const struct broker_stock *stock)
{
	return !stock->asked && stock->n < BROKER_BATCH;
}

int broker_take(struct broker_stock *stock)
{
	return stock->n > 0 ? stock->fds[--stock->n] : -1;
}

void broker_stock_clear(struct broker_stock *stock)
{
	while (stock->n > 0)
		close(stock->fds[--stock->n]);
}
