#include "doctor_path.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <net_text.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tlvs.h"

#define MTU_MIN	  1280U /* of IPv6 (RFC 8200): every client's link takes as much */
#define MTU_USUAL 1500U /* Ethernet's */

#define IP_UDP_HEADERS 28U
#define HEADER_OF_IPV4 28U /* PROXY protocol, version 2 */
#define HEADER_OF_IPV6 52U

static void text_of(const struct doctor_backend *backend, char buf[NET_TEXT_ADDR_MAX])
{
	uint8_t bytes[16];

	doctor_bytes(&backend->addr, bytes);
	net_text_addr(AF_INET, bytes, buf);
}

/* An address that was looked at before, for another port or pool. */
static bool is_repeated(const struct doctor_facts *facts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (facts->backends[i].addr.in.sin_addr.s_addr ==
			facts->backends[n].addr.in.sin_addr.s_addr)
			return true;
	return false;
}

/* ---- backend ---- */

static const char *refusal(const struct net_route *route)
{
	switch (route->type) {
	case RTN_BLACKHOLE:
		return "blackhole";
	case RTN_UNREACHABLE:
		return "unreachable";
	case RTN_PROHIBIT:
		return "prohibit";
	case RTN_THROW:
		return "throw";
	case RTN_LOCAL:
		return "local";
	default:
		return NULL;
	}
}

static char *mend_route(const struct net_route *route)
{
	char prefix[DOCTOR_PREFIX_MAX], metric[24] = "";

	if (route->metric)
		snprintf(metric, sizeof(metric), " metric %u", route->metric);
	return doctor_text("ip -4 route del %s %s table %u%s", refusal(route),
		doctor_prefix(route->family, route->dst, route->dst_len, prefix), route->table,
		metric);
}

/* A subnet that an interface is in, but has no route to. */
static char *mend_subnet(const struct net_addr *subnet)
{
	uint8_t network[16];
	char prefix[DOCTOR_PREFIX_MAX];
	char *name = doctor_quote(subnet->ifname), *mend;

	for (unsigned i = 0; i < sizeof(network); i++) {
		unsigned left = subnet->prefix_len > i * 8 ? subnet->prefix_len - i * 8 : 0;

		network[i] = subnet->addr[i];
		if (left < 8)
			network[i] &= (uint8_t)(0xff00U >> left);
	}
	mend = !name ? NULL
		     : doctor_text("ip -4 route add %s dev %s",
			       doctor_prefix(AF_INET, network, subnet->prefix_len, prefix), name);
	free(name);
	return mend;
}

/*
 * First a route that says no by itself, then a link that only has to come up, then what is missing.
 */
static void report_unreachable(const struct doctor_facts *facts,
	const struct doctor_backend *backend, const char *text, struct doctor_report *report)
{
	const struct net_route *route;
	const struct net_addr *subnet;
	uint8_t bytes[16];

	doctor_bytes(&backend->addr, bytes);
	subnet = doctor_find_subnet(facts, AF_INET, bytes);
	route = doctor_find_route(facts, AF_INET, bytes);
	if (route && refusal(route) && route->type != RTN_LOCAL)
		doctor_add(report, "backend", text, DOCTOR_WRONG, mend_route(route),
			"a %s route keeps %s from %s", refusal(route), text, backend->owner);
	else if (subnet && !doctor_link_works(facts, subnet->ifname, AF_INET))
		doctor_add(report, "backend", text, DOCTOR_UNKNOWN, NULL,
			"the route to %s of %s waits for %s", text, backend->owner, subnet->ifname);
	else if (subnet && backend->error == -ENETUNREACH)
		doctor_add(report, "backend", text, DOCTOR_WRONG, mend_subnet(subnet),
			"there is no route to %s of %s, although %s is in its subnet", text,
			backend->owner, subnet->ifname);
	else
		doctor_add(report, "backend", text, DOCTOR_WRONG, NULL,
			"there is no route to %s of %s (%s): add one through the router that "
			"leads there, with ip route add",
			text, backend->owner, strerror(-backend->error));
}

/* The kernel takes the backend's address for one of ours, though no interface has it. */
static void report_loop(const struct doctor_facts *facts, const struct doctor_backend *backend,
	const char *text, struct doctor_report *report)
{
	const struct net_route *route;
	uint8_t bytes[16];

	doctor_bytes(&backend->addr, bytes);
	route = doctor_find_route(facts, AF_INET, bytes);
	if (route && route->protocol == NET_MARK)
		doctor_add(report, "backend", text, DOCTOR_WRONG, NULL,
			"%s of %s lies in a prefix that the gateway listens on: take it out of "
			"one of the two",
			text, backend->owner);
	else
		doctor_add(report, "backend", text, DOCTOR_WRONG,
			route && route->type == RTN_LOCAL ? mend_route(route) : NULL,
			"the route to %s of %s ends at this machine, which has no such address",
			text, backend->owner);
}

void doctor_check_backends(const struct doctor_facts *facts, struct doctor_report *report)
{
	char text[NET_TEXT_ADDR_MAX];
	uint8_t bytes[16];

	for (size_t i = 0; i < facts->n_backends; i++) {
		const struct doctor_backend *backend = &facts->backends[i];
		const struct net_route *route = &backend->route;

		if (is_repeated(facts, i))
			continue;
		text_of(backend, text);
		doctor_bytes(&backend->addr, bytes);
		if (backend->error || (refusal(route) && route->type != RTN_LOCAL))
			report_unreachable(facts, backend, text, report);
		else if ((strcmp(route->ifname, "lo") == 0 || route->type == RTN_LOCAL) &&
			 bytes[0] != 127 && !doctor_find_addr(facts, AF_INET, bytes, NULL))
			report_loop(facts, backend, text, report);
		else
			doctor_add(report, "backend", text, DOCTOR_OK, NULL,
				"the route to %s of %s leaves by %s", text, backend->owner,
				route->ifname);
	}
}

/* ---- mtu ---- */

/* The link that clients come in by; NULL: it is not known. */
static const struct net_link *client_link(const struct doctor_facts *facts)
{
	const char *name = facts->config->network.interface;
	const struct net_link *link = net_state_find_link(&facts->net, name);

	if (!link || link->loopback)
		link = net_state_find_link(&facts->net, facts->default_v6.ifname);
	return link && !link->loopback ? link : NULL;
}

/* The same route without its limit: "change" takes what it is told for the whole. */
static char *mend_route_mtu(const struct net_route *route)
{
	char prefix[DOCTOR_PREFIX_MAX], host[NET_TEXT_ADDR_MAX];
	char via[64] = "", metric[24] = "", source[64] = "";
	char *name = doctor_quote(route->ifname), *mend;
	static const uint8_t none[16];

	if (memcmp(route->gateway, none, sizeof(none)) != 0)
		snprintf(via, sizeof(via), " via %s",
			net_text_addr(route->family, route->gateway, host));
	if (memcmp(route->source, none, sizeof(none)) != 0)
		snprintf(source, sizeof(source), " src %s",
			net_text_addr(route->family, route->source, host));
	if (route->metric)
		snprintf(metric, sizeof(metric), " metric %u", route->metric);
	mend = !name ? NULL
		     : doctor_text("ip -4 route change %s%s dev %s table %u%s proto %u scope %u%s",
			       doctor_prefix(route->family, route->dst, route->dst_len, prefix),
			       via, name, route->table, metric, route->protocol, route->scope,
			       source);
	free(name);
	return mend;
}

/* NULL: a tunnel has the MTU that its outside leaves it. */
static char *mend_mtu(const struct doctor_facts *facts, const struct doctor_backend *backend,
	const struct net_link *link, unsigned least)
{
	const struct net_route *route;
	char *name, *mend;
	uint8_t bytes[16];

	doctor_bytes(&backend->addr, bytes);
	if (backend->route.mtu) {
		route = doctor_find_route(facts, AF_INET, bytes);
		/* Otherwise it is what a router on the way has said. */
		return route && route->mtu && route->type == RTN_UNICAST
			       ? mend_route_mtu(route)
			       : strdup("ip -4 route flush cache");
	}
	if (link->type != ARPHRD_ETHER)
		return NULL;
	name = doctor_quote(link->name);
	mend = !name ? NULL : doctor_text("ip link set dev %s mtu %u", name, least);
	free(name);
	return mend;
}

/* The longest, of a UDP listener: what proxies in front have sent is only passed on by TCP's. */
static unsigned header_len(const struct config_listener *listener)
{
	if (listener->identity == IDENTITY_NONE)
		return 0;
	for (size_t i = 0; i < listener->n_binds; i++)
		if (sockaddr_family(&listener->binds[i].addr) == AF_INET6)
			return HEADER_OF_IPV6 + (unsigned)tlvs_own_len(&listener->tlvs);
	return HEADER_OF_IPV4 + (unsigned)tlvs_own_len(&listener->tlvs);
}

/* The UDP listener with the longest header of those that have a server at that address. */
static const struct config_listener *find_datagrams(
	const struct doctor_facts *facts, const struct doctor_backend *backend)
{
	const struct config *config = facts->config;
	const struct config_listener *found = NULL;

	for (size_t i = 0; i < facts->n_backends; i++) {
		const struct doctor_backend *other = &facts->backends[i];

		if (other->protocol != IPPROTO_UDP ||
			other->addr.in.sin_addr.s_addr != backend->addr.in.sin_addr.s_addr)
			continue;
		for (size_t l = 0; l < config->n_listeners; l++)
			if (doctor_serves(facts, other, &config->listeners[l]) &&
				(!found || header_len(&config->listeners[l]) > header_len(found)))
				found = &config->listeners[l];
	}
	return found;
}

/* What of a client's datagram goes to the server in one piece. */
static void report_mtu(const struct doctor_facts *facts, const struct doctor_backend *backend,
	const char *text, unsigned mtu, struct doctor_report *report)
{
	const struct config_listener *udp = find_datagrams(facts, backend);
	unsigned headers = udp ? IP_UDP_HEADERS + header_len(udp) : 0;

	if (!udp || mtu <= headers)
		doctor_add(report, "mtu", text, DOCTOR_OK, NULL,
			"packets to %s of %s may have %u bytes", text, backend->owner, mtu);
	else
		doctor_add(report, "mtu", text, DOCTOR_OK, NULL,
			"packets to %s of %s may have %u bytes: datagrams with up to %u bytes are "
			"passed on in one piece, larger ones %s",
			text, backend->owner, mtu, mtu - headers,
			udp->oversize == CONFIG_OVERSIZE_TOO_BIG ? "are not passed on"
								 : "in fragments");
}

static void check_backend_mtu(const struct doctor_facts *facts,
	const struct doctor_backend *backend, const struct net_link *front,
	struct doctor_report *report)
{
	const struct net_link *link = net_state_find_link(&facts->net, backend->route.ifname);
	char text[NET_TEXT_ADDR_MAX];
	unsigned mtu, least;

	if (!link || backend->error)
		return;
	text_of(backend, text);
	mtu = backend->route.mtu && backend->route.mtu < link->mtu ? backend->route.mtu : link->mtu;
	/* Larger packets than usual towards clients ask for nothing from the other side. */
	least = front && front->mtu < MTU_USUAL ? front->mtu : MTU_USUAL;
	if (!front && mtu >= MTU_MIN)
		least = MTU_MIN;
	if (mtu < least)
		doctor_add(report, "mtu", text, DOCTOR_WARN, mend_mtu(facts, backend, link, least),
			"packets to %s of %s may have %u bytes by %s; %u would be right", text,
			backend->owner, mtu, link->name, least);
	else
		report_mtu(facts, backend, text, mtu, report);
}

void doctor_check_mtu(const struct doctor_facts *facts, struct doctor_report *report)
{
	const struct net_link *front = client_link(facts);

	for (size_t i = 0; i < facts->n_backends; i++)
		if (!is_repeated(facts, i))
			check_backend_mtu(facts, &facts->backends[i], front, report);
}

/* ---- rp_filter ---- */

/* The greater of what is set for all and for the link counts. */
static int read_filter(const struct doctor_facts *facts, const char *ifname, int64_t *ret_filter)
{
	int64_t all, own;
	int err =
		doctor_proc_numbers(facts->root, &all, 1, "/proc/sys/net/ipv4/conf/all/rp_filter");

	if (!err)
		err = doctor_proc_numbers(
			facts->root, &own, 1, "/proc/sys/net/ipv4/conf/%s/rp_filter", ifname);
	if (!err)
		*ret_filter = all > own ? all : own;
	return err;
}

static char *mend_filter(const char *ifname)
{
	char *name = doctor_quote(ifname);
	char *mend =
		!name ? NULL : doctor_text("echo 2 > /proc/sys/net/ipv4/conf/%s/rp_filter", name);

	free(name);
	return mend;
}

/*
 * Packets of "peer" come in by arrives and would leave by leaves. Strict is 1; 2 is loose, which
 * lets in whatever has any route at all.
 */
static void check_filter(const struct doctor_facts *facts, const char *arrives, const char *leaves,
	const char *peer, enum doctor_status worst, struct doctor_report *report)
{
	int64_t filter = 0;
	int err = read_filter(facts, arrives, &filter);

	if (err)
		doctor_add(report, "rp_filter", arrives, DOCTOR_UNKNOWN, NULL,
			"rp_filter of %s cannot be read: %s", arrives, strerror(-err));
	else if (filter == 1 && strcmp(arrives, leaves) != 0)
		doctor_add(report, "rp_filter", arrives, worst, mend_filter(arrives),
			"strict rp_filter on %s drops packets of %s, to which the route leaves by "
			"%s",
			arrives, peer, leaves);
	else
		doctor_add(report, "rp_filter", arrives, DOCTOR_OK, NULL,
			"rp_filter on %s lets packets of %s in", arrives, peer);
}

static bool has_v4_clients(const struct doctor_facts *facts)
{
	for (size_t i = 0; i < facts->n_binds; i++)
		if (sockaddr_family(&facts->binds[i].bind->addr) == AF_INET)
			return true;
	return false;
}

void doctor_check_rp_filter(const struct doctor_facts *facts, struct doctor_report *report)
{
	const char *front = facts->config->network.interface;
	const struct net_addr *subnet;
	char text[NET_TEXT_ADDR_MAX];
	uint8_t bytes[16];

	for (size_t i = 0; i < facts->n_backends; i++) {
		const struct doctor_backend *backend = &facts->backends[i];

		doctor_bytes(&backend->addr, bytes);
		subnet = doctor_find_subnet(facts, AF_INET, bytes);
		if (!subnet || backend->error || backend->route.type != RTN_UNICAST ||
			is_repeated(facts, i))
			continue;
		text_of(backend, text);
		check_filter(
			facts, subnet->ifname, backend->route.ifname, text, DOCTOR_WRONG, report);
	}
	/* A client elsewhere: only some of them may come in by the link of the VIPs. */
	if (has_v4_clients(facts) && front[0] && strcmp(front, "lo") != 0 &&
		facts->default_v4.type == RTN_UNICAST)
		check_filter(facts, front, facts->default_v4.ifname, "clients far away",
			DOCTOR_WARN, report);
}
