#include "unit.h"

#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "net_event.h"

struct event {
	_Alignas(8) uint8_t bytes[256];
	size_t len;
};

/* A message with one attribute behind a body of zeroes. */
static void make(struct event *event, uint16_t type, size_t body, uint16_t attr, const void *value,
	size_t value_len)
{
	struct nlmsghdr *message = (void *)event->bytes;
	struct nlattr *header;

	memset(event, 0, sizeof(*event));
	message->nlmsg_type = type;
	message->nlmsg_len = (uint32_t)NLMSG_LENGTH(NLMSG_ALIGN(body));
	header = (void *)(event->bytes + message->nlmsg_len);
	header->nla_type = attr;
	header->nla_len = (uint16_t)(sizeof(*header) + value_len);
	memcpy(header + 1, value, value_len);
	message->nlmsg_len += NLMSG_ALIGN((uint32_t)header->nla_len);
	event->len = message->nlmsg_len;
}

static void test_addresses_and_rules(void **state)
{
	static const struct {
		uint16_t type;
		size_t body;
		uint16_t attr;
	} kinds[] = { { RTM_NEWADDR, sizeof(struct ifaddrmsg), IFA_PROTO },
		{ RTM_NEWRULE, sizeof(struct fib_rule_hdr), FRA_PROTOCOL } };
	const uint8_t ours = 166, other = 165;
	struct event event;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		make(&event, kinds[i].type, kinds[i].body, kinds[i].attr, &ours, 1);
		assert_int_equal(net_event_route(event.bytes, event.len), NET_EVENT_OURS);
		for (size_t n = 0; n < event.len - 3; n++)
			assert_int_equal(net_event_route(event.bytes, n), 0);
		make(&event, kinds[i].type, kinds[i].body, kinds[i].attr, &other, 1);
		assert_int_equal(net_event_route(event.bytes, event.len), 0);
		/* The number as another attribute is no mark. */
		make(&event, kinds[i].type, kinds[i].body, 60, &ours, 1);
		assert_int_equal(net_event_route(event.bytes, event.len), 0);
	}
	/* What is removed may have been in the place of ours. */
	make(&event, RTM_DELADDR, sizeof(struct ifaddrmsg), IFA_PROTO, &other, 1);
	assert_int_equal(net_event_route(event.bytes, event.len), NET_EVENT_OURS);
	make(&event, RTM_DELRULE, sizeof(struct fib_rule_hdr), FRA_PROTOCOL, &other, 1);
	assert_int_equal(net_event_route(event.bytes, event.len), NET_EVENT_OURS);
}

static void test_routes(void **state)
{
	struct event event;
	struct rtmsg *body = (void *)(event.bytes + NLMSG_HDRLEN);

	(void)state;
	make(&event, RTM_DELROUTE, sizeof(*body), RTA_OIF, "\1\0\0\0", 4);
	assert_int_equal(net_event_route(event.bytes, event.len), 0);
	body->rtm_type = RTN_LOCAL;
	assert_int_equal(net_event_route(event.bytes, event.len), NET_EVENT_OURS);
	body->rtm_type = RTN_UNICAST;
	assert_int_equal(net_event_route(event.bytes, event.len), 0);
	body->rtm_protocol = 166;
	assert_int_equal(net_event_route(event.bytes, event.len), NET_EVENT_OURS);
	((struct nlmsghdr *)(void *)event.bytes)->nlmsg_len = 20; /* no room for the body */
	assert_int_equal(net_event_route(event.bytes, event.len), 0);
}

static void test_links_and_several(void **state)
{
	struct event first, second;
	_Alignas(8) uint8_t both[512];
	const uint8_t ours = 166;

	(void)state;
	make(&first, RTM_NEWLINK, sizeof(struct ifinfomsg), IFLA_IFNAME, "eth0", 5);
	assert_int_equal(net_event_route(first.bytes, first.len), NET_EVENT_LINKS);
	make(&second, RTM_DELADDR, sizeof(struct ifaddrmsg), IFA_PROTO, &ours, 1);
	memcpy(both, first.bytes, first.len);
	memcpy(both + first.len, second.bytes, second.len);
	assert_int_equal(
		net_event_route(both, first.len + second.len), NET_EVENT_LINKS | NET_EVENT_OURS);
}

static void test_nftables(void **state)
{
	static const struct {
		uint16_t type, attr;
	} kinds[] = { { NFT_MSG_NEWTABLE, NFTA_TABLE_NAME }, { NFT_MSG_DELTABLE, NFTA_TABLE_NAME },
		{ NFT_MSG_NEWCHAIN, NFTA_CHAIN_TABLE }, { NFT_MSG_DELCHAIN, NFTA_CHAIN_TABLE },
		{ NFT_MSG_NEWRULE, NFTA_RULE_TABLE }, { NFT_MSG_DELRULE, NFTA_RULE_TABLE },
		{ NFT_MSG_NEWSET, NFTA_SET_TABLE }, { NFT_MSG_DELSET, NFTA_SET_TABLE } };
	const uint16_t nft = NFNL_SUBSYS_NFTABLES << 8;
	struct event event;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		make(&event, nft | kinds[i].type, sizeof(struct nfgenmsg), kinds[i].attr, "sixgate",
			8);
		assert_int_equal(net_event_nft(event.bytes, event.len, "sixgate"), NET_EVENT_OURS);
		for (size_t n = 0; n < event.len; n++)
			assert_int_equal(net_event_nft(event.bytes, n, "sixgate"), 0);
		make(&event, nft | kinds[i].type, sizeof(struct nfgenmsg), kinds[i].attr,
			"sixgate2", 9);
		assert_int_equal(net_event_nft(event.bytes, event.len, "sixgate"), 0);
		make(&event, nft | kinds[i].type, sizeof(struct nfgenmsg), kinds[i].attr, "sixgate",
			7); /* without its end */
		assert_int_equal(net_event_nft(event.bytes, event.len, "sixgate"), 0);
	}
	make(&event, NFNL_SUBSYS_CTNETLINK << 8, sizeof(struct nfgenmsg), NFTA_TABLE_NAME,
		"sixgate", 8);
	assert_int_equal(net_event_nft(event.bytes, event.len, "sixgate"), 0);
	make(&event, nft | NFT_MSG_NEWGEN, sizeof(struct nfgenmsg), 1, "sixgate", 8);
	assert_int_equal(net_event_nft(event.bytes, event.len, "sixgate"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_and_rules),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_links_and_several),
		cmocka_unit_test(test_nftables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
