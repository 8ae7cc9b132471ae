#include "unit.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/resource.h>

#include "nl_channel.h"

static int count(void *userdata, const struct nlmsghdr *message, size_t len)
{
	unsigned *n = userdata;

	(void)message;
	(void)len;
	++*n;
	return 0;
}

static int links(struct nl_channel *channel, unsigned *ret_n)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg link;
	} request = {
		.header.nlmsg_len = sizeof(request),
		.header.nlmsg_type = RTM_GETLINK,
		.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		.header.nlmsg_seq = nl_channel_next_seq(channel),
	};

	*ret_n = 0;
	return nl_channel_query(channel, &request, sizeof(request), count, NULL, ret_n);
}

/* After a failure the socket is replaced, and for want of descriptors there may be none for a
 * while. */
static void test_lost_socket(void **state)
{
	struct rlimit before, none;
	struct nl_channel channel;
	unsigned n = 0;

	(void)state;
	assert_int_equal(nl_channel_open(&channel, NETLINK_ROUTE, 0), 0);
	assert_int_equal(links(&channel, &n), 0);
	assert_true(n > 0);
	nl_channel_close(&channel);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(links(&channel, &n), -EIO);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(links(&channel, &n), 0);
	assert_true(n > 0);
	nl_channel_close(&channel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lost_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
