/*
 * net_state - links, addresses, routes and rules of the kernel, as plain data.
 *
 * Both sides of a comparison use these shapes: what was read from the kernel (net_read.h) and what
 * is wanted (net_plan.h). Addresses are in network order in the first 4 or 16 bytes of their array,
 * the rest is zero; everything else is in host order.
 *
 * Everything of ours carries NET_MARK as its protocol: addresses (IFA_PROTO, Linux 5.18), routes
 * (rtm_protocol) and rules (FRA_PROTOCOL). What does not carry it is never changed or removed.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_MARK 166

struct net_link {
	uint32_t index; /* 1 or more */
	uint32_t mtu;	/* bytes */
	uint16_t type;	/* ARPHRD_* of net/if_arp.h */
	char name[IFNAMSIZ];
	bool up;      /* IFF_UP: as the administrator wants it */
	bool running; /* IFF_LOWER_UP: it has a carrier */
	bool loopback;
};

struct net_addr {
	uint8_t family;	    /* AF_INET or AF_INET6 */
	uint8_t prefix_len; /* of the subnet on the link, up to 32 or 128 */
	uint8_t scope;	    /* RT_SCOPE_* */
	uint8_t protocol;   /* NET_MARK: ours; 0: the kernel did not say (before 5.18) */
	uint8_t addr[16];
	uint32_t flags;	       /* IFA_F_*: tentative, failed, nodad, deprecated, ... */
	uint32_t index;	       /* of the link; 0 in what is wanted */
	char ifname[IFNAMSIZ]; /* of the link; "" if it is gone */
	bool unpreferred; /* preferred lifetime 0: never chosen as source if there is another */
};

struct net_route {
	uint8_t family;
	uint8_t type;	  /* RTN_UNICAST, RTN_LOCAL, RTN_BLACKHOLE, ... */
	uint8_t protocol; /* NET_MARK: ours */
	uint8_t scope;	  /* RT_SCOPE_*; of IPv6 always RT_SCOPE_UNIVERSE */
	uint8_t dst_len;  /* 0: the default route */
	uint8_t dst[16];
	uint8_t gateway[16]; /* zero: none */
	uint8_t source[16];  /* preferred source; zero: none */
	uint32_t table;
	uint32_t metric;       /* 0: the kernel chose none */
	uint32_t mtu;	       /* RTAX_MTU; 0: not set */
	uint32_t index;	       /* outgoing link; 0: none, or in what is wanted */
	char ifname[IFNAMSIZ]; /* of that link */
};

struct net_rule {
	uint8_t family;
	uint8_t action;	   /* FR_ACT_TO_TBL, ... */
	uint8_t protocol;  /* NET_MARK: ours */
	bool narrow;	   /* has a selector that is not shown here: source, interface, port, ... */
	uint32_t priority; /* the lower one is asked first */
	uint32_t table;	   /* of FR_ACT_TO_TBL */
	uint32_t mark;
	uint32_t mask; /* 0: any mark */
};

/* Arrays that grow; zeroed, it is empty. Order is that of the kernel's dump, or of adding. */
struct net_state {
	struct net_link *links;
	size_t n_links;
	struct net_addr *addrs;
	size_t n_addrs;
	struct net_route *routes;
	size_t n_routes;
	struct net_rule *rules;
	size_t n_rules;
};

/* Append a copy. 0, or -ENOMEM, and the state is as it was. Any array of its kind may move. */
int net_state_add_link(struct net_state *state, const struct net_link *link);
int net_state_add_addr(struct net_state *state, const struct net_addr *addr);
int net_state_add_route(struct net_state *state, const struct net_route *route);
int net_state_add_rule(struct net_state *state, const struct net_rule *rule);

/* Frees all and leaves an empty state. Pointers into it are good until then, or the next add. */
void net_state_clear(struct net_state *state);

/* The link of that name or index; NULL: there is none. */
const struct net_link *net_state_find_link(const struct net_state *state, const char *name);
const struct net_link *net_state_find_index(const struct net_state *state, uint32_t index);

/*
 * Whether the two name the same thing in the kernel, ours or not: address and prefix length on a
 * link of that name; type, destination, table and link of a route; everything but protocol of a
 * rule.
 */
bool net_addr_same(const struct net_addr *a, const struct net_addr *b);
bool net_route_same(const struct net_route *a, const struct net_route *b);
bool net_rule_same(const struct net_rule *a, const struct net_rule *b);

/* Bytes of an address of the family: 4, or 16 of any other. */
static inline size_t net_family_len(uint8_t family)
{
	return family == 2 /* AF_INET */ ? 4 : 16;
}
