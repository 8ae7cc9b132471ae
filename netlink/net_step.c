#include "net_step.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdalign.h>
#include <string.h>

#include "nft_table.h"
#include "rtnl.h"

/* What a dump is looked through for. */
struct search {
	const struct net_step *step;
	bool found; /* the same thing is there */
	bool ours;  /* and carries our mark */
};

static void note(struct search *search, bool same, uint8_t protocol)
{
	search->found |= same;
	search->ours |= same && protocol == NET_MARK;
}

static int take_addr(void *userdata, const struct nlmsghdr *message, size_t len)
{
	struct search *search = userdata;
	const struct net_addr *want = &search->step->addr;
	struct net_addr addr;

	/* What cannot be made sense of is not ours, here and below. */
	if (rtnl_decode_addr(message, len, &addr) || addr.index != want->index)
		return 0;
	/* The index is the link; its name may have changed since. */
	memcpy(addr.ifname, want->ifname, sizeof(addr.ifname));
	note(search, net_addr_same(&addr, want), addr.protocol);
	return 0;
}

static bool is_own_address(const struct net_route *route)
{
	return route->type == RTN_LOCAL && route->dst_len == 8 * net_family_len(route->family);
}

static int take_route(void *userdata, const struct nlmsghdr *message, size_t len)
{
	struct search *search = userdata;
	const struct net_route *want = &search->step->route;
	struct net_route route;

	if (rtnl_decode_route(message, len, &route))
		return 0;
	/* A route that needs no link may have one: IPv6 says "lo". An address of this machine is
	 * one, whatever link it is on. */
	if (want->index && route.index != want->index && !is_own_address(want))
		return 0;
	route.index = want->index;
	memcpy(route.ifname, want->ifname, sizeof(route.ifname));
	note(search, net_route_same(&route, want), route.protocol);
	return 0;
}

static int take_rule(void *userdata, const struct nlmsghdr *message, size_t len)
{
	struct search *search = userdata;
	struct net_rule rule;

	if (rtnl_decode_rule(message, len, &rule))
		return 0;
	note(search, !rule.narrow && net_rule_same(&rule, &search->step->rule), rule.protocol);
	return 0;
}

static void forget(void *userdata)
{
	struct search *search = userdata;

	search->found = false;
	search->ours = false;
}

/* Looks whether the step's object is in the kernel now. */
static int look_up(struct nl_channel *channel, struct search *search)
{
	alignas(8) unsigned char buf[RTNL_MESSAGE_MAX];
	const struct net_step *step = search->step;
	enum rtnl_kind kind = RTNL_ADDRS;
	nl_answer_take *take = take_addr;
	uint8_t family = step->addr.family;
	uint32_t table = 0;
	size_t len;
	int err;

	if (step->kind == NET_STEP_ROUTE) {
		kind = RTNL_ROUTES;
		take = take_route;
		family = step->route.family;
		table = step->route.table;
	} else if (step->kind == NET_STEP_RULE) {
		kind = RTNL_RULES;
		take = take_rule;
		family = step->rule.family;
	}
	err = rtnl_encode_dump(buf, kind, family, table, 0, nl_channel_next_seq(channel), &len);
	if (!err)
		err = nl_channel_query(channel, buf, len, take, forget, search);
	return err == -ENOENT ? 0 : err; /* there is no such table */
}

static int request(struct nl_channel *channel, const struct net_step *step)
{
	alignas(8) unsigned char buf[RTNL_MESSAGE_MAX];
	enum rtnl_op op = step->remove ? RTNL_REMOVE : RTNL_ADD;
	uint32_t seq = nl_channel_next_seq(channel);
	struct net_rule rule;
	size_t len;
	int err = -EINVAL;

	if (step->kind == NET_STEP_ADDR) {
		err = rtnl_encode_addr(buf, op, seq, &step->addr, &len);
	} else if (step->kind == NET_STEP_ROUTE) {
		err = rtnl_encode_route(buf, op, seq, &step->route, &len);
	} else if (step->kind == NET_STEP_RULE) {
		rule = step->rule;
		/* What makes it narrow need not be told to remove it. The kernel takes the first of
		 * ours that fits; if that is the wrong one, the next plan puts it back. */
		rule.narrow = rule.narrow && !step->remove;
		err = rtnl_encode_rule(buf, op, seq, &rule, &len);
	}
	return err ? err : nl_channel_request(channel, buf, len, seq);
}

/*
 * EEXIST may be said of the same thing, or of another that excludes it (an address with another
 * length, a route with the same metric elsewhere): only looking tells which.
 */
static int add(struct nl_channel *channel, const struct net_step *step, bool *ret_changed)
{
	struct search search = { .step = step };
	int err = request(channel, step);

	if (err == -EEXIST) {
		err = look_up(channel, &search);
		if (err)
			return err;
		if (!search.found)
			return -EEXIST;
		*ret_changed = false;
		return 0;
	}
	if (!err)
		*ret_changed = true;
	return err;
}

/* Whether the kernel says that what is to be removed is not there. */
static bool is_gone(enum net_step_kind kind, int err)
{
	if (err == -ENODEV) /* the link is gone, and took it along */
		return true;
	if (kind == NET_STEP_ADDR)
		return err == -EADDRNOTAVAIL;
	return err == -ESRCH || err == -ENOENT;
}

/* The kernel compares the protocol of routes and rules, and not that of addresses. */
static int remove_ours(struct nl_channel *channel, const struct net_step *step, bool *ret_changed)
{
	struct search search = { .step = step };
	int err;

	if (step->kind == NET_STEP_ADDR) {
		err = look_up(channel, &search);
		if (err)
			return err;
		if (!search.ours) {
			*ret_changed = false;
			return 0;
		}
	}
	err = request(channel, step);
	if (err && !is_gone(step->kind, err))
		return err;
	*ret_changed = err == 0;
	return 0;
}

int net_step_run(struct net_channels *channels, const struct net_step *step,
	const struct net_wanted *wanted, bool *ret_changed)
{
	int err;

	if (step->kind != NET_STEP_NFT)
		return step->remove ? remove_ours(&channels->route, step, ret_changed)
				    : add(&channels->route, step, ret_changed);
	if (channels->nft.fd < 0)
		return -EPROTONOSUPPORT;
	err = nft_table_replace(&channels->nft, &wanted->nft);
	if (!err)
		*ret_changed = true;
	return err;
}

int net_step_is_done(struct net_channels *channels, const struct net_step *step, bool *ret_done)
{
	struct search search = { .step = step };
	int err;

	if (step->kind == NET_STEP_NFT || step->remove) {
		*ret_done = false;
		return 0;
	}
	err = look_up(&channels->route, &search);
	if (!err)
		*ret_done = search.found;
	return err;
}
