#include "broker.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"

static_assert(BROKER_BATCH <= CHANNEL_FDS_MAX, "a batch goes in one message");

/* Not bound and not connected: which address it takes is the worker's business, and known there
 * only. */
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
	int fds[BROKER_BATCH];
	size_t n = 0;
	int fd = -1, err;

	while (n < BROKER_BATCH && make_socket(&fd) == 0)
		fds[n++] = fd;
	err = channel_send(channel_fd, message, fds, n);
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
	return err;
}

void broker_stock_add(struct broker_stock *stock, const int *fds, size_t n)
{
	assert(stock->n <= BROKER_STOCK_MAX);
	for (size_t i = 0; i < n; i++)
		if (stock->n < BROKER_STOCK_MAX)
			stock->fds[stock->n++] = fds[i];
		else
			close(fds[i]);
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
