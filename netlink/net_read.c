#include "net_read.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "rtnl.h"

/* One dump: where its objects go, and how many there were of each kind before it began. */
struct reading {
	struct net_state *state;
	enum rtnl_kind kind;
	enum net_read_routes routes;
	size_t before;
};

static size_t *count_of(struct net_state *state, enum rtnl_kind kind)
{
	switch (kind) {
	case RTNL_LINKS:
		return &state->n_links;
	case RTNL_ADDRS:
		return &state->n_addrs;
	case RTNL_ROUTES:
		return &state->n_routes;
	case RTNL_RULES:
		break;
	}
	return &state->n_rules;
}

static int take_link(struct reading *reading, const struct nlmsghdr *message, size_t len)
{
	struct net_link link;

	return rtnl_decode_link(message, len, &link) < 0
		       ? 0
		       : net_state_add_link(reading->state, &link);
}

static int take_addr(struct reading *reading, const struct nlmsghdr *message, size_t len)
{
	struct net_addr addr;

	return rtnl_decode_addr(message, len, &addr) < 0
		       ? 0
		       : net_state_add_addr(reading->state, &addr);
}

static int take_route(struct reading *reading, const struct nlmsghdr *message, size_t len)
{
	struct net_route route;

	if (rtnl_decode_route(message, len, &route) < 0 ||
		(reading->routes == NET_READ_OURS && route.protocol != NET_MARK))
		return 0;
	return net_state_add_route(reading->state, &route);
}

static int take_rule(struct reading *reading, const struct nlmsghdr *message, size_t len)
{
	struct net_rule rule;

	return rtnl_decode_rule(message, len, &rule) < 0
		       ? 0
		       : net_state_add_rule(reading->state, &rule);
}

/* What cannot be made sense of is not ours, and is passed over. */
static int take(void *userdata, const struct nlmsghdr *message, size_t len)
{
	struct reading *reading = userdata;

	switch (reading->kind) {
	case RTNL_LINKS:
		return take_link(reading, message, len);
	case RTNL_ADDRS:
		return take_addr(reading, message, len);
	case RTNL_ROUTES:
		return take_route(reading, message, len);
	case RTNL_RULES:
		return take_rule(reading, message, len);
	}
	return -EINVAL;
}

static void restart(void *userdata)
{
	struct reading *reading = userdata;

	*count_of(reading->state, reading->kind) = reading->before;
}

static int read_kind(struct nl_channel *channel, enum rtnl_kind kind, uint8_t family,
	enum net_read_routes routes, struct net_state *state)
{
	struct reading reading = {
		.state = state,
		.kind = kind,
		.routes = routes,
		.before = *count_of(state, kind),
	};
	_Alignas(8) uint8_t buf[RTNL_MESSAGE_MAX];
	size_t len = 0;
	int err;

	err = rtnl_encode_dump(buf, kind, family, 0,
		kind == RTNL_ROUTES && routes == NET_READ_OURS ? NET_MARK : 0,
		nl_channel_next_seq(channel), &len);
	return err ? err : nl_channel_query(channel, buf, len, take, restart, &reading);
}

static void name_link(const struct net_state *state, uint32_t index, char ret_name[IFNAMSIZ])
{
	const struct net_link *link = net_state_find_index(state, index);

	if (link)
		memcpy(ret_name, link->name, IFNAMSIZ);
}

int net_read_state(
	struct nl_channel *channel, enum net_read_routes routes, struct net_state *ret_state)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	struct net_state state = { 0 };
	int err;

	/* Links first: what was made on one that came later has no name, and is looked at again. */
	err = read_kind(channel, RTNL_LINKS, AF_UNSPEC, routes, &state);
	for (size_t i = 0; i < 2 && !err; i++) {
		err = read_kind(channel, RTNL_ADDRS, families[i], routes, &state);
		if (!err)
			err = read_kind(channel, RTNL_RULES, families[i], routes, &state);
		if (!err)
			err = read_kind(channel, RTNL_ROUTES, families[i], routes, &state);
		/* A kernel without IPv6 has nothing of it. */
		if (families[i] == AF_INET6 && (err == -EAFNOSUPPORT || err == -EOPNOTSUPP))
			err = 0;
	}
	if (err) {
		net_state_clear(&state);
		return err;
	}
	for (size_t i = 0; i < state.n_addrs; i++)
		name_link(&state, state.addrs[i].index, state.addrs[i].ifname);
	for (size_t i = 0; i < state.n_routes; i++)
		name_link(&state, state.routes[i].index, state.routes[i].ifname);
	*ret_state = state;
	return 0;
}

static int take_lookup(void *userdata, const struct nlmsghdr *message, size_t len)
{
	return rtnl_decode_route(message, len, userdata);
}

int net_read_lookup(struct nl_channel *channel, uint8_t family, const uint8_t dst[16],
	uint32_t mark, struct net_route *ret_route)
{
	_Alignas(8) uint8_t buf[RTNL_MESSAGE_MAX];
	struct net_state links = { 0 };
	struct net_route route = { 0 };
	size_t len = 0;
	int err;

	err = rtnl_encode_lookup(buf, family, dst, mark, nl_channel_next_seq(channel), &len);
	if (!err)
		err = nl_channel_query(channel, buf, len, take_lookup, NULL, &route);
	if (!err)
		err = read_kind(channel, RTNL_LINKS, AF_UNSPEC, NET_READ_ALL, &links);
	if (!err) {
		name_link(&links, route.index, route.ifname);
		*ret_route = route;
	}
	net_state_clear(&links);
	return err;
}
