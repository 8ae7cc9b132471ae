#include "unit.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hold_link.h"
#include "hold_shared.h"

static struct hold_ask good_ask(uint64_t seq)
{
	struct hold_ask ask = { .seq = seq, .id = 7, .epoch = 1, .bind = 1 };
	const char *reason;

	assert_int_equal(sockaddr_parse("[2001:db8:1::10]:40000", &ask.client, &reason), 0);
	assert_int_equal(sockaddr_parse("[2001:db8:80::1]:80", &ask.local, &reason), 0);
	return ask;
}

static void test_there_and_back(void **state)
{
	struct hold_ask asks[HOLD_LINK_BATCH], got[HOLD_LINK_BATCH];
	struct hold_reply reply = { .id = 7, .epoch = 1, .answer = HOLD_DONE }, replies[32];
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	for (unsigned i = 0; i < HOLD_LINK_BATCH; i++)
		asks[i] = good_ask(i);
	assert_int_equal(hold_link_receive(fds[1], got, sizeof(got[0])), -EAGAIN);
	for (unsigned n = 1; n <= HOLD_LINK_BATCH; n += HOLD_LINK_BATCH - 1) {
		assert_int_equal(hold_link_send(fds[0], asks, sizeof(asks[0]), n), 0);
		assert_int_equal(hold_link_receive(fds[1], got, sizeof(got[0])), n);
		assert_memory_equal(got, asks, n * sizeof(asks[0]));
	}
	assert_int_equal(hold_link_send(fds[1], &reply, sizeof(reply), 1), 0);
	assert_int_equal(hold_link_receive(fds[0], replies, sizeof(replies[0])), 1);
	assert_memory_equal(replies, &reply, sizeof(reply));
	close(fds[0]);
	assert_int_equal(hold_link_receive(fds[1], got, sizeof(got[0])), -EPIPE);
	assert_true(hold_link_send(fds[1], asks, sizeof(asks[0]), 1) < 0);
	close(fds[1]);
}

static void test_what_is_none_of_ours(void **state)
{
	char junk[(HOLD_LINK_BATCH + 2) * sizeof(struct hold_ask)] = { 0 };
	static const size_t sizes[] = { 1, sizeof(struct hold_ask) - 1, sizeof(struct hold_ask) + 1,
		(HOLD_LINK_BATCH + 1) * sizeof(struct hold_ask) };
	struct hold_ask got[HOLD_LINK_BATCH];
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(send(fds[0], junk, sizes[i], 0), (ssize_t)sizes[i]);
		assert_int_equal(hold_link_receive(fds[1], got, sizeof(got[0])), 0);
	}
	close(fds[0]);
	close(fds[1]);
}

/* A reader that does not read costs the writer nothing but the message. */
static void test_full(void **state)
{
	struct hold_ask asks[HOLD_LINK_BATCH];
	int fds[2], err = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	for (unsigned i = 0; i < HOLD_LINK_BATCH; i++)
		asks[i] = good_ask(i);
	for (int i = 0; i < 100000 && !err; i++)
		err = hold_link_send(fds[0], asks, sizeof(asks[0]), HOLD_LINK_BATCH);
	assert_int_equal(err, -EAGAIN);
	close(fds[0]);
	close(fds[1]);
}

static void test_asks_are_looked_at(void **state)
{
	struct hold_ask ask = good_ask(1);
	const char *reason;

	(void)state;
	assert_true(hold_link_ask_ok(&ask, 2));
	assert_false(hold_link_ask_ok(&ask, 1));
	sockaddr_set_port(&ask.client, 0);
	assert_false(hold_link_ask_ok(&ask, 2));
	ask = good_ask(1);
	sockaddr_set_port(&ask.local, 0);
	assert_false(hold_link_ask_ok(&ask, 2));
	ask = good_ask(1);
	assert_int_equal(sockaddr_parse("192.0.2.1:80", &ask.local, &reason), 0);
	assert_false(hold_link_ask_ok(&ask, 2));
	assert_int_equal(sockaddr_parse("192.0.2.1:80", &ask.client, &reason), 0);
	assert_true(hold_link_ask_ok(&ask, 2));
	ask.client.sa.sa_family = ask.local.sa.sa_family = AF_UNIX;
	assert_false(hold_link_ask_ok(&ask, 2));
}

static void test_replies_are_looked_at(void **state)
{
	struct hold_reply reply = { .answer = HOLD_ANSWERS - 1 };

	(void)state;
	assert_true(hold_link_reply_ok(&reply));
	reply.answer++;
	assert_false(hold_link_reply_ok(&reply));
	reply.answer = UINT32_MAX;
	assert_false(hold_link_reply_ok(&reply));
}

static void test_answers(void **state)
{
	(void)state;
	assert_int_equal(hold_link_answer_of(ECONNREFUSED), HOLD_REFUSED);
	assert_int_equal(hold_link_answer_of(EHOSTUNREACH), HOLD_HOST_UNREACHABLE);
	assert_int_equal(hold_link_answer_of(ENETUNREACH), HOLD_NET_UNREACHABLE);
	assert_int_equal(hold_link_answer_of(EACCES), HOLD_PROHIBITED);
	assert_int_equal(hold_link_answer_of(ETIMEDOUT), HOLD_SILENT);
	assert_int_equal(hold_link_answer_of(EADDRNOTAVAIL), HOLD_ORDINARY);
	assert_int_equal(hold_link_answer_of(EMFILE), HOLD_ORDINARY);
}

static void test_shared(void **state)
{
	struct hold_shared *shared = hold_shared_create(3, 5);

	(void)state;
	assert_non_null(shared);
	hold_shared_add(shared, 0, 4, 1);
	hold_shared_add(shared, 2, 4, 1);
	hold_shared_add(shared, 2, 4, 1);
	hold_shared_add(shared, 2, 0, 1);
	assert_int_equal(hold_shared_waiting(shared, 4), 3);
	hold_shared_add(shared, 0, 4, -1);
	assert_int_equal(hold_shared_waiting(shared, 4), 2);
	hold_shared_clear_worker(shared, 2);
	assert_int_equal(hold_shared_waiting(shared, 4), 0);
	assert_int_equal(hold_shared_waiting(shared, 0), 0);
	hold_shared_set_seen(shared, 1, 1ULL << 40);
	assert_true(hold_shared_seen(shared, 1) == 1ULL << 40);
	assert_int_equal(hold_shared_seen(shared, 0), 0);
	hold_shared_destroy(shared);
	hold_shared_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_what_is_none_of_ours),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_asks_are_looked_at),
		cmocka_unit_test(test_replies_are_looked_at),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
