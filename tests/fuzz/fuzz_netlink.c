/*
 * Whatever arrives on a netlink socket: the first byte says who reads the rest, as a datagram or as
 * one message of a dump.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "net_event.h"
#include "nl_answer.h"
#include "rtnl.h"

static int take(void *userdata, const struct nlmsghdr *message, size_t len)
{
	size_t *taken = userdata;

	assert(message->nlmsg_len == len);
	*taken += len;
	return *taken > 4096 ? -ENOMEM : 0;
}

static void read_answer(const void *data, size_t size)
{
	struct nl_answer answer;
	size_t taken = 0;

	nl_answer_init(&answer, 1, 3, 0, take, &taken);
	nl_answer_feed(&answer, data, size);
	assert(taken <= size);
	assert(answer.error <= 0);
}

static void read_objects(const void *data, size_t size)
{
	struct net_link link = { .index = 1 };
	struct net_route route;
	struct net_addr addr;
	struct net_rule rule;

	if (rtnl_decode_link(data, size, &link) == 0)
		assert(link.index && memchr(link.name, '\0', sizeof(link.name)));
	if (rtnl_decode_addr(data, size, &addr) == 0)
		assert(addr.family == AF_INET || addr.family == AF_INET6);
	if (rtnl_decode_route(data, size, &route) == 0)
		assert(route.family == AF_INET || route.family == AF_INET6);
	if (rtnl_decode_rule(data, size, &rule) == 0)
		assert(rule.family == AF_INET || rule.family == AF_INET6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (size == 0)
		return 0;
	copy = malloc(
		size - 1 ? size - 1 : 1); /* of just that size, and aligned as datagrams are */
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	switch (data[0] % 4) {
	case 0:
		read_answer(copy, size - 1);
		break;
	case 1:
		read_objects(copy, size - 1);
		break;
	case 2:
		(void)net_event_route(copy, size - 1);
		break;
	default:
		(void)net_event_nft(copy, size - 1, "sixgate");
	}
	free(copy);
	return 0;
}
