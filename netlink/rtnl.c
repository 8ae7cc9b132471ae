#include "rtnl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

/* All zero at first, padding included. */
static struct nlmsghdr *start(void *buf, uint16_t type, uint16_t flags, uint32_t seq)
{
	struct nlmsghdr *message;

	memset(buf, 0, RTNL_MESSAGE_MAX);
	message = mnl_nlmsg_put_header(buf);
	message->nlmsg_type = type;
	message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	message->nlmsg_seq = seq;
	return message;
}

static uint16_t op_flags(enum rtnl_op op)
{
	return op == RTNL_ADD ? NLM_F_CREATE | NLM_F_EXCL : 0;
}

static bool is_family(uint8_t family)
{
	return family == AF_INET || family == AF_INET6;
}

static bool is_zero(const uint8_t bytes[16])
{
	static const uint8_t zero[16];

	return memcmp(bytes, zero, sizeof(zero)) == 0;
}

/* ---- encoding ---- */

int rtnl_encode_addr(
	void *buf, enum rtnl_op op, uint32_t seq, const struct net_addr *addr, size_t *ret_len)
{
	struct nlmsghdr *message;
	struct ifaddrmsg *body;

	if (!is_family(addr->family) || addr->index == 0 ||
		addr->prefix_len > 8 * net_family_len(addr->family))
		return -EINVAL;
	message = start(buf, op == RTNL_ADD ? RTM_NEWADDR : RTM_DELADDR, op_flags(op), seq);
	body = mnl_nlmsg_put_extra_header(message, sizeof(*body));
	body->ifa_family = addr->family;
	body->ifa_prefixlen = addr->prefix_len;
	body->ifa_scope = addr->scope;
	body->ifa_index = addr->index;
	/* IPv4 asks for IFA_LOCAL; both the same: there is no peer. */
	mnl_attr_put(message, IFA_LOCAL, net_family_len(addr->family), addr->addr);
	mnl_attr_put(message, IFA_ADDRESS, net_family_len(addr->family), addr->addr);
	mnl_attr_put_u32(message, IFA_FLAGS, addr->family == AF_INET6 ? IFA_F_NODAD : 0);
	mnl_attr_put_u8(message, IFA_PROTO, NET_MARK);
	if (addr->unpreferred) {
		/* Seconds; all ones: forever. */
		const struct ifa_cacheinfo life = { .ifa_valid = UINT32_MAX };

		mnl_attr_put(message, IFA_CACHEINFO, sizeof(life), &life);
	}
	*ret_len = message->nlmsg_len;
	return 0;
}

/* The attribute wins; the header's byte is for whoever does not know it. */
static void put_table(struct nlmsghdr *message, uint8_t *ret_short, uint16_t type, uint32_t table)
{
	*ret_short = table < 256 ? (uint8_t)table : RT_TABLE_UNSPEC;
	mnl_attr_put_u32(message, type, table);
}

int rtnl_encode_route(
	void *buf, enum rtnl_op op, uint32_t seq, const struct net_route *route, size_t *ret_len)
{
	size_t len = net_family_len(route->family);
	struct nlmsghdr *message;
	struct rtmsg *body;

	if (!is_family(route->family) || route->dst_len > 8 * len)
		return -EINVAL;
	message = start(buf, op == RTNL_ADD ? RTM_NEWROUTE : RTM_DELROUTE, op_flags(op), seq);
	body = mnl_nlmsg_put_extra_header(message, sizeof(*body));
	body->rtm_family = route->family;
	body->rtm_dst_len = route->dst_len;
	body->rtm_protocol = NET_MARK;
	body->rtm_scope = route->scope;
	body->rtm_type = route->type;
	if (route->dst_len > 0)
		mnl_attr_put(message, RTA_DST, len, route->dst);
	put_table(message, &body->rtm_table, RTA_TABLE, route->table);
	if (route->index)
		mnl_attr_put_u32(message, RTA_OIF, route->index);
	if (!is_zero(route->gateway))
		mnl_attr_put(message, RTA_GATEWAY, len, route->gateway);
	if (!is_zero(route->source))
		mnl_attr_put(message, RTA_PREFSRC, len, route->source);
	if (route->metric)
		mnl_attr_put_u32(message, RTA_PRIORITY, route->metric);
	*ret_len = message->nlmsg_len;
	return 0;
}

int rtnl_encode_rule(
	void *buf, enum rtnl_op op, uint32_t seq, const struct net_rule *rule, size_t *ret_len)
{
	struct nlmsghdr *message;
	struct fib_rule_hdr *body;

	if (!is_family(rule->family) || rule->narrow)
		return -EINVAL;
	message = start(buf, op == RTNL_ADD ? RTM_NEWRULE : RTM_DELRULE, op_flags(op), seq);
	body = mnl_nlmsg_put_extra_header(message, sizeof(*body));
	body->family = rule->family;
	body->action = rule->action;
	mnl_attr_put_u32(message, FRA_PRIORITY, rule->priority);
	if (rule->mask) {
		mnl_attr_put_u32(message, FRA_FWMARK, rule->mark);
		mnl_attr_put_u32(message, FRA_FWMASK, rule->mask);
	}
	put_table(message, &body->table, FRA_TABLE, rule->table);
	mnl_attr_put_u8(message, FRA_PROTOCOL, NET_MARK);
	*ret_len = message->nlmsg_len;
	return 0;
}

int rtnl_encode_dump(void *buf, enum rtnl_kind kind, uint8_t family, uint32_t table,
	uint8_t protocol, uint32_t seq, size_t *ret_len)
{
	static const struct {
		uint16_t type;
		size_t size;
	} kinds[] = {
		[RTNL_LINKS] = { RTM_GETLINK, sizeof(struct ifinfomsg) },
		[RTNL_ADDRS] = { RTM_GETADDR, sizeof(struct ifaddrmsg) },
		[RTNL_ROUTES] = { RTM_GETROUTE, sizeof(struct rtmsg) },
		[RTNL_RULES] = { RTM_GETRULE, sizeof(struct fib_rule_hdr) },
	};
	struct nlmsghdr *message = start(buf, kinds[kind].type, NLM_F_DUMP, seq);
	uint8_t *body = mnl_nlmsg_put_extra_header(message, kinds[kind].size);

	/* A dump's end is its acknowledgement. */
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	body[0] = family; /* the first byte of each of the four */
	if (kind == RTNL_ROUTES) {
		((struct rtmsg *)(void *)body)->rtm_protocol = protocol;
		if (table)
			put_table(message, &((struct rtmsg *)(void *)body)->rtm_table, RTA_TABLE,
				table);
	}
	*ret_len = message->nlmsg_len;
	return 0;
}

int rtnl_encode_lookup(void *buf, uint8_t family, const uint8_t dst[16], uint32_t mark,
	uint32_t seq, size_t *ret_len)
{
	struct nlmsghdr *message;
	struct rtmsg *body;

	if (!is_family(family))
		return -EINVAL;
	message = start(buf, RTM_GETROUTE, 0, seq);
	message->nlmsg_flags = NLM_F_REQUEST;
	body = mnl_nlmsg_put_extra_header(message, sizeof(*body));
	body->rtm_family = family;
	body->rtm_dst_len = (uint8_t)(8 * net_family_len(family));
	mnl_attr_put(message, RTA_DST, net_family_len(family), dst);
	if (mark)
		mnl_attr_put_u32(message, RTA_MARK, mark);
	*ret_len = message->nlmsg_len;
	return 0;
}

/* ---- decoding ---- */

/* The body of a message of that type; NULL: it is not, or too short. */
static const void *body_of(const struct nlmsghdr *message, size_t len, uint16_t type, size_t size)
{
	if (len < sizeof(*message) || message->nlmsg_len < sizeof(*message) ||
		message->nlmsg_len > len || message->nlmsg_type != type ||
		mnl_nlmsg_get_payload_len(message) < NLMSG_ALIGN((uint32_t)size))
		return NULL;
	return mnl_nlmsg_get_payload(message);
}

/* By type. 64 are more than any kind looks for, and fit the bits in rtnl_decode_rule(). */
struct attrs {
	const struct nlattr *of[64]; /* NULL: not there */
};

/* Later ones of a type win, as in the kernel. -EBADMSG: what is there is no row of attributes. */
static int collect_from(const uint8_t *p, const uint8_t *end, struct attrs *ret_attrs)
{
	*ret_attrs = (struct attrs){ 0 };
	while (end - p >= (ptrdiff_t)sizeof(struct nlattr)) {
		const struct nlattr *attr = (const void *)p;
		uint16_t type = mnl_attr_get_type(attr);

		if (attr->nla_len < sizeof(*attr) || attr->nla_len > end - p)
			return -EBADMSG;
		if (type < 64)
			ret_attrs->of[type] = attr;
		if ((ptrdiff_t)NLMSG_ALIGN((uint32_t)attr->nla_len) >= end - p)
			return 0;
		p += NLMSG_ALIGN((uint32_t)attr->nla_len);
	}
	return p == end ? 0 : -EBADMSG;
}

static int collect(const struct nlmsghdr *message, size_t header, struct attrs *ret_attrs)
{
	const uint8_t *begin = mnl_nlmsg_get_payload(message);

	return collect_from(begin + NLMSG_ALIGN((uint32_t)header),
		(const uint8_t *)message + message->nlmsg_len, ret_attrs);
}

/* Exactly `size` bytes of an attribute, if it is there: false if it has another size. */
static bool get(const struct attrs *attrs, unsigned type, void *ret, size_t size)
{
	const struct nlattr *attr = attrs->of[type];

	if (!attr)
		return true;
	if (mnl_attr_get_payload_len(attr) != size)
		return false;
	memcpy(ret, mnl_attr_get_payload(attr), size);
	return true;
}

static bool get_name(const struct attrs *attrs, unsigned type, char ret_name[IFNAMSIZ])
{
	const struct nlattr *attr = attrs->of[type];
	size_t len;

	if (!attr)
		return false;
	len = mnl_attr_get_payload_len(attr);
	if (len == 0 || len > IFNAMSIZ || strnlen(mnl_attr_get_payload(attr), len) != len - 1)
		return false;
	memset(ret_name, 0, IFNAMSIZ);
	memcpy(ret_name, mnl_attr_get_payload(attr), len);
	return true;
}

int rtnl_decode_link(const struct nlmsghdr *message, size_t len, struct net_link *ret_link)
{
	const struct ifinfomsg *body = body_of(message, len, RTM_NEWLINK, sizeof(*body));
	struct net_link link = { 0 };
	struct attrs attrs;

	if (!body || body->ifi_index <= 0 || collect(message, sizeof(*body), &attrs) < 0 ||
		!get_name(&attrs, IFLA_IFNAME, link.name) ||
		!get(&attrs, IFLA_MTU, &link.mtu, sizeof(link.mtu)))
		return -EBADMSG;
	link.index = (uint32_t)body->ifi_index;
	link.type = body->ifi_type;
	link.up = body->ifi_flags & IFF_UP;
	link.running = body->ifi_flags & (1U << 16); /* IFF_LOWER_UP, which net/if.h lacks */
	link.loopback = body->ifi_flags & IFF_LOOPBACK;
	*ret_link = link;
	return 0;
}

int rtnl_decode_addr(const struct nlmsghdr *message, size_t len, struct net_addr *ret_addr)
{
	const struct ifaddrmsg *body = body_of(message, len, RTM_NEWADDR, sizeof(*body));
	struct ifa_cacheinfo life = { .ifa_prefered = 1 };
	struct net_addr addr = { 0 };
	struct attrs attrs;
	size_t bytes;

	if (!body || !is_family(body->ifa_family) || collect(message, sizeof(*body), &attrs) < 0)
		return -EBADMSG;
	bytes = net_family_len(body->ifa_family);
	addr.flags = body->ifa_flags;
	/* The local address; IFA_ADDRESS is the peer's where there is one. */
	if ((!attrs.of[IFA_LOCAL] && !attrs.of[IFA_ADDRESS]) ||
		!get(&attrs, IFA_ADDRESS, addr.addr, bytes) ||
		!get(&attrs, IFA_LOCAL, addr.addr, bytes) ||
		!get(&attrs, IFA_FLAGS, &addr.flags, sizeof(addr.flags)) ||
		!get(&attrs, IFA_PROTO, &addr.protocol, sizeof(addr.protocol)) ||
		!get(&attrs, IFA_CACHEINFO, &life, sizeof(life)))
		return -EBADMSG;
	addr.family = body->ifa_family;
	addr.prefix_len = body->ifa_prefixlen;
	addr.scope = body->ifa_scope;
	addr.index = body->ifa_index;
	addr.unpreferred = life.ifa_prefered == 0;
	*ret_addr = addr;
	return 0;
}

/* 0 also for metrics that make no sense, which are no reason to pass over the route. */
static uint32_t mtu_of(const struct nlattr *metrics)
{
	const uint8_t *p = mnl_attr_get_payload(metrics);
	size_t len = mnl_attr_get_payload_len(metrics);
	struct attrs attrs;
	uint32_t mtu = 0;

	if (collect_from(p, p + len, &attrs) < 0 || !get(&attrs, RTAX_MTU, &mtu, sizeof(mtu)))
		return 0;
	return mtu;
}

int rtnl_decode_route(const struct nlmsghdr *message, size_t len, struct net_route *ret_route)
{
	const struct rtmsg *body = body_of(message, len, RTM_NEWROUTE, sizeof(*body));
	struct net_route route = { 0 };
	struct attrs attrs;
	size_t bytes;

	if (!body || !is_family(body->rtm_family) || collect(message, sizeof(*body), &attrs) < 0)
		return -EBADMSG;
	bytes = net_family_len(body->rtm_family);
	route.table = body->rtm_table;
	if (!get(&attrs, RTA_DST, route.dst, bytes) ||
		!get(&attrs, RTA_GATEWAY, route.gateway, bytes) ||
		!get(&attrs, RTA_PREFSRC, route.source, bytes) ||
		!get(&attrs, RTA_TABLE, &route.table, sizeof(route.table)) ||
		!get(&attrs, RTA_PRIORITY, &route.metric, sizeof(route.metric)) ||
		!get(&attrs, RTA_OIF, &route.index, sizeof(route.index)))
		return -EBADMSG;
	route.family = body->rtm_family;
	route.type = body->rtm_type;
	route.protocol = body->rtm_protocol;
	route.scope = body->rtm_scope;
	route.dst_len = body->rtm_dst_len;
	if (attrs.of[RTA_METRICS])
		route.mtu = mtu_of(attrs.of[RTA_METRICS]);
	*ret_route = route;
	return 0;
}

int rtnl_decode_rule(const struct nlmsghdr *message, size_t len, struct net_rule *ret_rule)
{
	/* What does not narrow a rule down, or is shown. The kernel tells SUPPRESS_PREFIXLEN of
	 * every rule, as -1 if there is none. What a newer one may add counts as narrowing down, so
	 * no such rule is ever taken for one that is wanted. */
	static const uint64_t plain = 1ULL << FRA_UNSPEC | 1ULL << FRA_PRIORITY |
				      1ULL << FRA_FWMARK | 1ULL << FRA_FWMASK | 1ULL << FRA_TABLE |
				      1ULL << FRA_PROTOCOL | 1ULL << FRA_SUPPRESS_PREFIXLEN |
				      1ULL << FRA_PAD;
	const struct fib_rule_hdr *body = body_of(message, len, RTM_NEWRULE, sizeof(*body));
	struct net_rule rule = { 0 };
	int32_t suppress = -1;
	struct attrs attrs;

	if (!body || !is_family(body->family) || collect(message, sizeof(*body), &attrs) < 0)
		return -EBADMSG;
	rule.table = body->table;
	if (!get(&attrs, FRA_PRIORITY, &rule.priority, sizeof(rule.priority)) ||
		!get(&attrs, FRA_FWMARK, &rule.mark, sizeof(rule.mark)) ||
		!get(&attrs, FRA_FWMASK, &rule.mask, sizeof(rule.mask)) ||
		!get(&attrs, FRA_TABLE, &rule.table, sizeof(rule.table)) ||
		!get(&attrs, FRA_SUPPRESS_PREFIXLEN, &suppress, sizeof(suppress)) ||
		!get(&attrs, FRA_PROTOCOL, &rule.protocol, sizeof(rule.protocol)))
		return -EBADMSG;
	rule.family = body->family;
	rule.action = body->action;
	rule.narrow = body->dst_len || body->src_len || body->tos || suppress != -1 ||
		      body->flags & FIB_RULE_INVERT;
	for (unsigned i = 0; i < 64; i++)
		rule.narrow = rule.narrow || (attrs.of[i] && !(plain >> i & 1));
	*ret_rule = rule;
	return 0;
}
