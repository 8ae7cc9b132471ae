#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker.h"
#include "channel.h"

static int count_open(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void pair(int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
}

/* What arrives goes into the stock; as channel_receive(). */
static int receive(struct broker_stock *stock, int fd, char *ret_message)
{
	int fds[CHANNEL_FDS_MAX];
	size_t n = 0;
	int got = channel_receive(fd, ret_message, fds, &n);

	broker_stock_add(stock, fds, n);
	return got;
}

static void test_a_batch_arrives(void **state)
{
	struct broker_stock stock = { 0 };
	int fds[2], fd, on = 0;
	socklen_t len = sizeof(on);
	char message = 0;

	(void)state;
	if (broker_probe() == -EPERM) /* the tests may run without rights: then none are sent */
		return;
	pair(fds);
	assert_true(broker_is_low(&stock));
	assert_int_equal(broker_send(fds[0], 'S'), 0);
	assert_int_equal(receive(&stock, fds[1], &message), 1);
	assert_int_equal(message, 'S');
	assert_int_equal(stock.n, BROKER_BATCH);
	assert_false(broker_is_low(&stock));
	fd = broker_take(&stock);
	assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &on, &len), 0);
	assert_int_equal(on, 1);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(broker_is_low(&stock));
	close(fd);
	broker_stock_clear(&stock);
	assert_int_equal(broker_take(&stock), -1);
	close(fds[0]);
	close(fds[1]);
}

static void test_more_than_fits_is_closed(void **state)
{
	struct broker_stock stock = { 0 };
	int before = count_open(), fds[2];
	char message;

	(void)state;
	if (broker_probe() == -EPERM)
		return;
	pair(fds);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(broker_send(fds[0], 'S'), 0);
		assert_int_equal(receive(&stock, fds[1], &message), 1);
	}
	assert_int_equal(stock.n, BROKER_STOCK_MAX);
	broker_stock_clear(&stock);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(count_open(), before);
}

static void test_messages_without_sockets(void **state)
{
	struct broker_stock stock = { 0 };
	char message = 'x';
	int fds[2];

	(void)state;
	pair(fds);
	assert_int_equal(receive(&stock, fds[1], &message), -EAGAIN);
	assert_int_equal(send(fds[0], "D", 1, 0), 1);
	assert_int_equal(receive(&stock, fds[1], &message), 1);
	assert_int_equal(message, 'D');
	assert_int_equal(stock.n, 0);
	close(fds[0]);
	message = 'x';
	assert_int_equal(receive(&stock, fds[1], &message), 0);
	assert_int_equal(message, 'x');
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_batch_arrives),
		cmocka_unit_test(test_more_than_fits_is_closed),
		cmocka_unit_test(test_messages_without_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
