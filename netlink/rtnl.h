/*
 * rtnl - messages of rtnetlink to and from plain data: no socket, no state.
 *
 * Sources: linux/rtnetlink.h, linux/if_addr.h, linux/fib_rules.h, rtnetlink(7). Built with libmnl:
 * libnl-route 3.7 of Debian 12 knows no protocol of addresses, by which we tell ours.
 *
 * Encoders write one whole message with NLM_F_REQUEST | NLM_F_ACK into buf (at least
 * RTNL_MESSAGE_MAX bytes, aligned to 8) and return its length in ret_len; 0 or -EINVAL for a shape
 * that cannot be said. Decoders take any bytes: -EBADMSG for a message that is not well-formed or
 * not of their kind, and then the output is untouched. Attributes that they do not know are passed
 * over.
 *
 * Byte order: rtnetlink has all numbers in the machine's own; only addresses are in network order,
 * with as many bytes as their family has. Tables are told twice, since the header has 8 bits for
 * them: there, if they fit, and whole in an attribute. Of what is looked at nothing is nested
 * but a route's metrics (RTA_METRICS, which holds RTAX_*).
 */
#pragma once

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

#include "net_state.h"

#define RTNL_MESSAGE_MAX 512

enum rtnl_op {
	RTNL_ADD,    /* NLM_F_CREATE | NLM_F_EXCL: never replaces anything */
	RTNL_REMOVE, /* only what carries our mark, by protocol; of addresses see net_apply.h */
};

enum rtnl_kind { RTNL_LINKS, RTNL_ADDRS, RTNL_ROUTES, RTNL_RULES };

/*
 * addr->index must be set; a wanted address gets IFA_F_NODAD for IPv6, its scope, its lifetimes:
 * forever, and if it is unpreferred with a preferred one of 0. Kernels before 5.18 take the mark
 * (IFA_PROTO) without a word and do not keep it.
 */
int rtnl_encode_addr(
	void *buf, enum rtnl_op op, uint32_t seq, const struct net_addr *addr, size_t *ret_len);
/*
 * route->index must be set for types that have a link. mtu is not told. To remove an IPv4 route its
 * scope must be the one that it has: the kernel compares it.
 */
int rtnl_encode_route(
	void *buf, enum rtnl_op op, uint32_t seq, const struct net_route *route, size_t *ret_len);
/* -EINVAL also for one that is narrow: its selectors are not in the struct. */
int rtnl_encode_rule(
	void *buf, enum rtnl_op op, uint32_t seq, const struct net_rule *rule, size_t *ret_len);

/*
 * A dump of all of a kind and family (AF_UNSPEC: links have none); of routes only those of table
 * (0: all) and protocol (0: all), if the kernel filters (NETLINK_GET_STRICT_CHK): who asks has to
 * look.
 */
int rtnl_encode_dump(void *buf, enum rtnl_kind kind, uint8_t family, uint32_t table,
	uint8_t protocol, uint32_t seq, size_t *ret_len);

/*
 * "Which route would a packet to dst take?": RTM_GETROUTE. mark 0: none. The answer is one message
 * of a route, or the kernel's error, and no acknowledgement beside it.
 */
int rtnl_encode_lookup(void *buf, uint8_t family, const uint8_t dst[16], uint32_t mark,
	uint32_t seq, size_t *ret_len);

/*
 * RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE, RTM_NEWRULE, of len bytes that are there. Of the last
 * three ifname is left empty: names are those of links (net_read.c). Of a route by several gateways
 * the gateway is zero.
 */
int rtnl_decode_link(const struct nlmsghdr *message, size_t len, struct net_link *ret_link);
int rtnl_decode_addr(const struct nlmsghdr *message, size_t len, struct net_addr *ret_addr);
int rtnl_decode_route(const struct nlmsghdr *message, size_t len, struct net_route *ret_route);
int rtnl_decode_rule(const struct nlmsghdr *message, size_t len, struct net_rule *ret_rule);
