/* takers: whose datagrams they are, also when a giver's channel is of no use. */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "takers.h"

struct fixture {
	struct loop loop;
	struct takers takers;
	struct takers_setup setup;
	unsigned told;
};

static size_t room(void *userdata)
{
	(void)userdata;
	return 8;
}

static void on_datagrams(void *userdata)
{
	struct fixture *f = userdata;

	f->told++;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(loop_init(&f->loop), 0);
	f->setup = (struct takers_setup){
		.loop = &f->loop,
		.room = room,
		.on_datagrams = on_datagrams,
		.userdata = f,
	};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	takers_end(&f->takers);
	loop_close(&f->loop);
	free(f);
	return 0;
}

/* The other end is ret_giver. */
static int open_channel(int *ret_giver)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	*ret_giver = fds[1];
	return fds[0];
}

static bool is_closed(int giver)
{
	char data[64];
	ssize_t n;

	do
		n = recv(giver, data, sizeof(data), MSG_DONTWAIT);
	while (n > 0); /* credits */
	return n == 0 || errno == ECONNRESET;
}

static void test_nobody_gives(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(takers_begin(&f->takers, &f->setup, NULL, 0), 0);
	assert_int_equal(f->told, 1);
	assert_false(takers_are_taking(&f->takers));
}

static void test_told_when_the_last_has_left(void **state)
{
	struct fixture *f = *state;
	int givers[2], fds[2];

	fds[0] = open_channel(&givers[0]);
	fds[1] = open_channel(&givers[1]);
	assert_int_equal(takers_begin(&f->takers, &f->setup, fds, 2), 0);
	assert_int_equal(f->told, 0);
	assert_int_equal(send(givers[0], "6GUD", 4, 0), 4);
	assert_int_equal(loop_run_once(&f->loop, true), 0);
	assert_int_equal(f->told, 0);
	assert_int_equal(f->takers.elsewhere, 1);
	close(givers[1]);
	while (f->told == 0)
		assert_int_equal(loop_run_once(&f->loop, true), 0);
	assert_true(takers_are_taking(&f->takers));
	close(givers[0]);
	while (takers_are_taking(&f->takers))
		assert_int_equal(loop_run_once(&f->loop, true), 0);
	assert_int_equal(f->told, 1);
}

/* What epoll does not take: those beside it are taken nevertheless, and datagrams are not lost. */
static void test_one_that_cannot_be_watched(void **state)
{
	struct fixture *f = *state;
	int giver, fds[2];

	fds[0] = memfd_create("no channel", MFD_CLOEXEC);
	fds[1] = open_channel(&giver);
	assert_int_equal(takers_begin(&f->takers, &f->setup, fds, 2), 0);
	assert_true(takers_are_taking(&f->takers));
	assert_int_equal(f->told, 0);
	assert_int_equal(send(giver, "6GUD", 4, 0), 4);
	while (f->told == 0)
		assert_int_equal(loop_run_once(&f->loop, true), 0);
	close(giver);
}

static void test_once_only(void **state)
{
	struct fixture *f = *state;
	int giver, fd = open_channel(&giver);

	assert_int_equal(takers_begin(&f->takers, &f->setup, NULL, 0), 0);
	assert_int_equal(takers_begin(&f->takers, &f->setup, &fd, 1), -EALREADY);
	assert_true(is_closed(giver));
	close(giver);
	takers_end(&f->takers);
	fd = open_channel(&giver);
	assert_int_equal(takers_begin(&f->takers, &f->setup, &fd, 1), -EALREADY);
	assert_true(is_closed(giver));
	close(giver);
	assert_int_equal(f->told, 1);
}

static void test_end_tells_nobody(void **state)
{
	struct fixture *f = *state;
	int giver, fd = open_channel(&giver);

	takers_end(&f->takers);
	assert_int_equal(takers_begin(&f->takers, &f->setup, &fd, 1), 0);
	takers_end(&f->takers);
	assert_true(is_closed(giver));
	assert_int_equal(f->told, 0);
	close(giver);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nobody_gives, setup, teardown),
		cmocka_unit_test_setup_teardown(test_told_when_the_last_has_left, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_that_cannot_be_watched, setup, teardown),
		cmocka_unit_test_setup_teardown(test_once_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_tells_nobody, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
