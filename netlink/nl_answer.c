#include "nl_answer.h"

#include <errno.h>
#include <string.h>

void nl_answer_init(struct nl_answer *answer, uint32_t first_seq, uint32_t last_seq, uint32_t port,
	nl_answer_take *take, void *userdata)
{
	*answer = (struct nl_answer){
		.first_seq = first_seq,
		.last_seq = last_seq,
		.port = port,
		.take = take,
		.userdata = userdata,
	};
}

static void fail(struct nl_answer *answer, int error)
{
	if (!answer->error)
		answer->error = error;
}

/* The errno that a message begins with; false: it is too short to have one. */
static bool get_errno(const struct nlmsghdr *message, int *ret_error)
{
	if (message->nlmsg_len < NLMSG_LENGTH(sizeof(int)))
		return false;
	memcpy(ret_error, NLMSG_DATA(message), sizeof(int));
	return true;
}

static void take_ack(struct nl_answer *answer, const struct nlmsghdr *message)
{
	int error = 0;

	if (!get_errno(message, &error) || error > 0) {
		fail(answer, -EBADMSG);
		answer->complete = true;
		return;
	}
	if (error)
		fail(answer, error);
	if (message->nlmsg_seq == answer->last_seq)
		answer->complete = true;
}

static void take_done(struct nl_answer *answer, const struct nlmsghdr *message)
{
	int error = 0;

	if (get_errno(message, &error) && error < 0)
		fail(answer, error == -EINTR ? -EAGAIN : error);
	if (answer->interrupted)
		fail(answer, -EAGAIN);
	answer->complete = true;
}

static void take_data(struct nl_answer *answer, const struct nlmsghdr *message)
{
	int err;

	if (message->nlmsg_flags & NLM_F_DUMP_INTR)
		answer->interrupted = true;
	if (!answer->take)
		return;
	/* A dump is read to its end whatever happens: the socket can have but one at a time. */
	err = answer->error ? 0 : answer->take(answer->userdata, message, message->nlmsg_len);
	if (err)
		fail(answer, err);
	if (!(message->nlmsg_flags & NLM_F_MULTI))
		answer->complete = true;
}

static bool is_answer(const struct nl_answer *answer, const struct nlmsghdr *message)
{
	return message->nlmsg_pid == answer->port &&
	       message->nlmsg_seq - answer->first_seq <= answer->last_seq - answer->first_seq;
}

void nl_answer_feed(struct nl_answer *answer, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len >= sizeof(struct nlmsghdr) && !answer->complete) {
		const struct nlmsghdr *message = (const void *)p;
		size_t step;

		if (message->nlmsg_len < sizeof(*message) || message->nlmsg_len > len) {
			fail(answer, -EBADMSG);
			answer->complete = true;
			return;
		}
		if (is_answer(answer, message)) {
			if (message->nlmsg_type == NLMSG_ERROR)
				take_ack(answer, message);
			else if (message->nlmsg_type == NLMSG_DONE)
				take_done(answer, message);
			else if (message->nlmsg_type == NLMSG_OVERRUN)
				fail(answer, -EAGAIN);
			else if (message->nlmsg_type >= NLMSG_MIN_TYPE)
				take_data(answer, message);
		}
		step = NLMSG_ALIGN(message->nlmsg_len);
		p += step < len ? step : len;
		len -= step < len ? step : len;
	}
}
