#include "net_wanted.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind.h"
#include "prefix.h"

/*
 * Of two that are alike but for the protocol, that of TCP is the first: qsort(3) keeps no order of
 * equals, and the rules must be the same each time, or the table would be put anew for nothing.
 */
static int compare_binds(const void *a, const void *b)
{
	const struct config_bind *const *x = a, *const *y = b;
	int order = bind_compare(*x, *y);

	return order ? order : (*x)->protocol - (*y)->protocol;
}

static void put_host(const struct sockaddr_any *addr, uint8_t ret_bytes[16])
{
	memset(ret_bytes, 0, 16);
	if (sockaddr_family(addr) == AF_INET)
		memcpy(ret_bytes, &addr->in.sin_addr, 4);
	else
		memcpy(ret_bytes, &addr->in6.sin6_addr, 16);
}

/* ---- addresses ---- */

/* The name of the link is all that is known of it: the plan finds its index. */
static int add_addr(struct net_wanted *wanted, const struct config_address *address,
	const char *ifname, bool vip)
{
	struct net_addr addr = {
		.family = (uint8_t)sockaddr_family(&address->addr),
		.prefix_len = address->prefix_len,
		.scope = RT_SCOPE_UNIVERSE,
		.protocol = NET_MARK,
		.unpreferred = vip && sockaddr_family(&address->addr) == AF_INET6,
	};

	/* The kernel has one scope for all addresses of a subnet. */
	if (vip && addr.family == AF_INET && addr.prefix_len == 32)
		addr.scope = RT_SCOPE_HOST;
	put_host(&address->addr, addr.addr);
	snprintf(addr.ifname, sizeof(addr.ifname), "%s", ifname);
	return net_state_add_addr(&wanted->net, &addr);
}

static int add_addrs(const struct config_network *network, struct net_wanted *wanted)
{
	int err = 0;

	for (size_t i = 0; i < network->n_addrs && !err; i++)
		err = add_addr(wanted, &network->addrs[i], network->interface, true);
	for (size_t i = 0; i < network->n_sources && !err; i++)
		err = add_addr(wanted, &network->sources[i], network->source_interface, false);
	return err;
}

static bool is_vip(const struct config_network *network, const struct config_bind *bind)
{
	uint8_t a[16], b[16];

	if (bind->prefix_len != prefix_full_len(&bind->addr))
		return false;
	put_host(&bind->addr, a);
	for (size_t i = 0; i < network->n_addrs; i++) {
		put_host(&network->addrs[i].addr, b);
		if (sockaddr_family(&network->addrs[i].addr) == sockaddr_family(&bind->addr) &&
			memcmp(a, b, sizeof(a)) == 0)
			return true;
	}
	return false;
}

bool net_wanted_brings(const struct config *config, const struct config_bind *bind)
{
	const struct prefix own = { bind->addr, bind->prefix_len };

	if (is_vip(&config->network, bind))
		return true;
	for (size_t i = 0; i < config->n_listeners; i++)
		for (size_t b = 0; b < config->listeners[i].n_binds; b++) {
			const struct config_bind *other = &config->listeners[i].binds[b];
			const struct prefix wide = { other->addr, other->prefix_len };

			if (config_bind_diverted(other) && wide.len > 0 && wide.len <= own.len &&
				prefix_overlaps(&wide, &own))
				return true;
		}
	return false;
}

/* ---- routes and rules ---- */

/* Once, though two listeners (TCP and UDP, or of other ports) may ask for the same. */
static int add_route(struct net_wanted *wanted, struct net_route *route)
{
	route->type = RTN_LOCAL;
	route->protocol = NET_MARK;
	route->scope = route->family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
	memcpy(route->ifname, "lo", sizeof("lo"));
	for (size_t i = 0; i < wanted->net.n_routes; i++)
		if (net_route_same(&wanted->net.routes[i], route))
			return 0;
	return net_state_add_route(&wanted->net, route);
}

/*
 * Makes what the bind names an address of this machine. Not needed for a bind to all addresses,
 * which is about those that there are, nor for a VIP, which brings its own local route.
 */
static int add_local_route(
	const struct config *config, const struct config_bind *bind, struct net_wanted *wanted)
{
	struct net_route route = {
		.family = (uint8_t)sockaddr_family(&bind->addr),
		.dst_len = bind->prefix_len,
		.table = RT_TABLE_LOCAL,
	};

	if (!config_bind_diverted(bind) || bind->prefix_len == 0 || is_vip(&config->network, bind))
		return 0;
	put_host(&bind->addr, route.dst);
	return add_route(wanted, &route);
}

/*
 * Answers of servers to a client's own address have to come to us: what has the mark is looked up
 * in a table in which every address is local. IPv4 only, as servers are. The mask is the mark, so
 * bits that others use do not matter.
 */
static int add_transparent(const struct config_network *network, struct net_wanted *wanted)
{
	struct net_route route = { .family = AF_INET, .table = network->table };
	struct net_rule rule = {
		.family = AF_INET,
		.action = FR_ACT_TO_TBL,
		.protocol = NET_MARK,
		.priority = network->priority,
		.table = network->table,
		.mark = network->mark,
		.mask = network->mark,
	};
	int err = add_route(wanted, &route);

	return err ? err : net_state_add_rule(&wanted->net, &rule);
}

/* ---- packet filter ---- */

static int add_nft(struct nft_wanted *wanted, const struct nft_rule *rule)
{
	struct nft_rule *bigger =
		reallocarray(wanted->rules, wanted->n_rules + 1, sizeof(*wanted->rules));

	if (!bigger)
		return -ENOMEM;
	wanted->rules = bigger;
	wanted->rules[wanted->n_rules++] = *rule;
	return 0;
}

static int add_bind_rule(
	struct nft_wanted *wanted, enum nft_rule_kind kind, const struct config_bind *bind)
{
	struct nft_rule rule = {
		.kind = kind,
		.family = (uint8_t)sockaddr_family(&bind->addr),
		.l4proto = bind->protocol,
		.prefix_len = bind->prefix_len,
		.port_min = sockaddr_port(&bind->addr),
		.port_max = bind->port_max,
	};

	put_host(&bind->addr, rule.addr);
	if (kind == NFT_RULE_DIVERT) {
		memcpy(rule.to, rule.addr, sizeof(rule.to));
		rule.to_port = rule.port_min;
	}
	return add_nft(wanted, &rule);
}

/* An ordinary listener in the midst of a diverted one has to be spared. */
static bool is_covered(
	const struct config_bind *const *binds, size_t n, const struct config_bind *bind)
{
	for (size_t i = 0; i < n; i++)
		if (config_bind_diverted(binds[i]) && bind_covers(binds[i], bind))
			return true;
	return false;
}

static bool holds_source(const struct config *config, const struct config_bind *bind)
{
	const struct prefix wide = { bind->addr, bind->prefix_len };

	for (size_t i = 0; i < config->network.n_sources; i++) {
		const struct prefix source = { config->network.sources[i].addr, 32 };

		if (prefix_overlaps(&wide, &source))
			return true;
	}
	for (size_t i = 0; i < config->n_pools; i++)
		for (size_t s = 0; s < config->pools[i].n_sources; s++) {
			const struct prefix source = { config->pools[i].sources[s], 32 };

			if (prefix_overlaps(&wide, &source))
				return true;
		}
	return false;
}

/* Ports from which this machine may have connections of its own must stay tracked. */
static bool may_go_untracked(const struct config *config, const struct config_bind *bind)
{
	bool own = bind->prefix_len == 0 || bind->prefix_len == prefix_full_len(&bind->addr) ||
		   holds_source(config, bind);

	return sockaddr_port(&bind->addr) == bind->port_max || !own ||
	       is_vip(&config->network, bind);
}

/*
 * binds: the narrower first, as the first rule that has the packet decides. Those of "notrack" are
 * in other chains, so that they come last means nothing.
 */
static int add_bind_rules(const struct config *config, const struct config_bind *const *binds,
	size_t n, bool notrack, struct nft_wanted *wanted)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		if (config_bind_diverted(binds[i])) {
			err = add_bind_rule(wanted, NFT_RULE_DIVERT, binds[i]);
			/* Without our socket they would find a service of the gateway's own. */
			if (!err)
				err = add_bind_rule(wanted, NFT_RULE_REFUSE, binds[i]);
		} else if (is_covered(binds, n, binds[i]))
			err = add_bind_rule(wanted, NFT_RULE_PASS, binds[i]);
	}
	for (size_t i = 0; i < n && notrack && !err; i++)
		if (may_go_untracked(config, binds[i]))
			err = add_bind_rule(wanted, NFT_RULE_NOTRACK, binds[i]);
	return err;
}

/* ---- the whole ---- */

static size_t collect_binds(const struct config *config, const struct config_bind **binds)
{
	size_t n = 0;

	for (size_t i = 0; i < config->n_listeners; i++)
		for (size_t b = 0; b < config->listeners[i].n_binds; b++, n++)
			if (binds)
				binds[n] = &config->listeners[i].binds[b];
	return n;
}

static bool has_transparent(const struct config *config)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].identity == IDENTITY_TRANSPARENT)
			return true;
	return false;
}

static bool wants_notrack(const struct config_network *network, bool has_conntrack)
{
	if (!network->given)
		return false; /* nobody asked us to look after conntrack */
	return network->notrack == CONFIG_NOTRACK_YES ||
	       (network->notrack == CONFIG_NOTRACK_AUTO && has_conntrack);
}

int net_wanted_make(const struct config *config, bool has_conntrack, struct net_wanted *ret_wanted)
{
	const struct config_network *network = &config->network;
	struct net_wanted wanted = { 0 };
	struct nft_rule transparent = {
		.kind = NFT_RULE_TRANSPARENT,

		.family = AF_INET,
		.l4proto = IPPROTO_TCP,
		.mark = network->mark,
		.mask = network->mark,
	};
	const struct config_bind **binds;
	size_t n = collect_binds(config, NULL);
	int err = 0;

	if (!config_needs_network(config)) {
		*ret_wanted = wanted;
		return 0;
	}
	binds = calloc(n + 1, sizeof(const struct config_bind *));
	if (!binds)
		return -ENOMEM;
	(void)collect_binds(config, binds);
	qsort(binds, n, sizeof(const struct config_bind *), compare_binds);
	err = add_addrs(network, &wanted);
	for (size_t i = 0; i < n && !err; i++)
		err = add_local_route(config, binds[i], &wanted);
	/* First of the chain: a packet that a bind's rule accepts gets to no rule behind that. */
	if (!err && has_transparent(config)) {
		err = add_transparent(network, &wanted);
		if (!err)
			err = add_nft(&wanted.nft, &transparent);
		transparent.kind = NFT_RULE_WILDCARD;
		if (!err)
			err = add_nft(&wanted.nft, &transparent);
	}
	if (!err)
		err = add_bind_rules(
			config, binds, n, wants_notrack(network, has_conntrack), &wanted.nft);
	free(binds);
	if (err) {
		net_wanted_clear(&wanted);
		return err;
	}
	*ret_wanted = wanted;
	return 0;
}

bool net_wanted_has_conntrack(void)
{
	return access("/proc/sys/net/netfilter/nf_conntrack_max", F_OK) == 0;
}
