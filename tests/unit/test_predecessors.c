/* predecessors: who is told to hand over, to whom; the processes are this one, the channels real.
 */
#include "unit.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"
#include "predecessors.h"
#include "worker.h"

#define OLD_MAX 80

struct fixture {
	struct loop loop;
	struct predecessors *before;
	int theirs[OLD_MAX]; /* the ends of the workers of before */
	size_t n;
	unsigned changes;
};

static void on_change(void *userdata)
{
	struct fixture *f = userdata;

	f->changes++;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(loop_init(&f->loop), 0);
	f->before = predecessors_new(&f->loop, on_change, f);
	assert_non_null(f->before);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	predecessors_free(f->before);
	for (size_t i = 0; i < f->n; i++)
		close(f->theirs[i]);
	loop_close(&f->loop);
	free(f);
	return 0;
}

/* An image of before has left n workers. */
static void inherit(struct fixture *f, size_t n)
{
	struct predecessors *image = predecessors_new(&f->loop, on_change, f);
	struct estate *estate = estate_new();

	for (size_t i = 0; i < n; i++) {
		int fds[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
		f->theirs[f->n++] = fds[1];
		assert_int_equal(predecessors_bequeath_own(
					 image, estate, PREDECESSOR_WORKER, i, getpid(), fds[0]),
			0);
	}
	assert_int_equal(predecessors_bequeath(image, estate), 0);
	assert_int_equal(predecessors_inherit(f->before, estate), 0);
	estate_free(estate);
	predecessors_free(image);
}

/* What the process at this end hears; how many descriptors came along, -1: nothing was said. */
static int hear(int fd, char expected, int fds[CHANNEL_FDS_MAX])
{
	size_t n = 0;
	char message = 0;

	if (channel_receive(fd, &message, fds, &n) != 1)
		return -1;
	assert_int_equal(message, expected);
	return (int)n;
}

static void close_all(const int *fds, int n)
{
	for (int i = 0; i < n; i++)
		close(fds[i]);
}

/* What comes of `from` workers of before and `to` new ones. */
static void hand_over(struct fixture *f, size_t from, size_t to, size_t expected_each)
{
	int channels[8], theirs[8], fds[CHANNEL_FDS_MAX];

	inherit(f, from);
	for (size_t i = 0; i < to; i++) {
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
		channels[i] = pair[0];
		theirs[i] = pair[1];
	}
	predecessors_hand_over(f->before, channels, to);
	for (size_t i = 0; i < from; i++) {
		assert_int_equal(hear(f->theirs[i], WORKER_HANDOVER, fds), 1);
		close(fds[0]);
		assert_int_equal(hear(f->theirs[i], WORKER_FLOWS, fds), 1);
		close(fds[0]);
	}
	for (size_t i = 0; i < to; i++) {
		int n = hear(theirs[i], WORKER_INHERIT, fds);

		assert_int_equal(n, expected_each);
		close_all(fds, n);
		close(channels[i]);
		close(theirs[i]);
	}
}

static void test_each_is_told_once(void **state)
{
	struct fixture *f = *state;
	int channels[2], fds[CHANNEL_FDS_MAX];

	hand_over(f, 4, 2, 2);
	assert_int_equal(predecessors_alive(f->before, PREDECESSOR_WORKER), 4);
	assert_int_equal(predecessors_generation(f->before), 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channels), 0);
	predecessors_hand_over(f->before, channels, 1);
	assert_int_equal(hear(channels[1], WORKER_INHERIT, fds), 0);
	for (size_t i = 0; i < f->n; i++)
		assert_int_equal(hear(f->theirs[i], WORKER_HANDOVER, fds), -1);
	close_all(channels, 2);
}

static void say_flows(int fd, uint64_t n)
{
	assert_int_equal(pwrite(fd, &n, sizeof(n), 0), sizeof(n));
}

/* What each has still is known once all have said it, and to the next image as well. */
static void test_flows_that_they_have(void **state)
{
	struct fixture *f = *state;
	int channels[2], fds[CHANNEL_FDS_MAX], files[2];
	struct predecessors *next;
	struct estate *estate = estate_new();
	uint64_t n = 4711;

	assert_true(predecessors_flows(f->before, &n));
	assert_int_equal(n, 0);
	inherit(f, 2);
	assert_false(predecessors_flows(f->before, &n));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channels), 0);
	predecessors_hand_over(f->before, channels, 1);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(hear(f->theirs[i], WORKER_HANDOVER, fds), 1);
		close(fds[0]);
		assert_int_equal(hear(f->theirs[i], WORKER_FLOWS, fds), 1);
		files[i] = fds[0];
	}
	say_flows(files[0], 3);
	assert_false(predecessors_flows(f->before, &n));
	say_flows(files[1], 4);
	assert_true(predecessors_flows(f->before, &n));
	assert_int_equal(n, 7);
	next = predecessors_new(&f->loop, on_change, f);
	assert_int_equal(predecessors_bequeath(f->before, estate), 0);
	assert_int_equal(predecessors_inherit(next, estate), 0);
	say_flows(files[0], 1);
	assert_true(predecessors_flows(next, &n));
	assert_int_equal(n, 5);
	say_flows(files[0], UINT64_MAX); /* of one that went mad */
	say_flows(files[1], UINT64_MAX);
	assert_true(predecessors_flows(next, &n));
	assert_true(n < INT64_MAX);
	estate_free(estate);
	close_all(files, 2);
	close_all(channels, 2);
	/* The two have the same descriptors here, so the one goes as the other's process would. */
	predecessors_free(f->before);
	f->before = next;
	assert_int_equal(predecessors_alive(f->before, PREDECESSOR_WORKER), 2);
}

static void test_new_ones_without_a_predecessor(void **state)
{
	hand_over(*state, 0, 3, 0);
}

/* Who is not told would go on accepting by a configuration that is no more. */
static void test_more_than_go_into_one_message(void **state)
{
	hand_over(*state, 2 * CHANNEL_FDS_MAX + 7, 1, CHANNEL_FDS_MAX);
}

/* Nor may one go on accepting for which there is no channel. */
static void test_no_descriptor_for_a_channel(void **state)
{
	struct fixture *f = *state;
	int channels[2], fds[CHANNEL_FDS_MAX];
	struct rlimit before, none;

	inherit(f, 2);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channels), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	predecessors_hand_over(f->before, channels, 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(hear(f->theirs[i], WORKER_DRAIN, fds), 0);
	assert_int_equal(hear(channels[1], WORKER_INHERIT, fds), 0);
	close_all(channels, 2);
}

static void test_end(void **state)
{
	struct fixture *f = *state;

	inherit(f, 3);
	assert_false(predecessors_reaped(f->before, getpid() + 1, 0));
	assert_true(predecessors_reaped(f->before, getpid(), 0));
	assert_int_equal(f->changes, 1);
	assert_int_equal(predecessors_alive(f->before, PREDECESSOR_WORKER), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_is_told_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flows_that_they_have, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_new_ones_without_a_predecessor, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_more_than_go_into_one_message, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_descriptor_for_a_channel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
