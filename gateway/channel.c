#include "channel.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A union, for the alignment of the header (cmsg(3)). */
union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(CHANNEL_FDS_MAX * sizeof(int))];
};

int channel_send(int fd, char message, const int *fds, size_t n)
{
	union control control = { 0 };
	struct iovec data = { .iov_base = &message, .iov_len = 1 };
	struct msghdr header = { .msg_iov = &data, .msg_iovlen = 1 };

	assert(n <= CHANNEL_FDS_MAX);
	if (n > 0) {
		header.msg_control = control.space;
		header.msg_controllen = CMSG_SPACE(n * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, n * sizeof(int));
	}
	return sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* What is more than we take is closed, which only a peer that went mad would send. */
static size_t take_descriptors(const struct cmsghdr *header, int fds[CHANNEL_FDS_MAX], size_t have)
{
	size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < n; i++) {
		int fd = -1;

		memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
		if (have < CHANNEL_FDS_MAX)
			fds[have++] = fd;
		else
			close(fd);
	}
	return have;
}

int channel_receive(int fd, char *ret_message, int ret_fds[CHANNEL_FDS_MAX], size_t *ret_n)
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
	ssize_t n = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	size_t n_fds = 0;

	if (n < 0)
		return -errno;
	if (n == 0)
		return 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			n_fds = take_descriptors(c, ret_fds, n_fds);
	*ret_message = message;
	*ret_n = n_fds;
	return 1;
}
