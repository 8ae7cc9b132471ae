#include "unit.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "nl_answer.h"

#define PORT 77

/* A datagram that messages are added to. */
struct datagram {
	_Alignas(8) uint8_t bytes[1024];
	size_t len;
};

static struct nlmsghdr *add(
	struct datagram *datagram, uint16_t type, uint16_t flags, uint32_t seq, size_t payload)
{
	struct nlmsghdr *message = (void *)(datagram->bytes + datagram->len);

	*message = (struct nlmsghdr){ .nlmsg_len = (uint32_t)NLMSG_LENGTH(payload),
		.nlmsg_type = type,
		.nlmsg_flags = flags,
		.nlmsg_seq = seq,
		.nlmsg_pid = PORT };
	memset(NLMSG_DATA(message), 0, payload);
	datagram->len += NLMSG_ALIGN(message->nlmsg_len);
	return message;
}

static void add_errno(struct datagram *datagram, uint16_t type, uint32_t seq, int error)
{
	memcpy(NLMSG_DATA(add(datagram, type, 0, seq, sizeof(error))), &error, sizeof(error));
}

struct taken {
	unsigned n;
	unsigned fail_at; /* 0: never */
};

static int take(void *userdata, const struct nlmsghdr *message, size_t len)
{
	struct taken *taken = userdata;

	assert_int_equal(message->nlmsg_type, RTM_NEWADDR);
	assert_int_equal(len, message->nlmsg_len);
	return ++taken->n == taken->fail_at ? -ENOMEM : 0;
}

static void test_acknowledgement(void **state)
{
	struct datagram datagram = { .len = 0 };
	struct nl_answer answer;

	(void)state;
	add_errno(&datagram, NLMSG_ERROR, 5, 0);
	nl_answer_init(&answer, 5, 5, PORT, NULL, NULL);
	nl_answer_feed(&answer, datagram.bytes, datagram.len);
	assert_true(answer.complete);
	assert_int_equal(answer.error, 0);
}

static void test_refusal(void **state)
{
	struct datagram datagram = { .len = 0 };
	struct nl_answer answer;

	(void)state;
	add_errno(&datagram, NLMSG_ERROR, 5, -EEXIST);
	nl_answer_init(&answer, 5, 5, PORT, NULL, NULL);
	nl_answer_feed(&answer, datagram.bytes, datagram.len);
	assert_true(answer.complete);
	assert_int_equal(answer.error, -EEXIST);
}

/* The first error counts, and the last message may never be acknowledged. */
static void test_batch(void **state)
{
	struct datagram datagram = { .len = 0 };
	struct nl_answer answer;

	(void)state;
	add_errno(&datagram, NLMSG_ERROR, 7, -EINVAL);
	add_errno(&datagram, NLMSG_ERROR, 8, -ENOENT);
	nl_answer_init(&answer, 5, 9, PORT, NULL, NULL);
	nl_answer_feed(&answer, datagram.bytes, datagram.len);
	assert_false(answer.complete);
	assert_int_equal(answer.error, -EINVAL);
	datagram.len = 0;
	add_errno(&datagram, NLMSG_ERROR, 6, 0);
	add_errno(&datagram, NLMSG_ERROR, 9, 0);
	nl_answer_init(&answer, 5, 9, PORT, NULL, NULL);
	nl_answer_feed(&answer, datagram.bytes, datagram.len);
	assert_true(answer.complete);
	assert_int_equal(answer.error, 0);
}

static void test_answers_to_others_are_passed_over(void **state)
{
	struct datagram datagram = { .len = 0 };
	struct nl_answer answer;
	struct taken taken = { 0 };

	(void)state;
	add_errno(&datagram, NLMSG_ERROR, 4, -EPERM); /* of an earlier request */
	add_errno(&datagram, NLMSG_ERROR, 6, -EPERM); /* of a later one */
	add_errno(&datagram, NLMSG_DONE, 4, 0);
	add(&datagram, NLMSG_ERROR, 0, 5, 4)->nlmsg_pid = PORT + 1; /* of another socket */
	add(&datagram, RTM_NEWADDR, NLM_F_MULTI, 4, 8);
	add(&datagram, NLMSG_NOOP, 0, 5, 0);
	nl_answer_init(&answer, 5, 5, PORT, take, &taken);
	nl_answer_feed(&answer, datagram.bytes, datagram.len);
	assert_false(answer.complete);
	assert_int_equal(answer.error, 0);
	assert_int_equal(taken.n, 0);
}

static void test_sequence_numbers_wrap_around(void **state)
{
	struct datagram datagram = { .len = 0 };
	struct nl_answer answer;

	(void)state;
	add_errno(&datagram, NLMSG_ERROR, UINT32_MAX - 2, -EPERM);
	add_errno(&datagram, NLMSG_ERROR, 2, -EPERM);
	add_errno(&datagram, NLMSG_ERROR, 0, 0);
	add_errno(&datagram, NLMSG_ERROR, 1, 0);
	nl_answer_init(&answer, UINT32_MAX - 1, 1, PORT, NULL, NULL);
	nl_answer_feed(&answer, datagram.bytes, datagram.len);
	assert_true(answer.complete);
	assert_int_equal(answer.error, 0);
}

static void test_dump(void **state)
{
	struct datagram datagram = { .len = 0 };
	struct nl_answer answer;
	struct taken taken = { 0 };

	(void)state;
	add(&datagram, RTM_NEWADDR, NLM_F_MULTI, 5, 8);
	add(&datagram, RTM_NEWADDR, NLM_F_MULTI, 5, 5); /* padded */
	nl_answer_init(&answer, 5, 5, PORT, take, &taken);
	nl_answer_feed(&answer, datagram.bytes, datagram.len);
	assert_false(answer.complete);
	datagram.len = 0;
	add(&datagram, RTM_NEWADDR, NLM_F_MULTI, 5, 8);
	add_errno(&datagram, NLMSG_DONE, 5, 0);
	nl_answer_feed(&answer, datagram.bytes, datagram.len);
	assert_true(answer.complete);
	assert_int_equal(answer.error, 0);
	assert_int_equal(taken.n, 3);
}

/* Whatever says that the dump is not whole makes it be asked for again. */
static void test_dump_that_is_not_whole(void **state)
{
	struct datagram datagram;
	struct nl_answer answer;
	struct taken taken;

	(void)state;
	for (int i = 0; i < 3; i++) {
		datagram.len = 0;
		taken = (struct taken){ 0 };
		add(&datagram, RTM_NEWADDR, i == 0 ? NLM_F_MULTI | NLM_F_DUMP_INTR : NLM_F_MULTI, 5,
			8);
		if (i == 1)
			add(&datagram, NLMSG_OVERRUN, 0, 5, 0);
		add_errno(&datagram, NLMSG_DONE, 5, i == 2 ? -EINTR : 0);
		nl_answer_init(&answer, 5, 5, PORT, take, &taken);
		nl_answer_feed(&answer, datagram.bytes, datagram.len);
		assert_true(answer.complete);
		assert_int_equal(answer.error, -EAGAIN);
	}
}

static void test_dump_that_fails(void **state)
{
	struct datagram datagram = { .len = 0 };
	struct nl_answer answer;
	struct taken taken = { .fail_at = 2 };

	(void)state;
	for (int i = 0; i < 4; i++)
		add(&datagram, RTM_NEWADDR, NLM_F_MULTI, 5, 8);
	nl_answer_init(&answer, 5, 5, PORT, take, &taken);
	nl_answer_feed(&answer, datagram.bytes, datagram.len);
	/* Not complete: the rest of the dump has to be read off the socket. */
	assert_false(answer.complete);
	assert_int_equal(answer.error, -ENOMEM);
	assert_int_equal(taken.n, 2);
	datagram.len = 0;
	add_errno(&datagram, NLMSG_DONE, 5, -ENOBUFS);
	nl_answer_feed(&answer, datagram.bytes, datagram.len);
	assert_true(answer.complete);
	assert_int_equal(answer.error, -ENOMEM);
}

static void test_single_answer(void **state)
{
	struct datagram datagram = { .len = 0 };
	struct nl_answer answer;
	struct taken taken = { 0 };

	(void)state;
	add(&datagram, RTM_NEWADDR, 0, 5, 8);
	nl_answer_init(&answer, 5, 5, PORT, take, &taken);
	nl_answer_feed(&answer, datagram.bytes, datagram.len);
	assert_true(answer.complete);
	assert_int_equal(taken.n, 1);
}

static void test_nonsense(void **state)
{
	struct datagram datagram = { .len = 0 };
	struct nl_answer answer;

	(void)state;
	/* Longer than the datagram; shorter than a header; an error without a number; one above 0.
	 */
	add(&datagram, NLMSG_ERROR, 0, 5, 4)->nlmsg_len = 100;
	nl_answer_init(&answer, 5, 5, PORT, NULL, NULL);
	nl_answer_feed(&answer, datagram.bytes, datagram.len);
	assert_true(answer.complete);
	assert_int_equal(answer.error, -EBADMSG);

	((struct nlmsghdr *)(void *)datagram.bytes)->nlmsg_len = 15;
	nl_answer_init(&answer, 5, 5, PORT, NULL, NULL);
	nl_answer_feed(&answer, datagram.bytes, datagram.len);
	assert_int_equal(answer.error, -EBADMSG);

	((struct nlmsghdr *)(void *)datagram.bytes)->nlmsg_len = 19;
	nl_answer_init(&answer, 5, 5, PORT, NULL, NULL);
	nl_answer_feed(&answer, datagram.bytes, datagram.len);
	assert_int_equal(answer.error, -EBADMSG);

	datagram.len = 0;
	add_errno(&datagram, NLMSG_ERROR, 5, 17);
	nl_answer_init(&answer, 5, 5, PORT, NULL, NULL);
	nl_answer_feed(&answer, datagram.bytes, datagram.len);
	assert_int_equal(answer.error, -EBADMSG);

	/* Too short for any message: nothing is known. */
	nl_answer_init(&answer, 5, 5, PORT, NULL, NULL);
	nl_answer_feed(&answer, datagram.bytes, 15);
	assert_false(answer.complete);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_acknowledgement),
		cmocka_unit_test(test_refusal),
		cmocka_unit_test(test_batch),
		cmocka_unit_test(test_answers_to_others_are_passed_over),
		cmocka_unit_test(test_sequence_numbers_wrap_around),
		cmocka_unit_test(test_dump),
		cmocka_unit_test(test_dump_that_is_not_whole),
		cmocka_unit_test(test_dump_that_fails),
		cmocka_unit_test(test_single_answer),
		cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
