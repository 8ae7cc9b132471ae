#include "net_event.h"

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <string.h>

#include "net_state.h"

/* The attribute of a type behind a body of so many bytes; NULL: there is none. */
static const struct nlattr *find(const struct nlmsghdr *message, size_t body, uint16_t type)
{
	const uint8_t *p = (const uint8_t *)NLMSG_DATA(message) + NLMSG_ALIGN((uint32_t)body);
	const uint8_t *end = (const uint8_t *)message + message->nlmsg_len;

	while (end - p >= (ptrdiff_t)sizeof(struct nlattr)) {
		const struct nlattr *attr = (const void *)p;

		if (attr->nla_len < sizeof(*attr) || attr->nla_len > end - p)
			return NULL;
		if (mnl_attr_get_type(attr) == type)
			return attr;
		if ((ptrdiff_t)NLMSG_ALIGN((uint32_t)attr->nla_len) >= end - p)
			return NULL;
		p += NLMSG_ALIGN((uint32_t)attr->nla_len);
	}
	return NULL;
}

static bool has_mark(const struct nlmsghdr *message, size_t body, uint16_t type)
{
	const struct nlattr *attr = find(message, body, type);

	return attr && mnl_attr_get_payload_len(attr) == 1 && mnl_attr_get_u8(attr) == NET_MARK;
}

static bool holds(const struct nlmsghdr *message, size_t body)
{
	return message->nlmsg_len >= NLMSG_LENGTH((uint32_t)body);
}

/* Of others' routes, which may be many, only local ones: one may have been what we wanted, too. */
static bool concerns_route(const struct nlmsghdr *message)
{
	const struct rtmsg *body = NLMSG_DATA(message);

	return holds(message, sizeof(*body)) &&
	       (body->rtm_protocol == NET_MARK ||
		       (message->nlmsg_type == RTM_DELROUTE && body->rtm_type == RTN_LOCAL));
}

static unsigned judge_route(const struct nlmsghdr *message)
{
	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return NET_EVENT_LINKS;
	case RTM_DELADDR:
	case RTM_DELRULE:
		return NET_EVENT_OURS; /* somebody else's may have been what we wanted, too */
	case RTM_NEWADDR:
		return has_mark(message, sizeof(struct ifaddrmsg), IFA_PROTO) ? NET_EVENT_OURS : 0;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return concerns_route(message) ? NET_EVENT_OURS : 0;
	case RTM_NEWRULE:
		return has_mark(message, sizeof(struct fib_rule_hdr), FRA_PROTOCOL) ? NET_EVENT_OURS
										    : 0;
	default:
		return 0;
	}
}

static unsigned judge_nft(const struct nlmsghdr *message, const char *table)
{
	static const uint16_t types[] = { [NFT_MSG_NEWTABLE] = NFTA_TABLE_NAME,
		[NFT_MSG_DELTABLE] = NFTA_TABLE_NAME,
		[NFT_MSG_NEWCHAIN] = NFTA_CHAIN_TABLE,
		[NFT_MSG_DELCHAIN] = NFTA_CHAIN_TABLE,
		[NFT_MSG_NEWRULE] = NFTA_RULE_TABLE,
		[NFT_MSG_DELRULE] = NFTA_RULE_TABLE,
		[NFT_MSG_NEWSET] = NFTA_SET_TABLE,
		[NFT_MSG_DELSET] = NFTA_SET_TABLE,
		[NFT_MSG_DELSETELEM] = 0 };
	uint16_t type = NFNL_MSG_TYPE(message->nlmsg_type);
	const struct nlattr *attr;
	size_t len;

	if (NFNL_SUBSYS_ID(message->nlmsg_type) != NFNL_SUBSYS_NFTABLES ||
		type >= sizeof(types) / sizeof(types[0]) || !types[type] ||
		!holds(message, sizeof(struct nfgenmsg)))
		return 0;
	attr = find(message, sizeof(struct nfgenmsg), types[type]);
	if (!attr)
		return 0;
	len = strlen(table) + 1;
	return mnl_attr_get_payload_len(attr) == len &&
			       memcmp(mnl_attr_get_payload(attr), table, len) == 0
		       ? NET_EVENT_OURS
		       : 0;
}

/* The next whole message, and data and len moved on behind it; NULL: there is none. */
static const struct nlmsghdr *next(const uint8_t **data, size_t *len)
{
	const struct nlmsghdr *message = (const void *)*data;
	size_t step;

	if (*len < sizeof(*message) || message->nlmsg_len < sizeof(*message) ||
		message->nlmsg_len > *len)
		return NULL;
	step = NLMSG_ALIGN(message->nlmsg_len);
	if (step > *len)
		step = *len;
	*data += step;
	*len -= step;
	return message;
}

unsigned net_event_route(const void *data, size_t len)
{
	const struct nlmsghdr *message;
	const uint8_t *p = data;
	unsigned events = 0;

	while ((message = next(&p, &len)))
		events |= judge_route(message);
	return events;
}

unsigned net_event_nft(const void *data, size_t len, const char *table)
{
	const struct nlmsghdr *message;
	const uint8_t *p = data;
	unsigned events = 0;

	while ((message = next(&p, &len)))
		events |= judge_nft(message, table);
	return events;
}
