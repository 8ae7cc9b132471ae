#include "doctor_site.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <net_text.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"

#define IPV6_MTU_MIN 1280U

/*
 * A command for the link, followed by what brings back what the link has lost: one that goes down
 * loses its IPv6 addresses and its routes. Frees name, which may be NULL (no memory: no command).
 */
static char *mend_link(const struct doctor_facts *facts, const char *ifname, const char *before,
	char *name, const char *after)
{
	bool apply = doctor_link_wanted(facts, ifname);
	char *mend = !name ? NULL
			   : doctor_text("%s%s%s%s%s", before, name, after, apply ? " && " : "",
				     apply ? facts->apply : "");

	free(name);
	return mend;
}

/* ---- link ---- */

static void check_link(
	const struct doctor_facts *facts, const char *name, struct doctor_report *report)
{
	const struct net_link *link = net_state_find_link(&facts->net, name);

	if (!link)
		doctor_add(report, "link", name, DOCTOR_WRONG, NULL,
			"link %s is missing: plug it in, or name another as interface", name);
	else if (!link->up)
		doctor_add(report, "link", name, DOCTOR_WRONG,
			mend_link(facts, name, "ip link set dev ", doctor_quote(name), " up"),
			"link %s is down", name);
	else if (!link->running)
		doctor_add(report, "link", name, DOCTOR_WRONG, NULL,
			"link %s has no carrier: look at the cable and the other end", name);
	else
		doctor_add(report, "link", name, DOCTOR_OK, NULL, "link %s is up", name);
}

static bool is_first(const struct doctor_facts *facts, size_t n, const char *name)
{
	const struct config_network *network = &facts->config->network;
	const struct net_addr *before;
	uint8_t bytes[16];

	if (strcmp(name, "lo") == 0 || strcmp(name, network->interface) == 0 ||
		strcmp(name, network->source_interface) == 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		doctor_bytes(&facts->backends[i].addr, bytes);
		before = doctor_find_subnet(facts, AF_INET, bytes);
		if (before && strcmp(before->ifname, name) == 0)
			return false;
	}
	return true;
}

void doctor_check_links(const struct doctor_facts *facts, struct doctor_report *report)
{
	const struct config_network *network = &facts->config->network;
	const struct net_addr *subnet;
	uint8_t bytes[16];

	check_link(facts, "lo", report);
	if (network->interface[0] && strcmp(network->interface, "lo") != 0)
		check_link(facts, network->interface, report);
	if (network->n_sources > 0 && strcmp(network->source_interface, "lo") != 0 &&
		strcmp(network->source_interface, network->interface) != 0)
		check_link(facts, network->source_interface, report);
	for (size_t i = 0; i < facts->n_backends; i++) {
		doctor_bytes(&facts->backends[i].addr, bytes);
		subnet = doctor_find_subnet(facts, AF_INET, bytes);
		if (subnet && is_first(facts, i, subnet->ifname))
			check_link(facts, subnet->ifname, report);
	}
}

/* ---- ipv6 ---- */

static void check_ipv6_link(
	const struct doctor_facts *facts, const char *name, struct doctor_report *report)
{
	const struct net_link *link = net_state_find_link(&facts->net, name);
	int64_t disabled = 0;
	int err;

	if (!link)
		return; /* the check of links has said so */
	err = doctor_proc_numbers(
		facts->root, &disabled, 1, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	if (link->mtu < IPV6_MTU_MIN)
		doctor_add(report, "ipv6", name, DOCTOR_WRONG,
			mend_link(facts, name, "ip link set dev ", doctor_quote(name), " mtu 1500"),
			"%s has no IPv6: its MTU is %u, and IPv6 needs 1280", name, link->mtu);
	else if (err)
		doctor_add(report, "ipv6", name, DOCTOR_UNKNOWN, NULL,
			"whether %s has IPv6 cannot be read: %s", name, strerror(-err));
	else if (disabled)
		doctor_add(report, "ipv6", name, DOCTOR_WRONG,
			mend_link(facts, name, "echo 0 > /proc/sys/net/ipv6/conf/",
				doctor_quote(name), "/disable_ipv6"),
			"IPv6 is disabled on %s", name);
	else
		doctor_add(report, "ipv6", name, DOCTOR_OK, NULL, "IPv6 is enabled on %s", name);
}

void doctor_check_ipv6(const struct doctor_facts *facts, struct doctor_report *report)
{
	const struct config_network *network = &facts->config->network;
	bool any = false, vip = false;
	int64_t disabled;

	for (size_t i = 0; i < facts->n_binds; i++)
		any = any || sockaddr_family(&facts->binds[i].bind->addr) == AF_INET6;
	for (size_t i = 0; i < network->n_addrs; i++)
		vip = vip || sockaddr_family(&network->addrs[i].addr) == AF_INET6;
	if (!any && !vip)
		return;
	if (!doctor_proc_exists(facts->root, "/proc/sys/net/ipv6")) {
		doctor_add(report, "ipv6", "kernel", DOCTOR_WRONG, NULL,
			"this kernel has no IPv6: boot it without ipv6.disable=1");
		return;
	}
	if (doctor_proc_numbers(
		    facts->root, &disabled, 1, "/proc/sys/net/ipv6/conf/all/disable_ipv6") == 0 &&
		disabled)
		doctor_add(report, "ipv6", "all", DOCTOR_WRONG,
			doctor_text("echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6 && %s",
				facts->apply),
			"IPv6 is disabled on all interfaces");
	check_ipv6_link(facts, "lo", report);
	if (vip && strcmp(network->interface, "lo") != 0)
		check_ipv6_link(facts, network->interface, report);
}

/* ---- address ---- */

/* "ip -6 addr del 2001:db8::1/128 dev eth0 && " and then the command. */
static char *mend_delete(const struct net_addr *addr, const char *then)
{
	char prefix[DOCTOR_PREFIX_MAX];
	char *name = doctor_quote(addr->ifname);
	char *mend =
		!name ? NULL
		      : doctor_text("ip -%c addr del %s dev %s%s%s",
				addr->family == AF_INET ? '4' : '6',
				doctor_prefix(addr->family, addr->addr, addr->prefix_len, prefix),
				name, then ? " && " : "", then ? then : "");

	free(name);
	return mend;
}

/* The address on a link that it is not meant to be on; the loopback does no harm. */
static const struct net_addr *find_stray(
	const struct doctor_facts *facts, const struct net_addr *wanted)
{
	for (size_t i = 0; i < facts->net.n_addrs; i++) {
		const struct net_addr *found = &facts->net.addrs[i];

		if (found->family == wanted->family &&
			memcmp(found->addr, wanted->addr, sizeof(wanted->addr)) == 0 &&
			strcmp(found->ifname, wanted->ifname) != 0 &&
			strcmp(found->ifname, "lo") != 0)
			return found;
	}
	return NULL;
}

static void check_missing(const struct doctor_facts *facts, const struct net_addr *wanted,
	const char *text, struct doctor_report *report)
{
	const struct net_addr *stray = find_stray(facts, wanted);

	if (!stray)
		doctor_add(report, "address", text, DOCTOR_WRONG, strdup(facts->apply),
			"address %s is missing on %s", text, wanted->ifname);
	else
		doctor_add(report, "address", text, DOCTOR_WRONG,
			stray->protocol == NET_MARK ? strdup(facts->apply)
						    : mend_delete(stray, facts->apply),
			"address %s is on %s instead of %s", text, stray->ifname, wanted->ifname);
}

/*
 * Duplicate address detection (RFC 4862): until it is over an IPv6 address is tentative, and one
 * that another machine has stays unused for good. Deleting it and adding it again begins anew.
 * then: the command that follows the deletion.
 */
static bool check_flags(const struct net_addr *addr, const char *text, const char *then,
	struct doctor_report *report)
{
	if (addr->flags & IFA_F_DADFAILED) {
		doctor_add(report, "address", text, DOCTOR_WRONG, mend_delete(addr, then),
			"address %s on %s is not used: another machine has it, or had", text,
			addr->ifname);
		return false;
	}
	if (addr->flags & IFA_F_TENTATIVE) {
		doctor_add(report, "address", text, DOCTOR_WARN, mend_delete(addr, then),
			"address %s on %s is not used yet: it is being looked for on the link",
			text, addr->ifname);
		return false;
	}
	return true;
}

static void check_wanted(const struct doctor_facts *facts, const struct net_addr *wanted,
	struct doctor_report *report)
{
	const struct net_addr *found, *stray;
	char text[NET_TEXT_ADDR_MAX];

	net_text_addr(wanted->family, wanted->addr, text);
	found = doctor_find_addr(facts, wanted->family, wanted->addr, wanted->ifname);
	if (!found && !doctor_link_works(facts, wanted->ifname, wanted->family)) {
		doctor_add(report, "address", text, DOCTOR_UNKNOWN, NULL, "address %s waits for %s",
			text, wanted->ifname);
		return;
	}
	if (!found) {
		check_missing(facts, wanted, text, report);
		return;
	}
	/* Somebody else's, of whatever length, is an address all the same. */
	if (found->prefix_len != wanted->prefix_len && found->protocol == NET_MARK) {
		doctor_add(report, "address", text, DOCTOR_WRONG, strdup(facts->apply),
			"address %s on %s has prefix length %u, not %u", text, found->ifname,
			found->prefix_len, wanted->prefix_len);
		return;
	}
	if (!check_flags(found, text, facts->apply, report))
		return;
	stray = find_stray(facts, wanted);
	if (stray)
		doctor_add(report, "address", text, DOCTOR_WARN,
			stray->protocol == NET_MARK ? strdup(facts->apply)
						    : mend_delete(stray, NULL),
			"address %s is on %s too, not only on %s", text, stray->ifname,
			found->ifname);
	else
		doctor_add(report, "address", text, DOCTOR_OK, NULL, "address %s is on %s", text,
			found->ifname);
}

/* Of IPv6 without that detection (nodad), so that it can be bound at once. */
static char *add_command(
	uint8_t family, const uint8_t addr[16], uint8_t prefix_len, const char *ifname)
{
	char prefix[DOCTOR_PREFIX_MAX];
	char *name = doctor_quote(ifname);
	char *mend =
		!name ? NULL
		      : doctor_text("ip -%c addr add %s dev %s%s", family == AF_INET ? '4' : '6',
				doctor_prefix(family, addr, prefix_len, prefix), name,
				family == AF_INET ? "" : " nodad");

	free(name);
	return mend;
}

/* A listener's own address that nobody told us to set up. */
static void check_plain(const struct doctor_facts *facts, const struct doctor_bind *bind,
	struct doctor_report *report)
{
	uint8_t family = (uint8_t)sockaddr_family(&bind->bind->addr), bytes[16];
	const struct net_addr *found, *subnet;
	char text[NET_TEXT_ADDR_MAX];
	char *then;

	doctor_bytes(&bind->bind->addr, bytes);
	net_text_addr(family, bytes, text);
	found = doctor_find_addr(facts, family, bytes, NULL);
	if (!found && !bind->local) {
		subnet = doctor_find_subnet(facts, family, bytes);
		doctor_add(report, "address", text, DOCTOR_WRONG,
			add_command(family, bytes, family == AF_INET ? 32 : 128,
				subnet ? subnet->ifname : "lo"),
			"address %s of listener %s is not on this machine", text,
			bind->listener->name);
		return;
	}
	if (!found) {
		doctor_add(report, "address", text, DOCTOR_OK, NULL,
			"address %s is routed to this machine", text);
		return;
	}
	then = add_command(family, bytes, found->prefix_len, found->ifname);
	if (then && check_flags(found, text, then, report))
		doctor_add(report, "address", text, DOCTOR_OK, NULL, "address %s is on %s", text,
			found->ifname);
	free(then);
}

static bool is_wanted(const struct doctor_facts *facts, const struct sockaddr_any *addr)
{
	const struct net_state *net = &facts->wanted.net;
	uint8_t bytes[16];

	doctor_bytes(addr, bytes);
	for (size_t i = 0; i < net->n_addrs; i++)
		if (net->addrs[i].family == sockaddr_family(addr) &&
			memcmp(net->addrs[i].addr, bytes, sizeof(bytes)) == 0)
			return true;
	return false;
}

/* One address alone: not a prefix, and not all of this machine's. */
static bool is_single(const struct config_bind *bind)
{
	return bind->prefix_len == (sockaddr_family(&bind->addr) == AF_INET ? 32 : 128) &&
	       !sockaddr_is_any(&bind->addr);
}

static bool is_repeated(const struct doctor_facts *facts, size_t n)
{
	struct sockaddr_any a = facts->binds[n].bind->addr, b;

	sockaddr_set_port(&a, 0);
	for (size_t i = 0; i < n; i++) {
		b = facts->binds[i].bind->addr;
		sockaddr_set_port(&b, 0);
		if (is_single(facts->binds[i].bind) && sockaddr_equal(&a, &b))
			return true;
	}
	return false;
}

void doctor_check_addresses(const struct doctor_facts *facts, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->wanted.net.n_addrs; i++)
		check_wanted(facts, &facts->wanted.net.addrs[i], report);
	for (size_t i = 0; i < facts->n_binds; i++)
		if (is_single(facts->binds[i].bind) &&
			!is_wanted(facts, &facts->binds[i].bind->addr) && !is_repeated(facts, i))
			check_plain(facts, &facts->binds[i], report);
}

/* ---- source ---- */

static const char *link_towards(const struct doctor_facts *facts, const struct config_pool *pool)
{
	for (size_t i = 0; i < facts->n_backends; i++)
		if (facts->backends[i].pool == pool && facts->backends[i].error == 0 &&
			facts->backends[i].route.ifname[0])
			return facts->backends[i].route.ifname;
	return NULL;
}

static void check_source(const struct doctor_facts *facts, const struct config_pool *pool,
	const struct sockaddr_any *source, struct doctor_report *report)
{
	const char *towards = link_towards(facts, pool);
	char text[NET_TEXT_ADDR_MAX];
	uint8_t bytes[16];

	doctor_bytes(source, bytes);
	net_text_addr(AF_INET, bytes, text);
	if (doctor_find_addr(facts, AF_INET, bytes, NULL))
		doctor_add(report, "source", text, DOCTOR_OK, NULL,
			"source %s of pool %s is on this machine", text, pool->name);
	else
		doctor_add(report, "source", text, DOCTOR_WRONG,
			towards ? add_command(AF_INET, bytes, 32, towards) : NULL,
			"source %s of pool %s is not on this machine", text, pool->name);
}

void doctor_check_sources(const struct doctor_facts *facts, struct doctor_report *report)
{
	const struct config *config = facts->config;

	for (size_t p = 0; p < config->n_pools; p++)
		for (size_t i = 0; i < config->pools[p].n_sources; i++)
			if (!is_wanted(facts, &config->pools[p].sources[i]))
				check_source(facts, &config->pools[p], &config->pools[p].sources[i],
					report);
}

/* ---- listener ---- */

/* Somebody has the socket, and it is not the gateway of this configuration. */
static void taken(const struct doctor_facts *facts, const char *subject, const char *text,
	struct doctor_report *report)
{
	doctor_add(report, "listener", subject, DOCTOR_WRONG, NULL,
		"another program has %s, or the gateway with another configuration: none answers "
		"at %s/" CONTROL_SOCKET "; 'ss -lntup' tells which",
		text, facts->config->run_directory);
}

static void check_udp(const struct doctor_facts *facts, const struct doctor_bind *bind,
	const char *text, struct doctor_report *report)
{
	char subject[CONFIG_BIND_TEXT_MAX + sizeof("/udp")];

	snprintf(subject, sizeof(subject), "%s/udp", text);
	if (bind->listening && facts->absent)
		taken(facts, subject, text, report);
	else if (bind->listening)
		doctor_add(report, "listener", subject, DOCTOR_OK, NULL,
			"a UDP socket is bound to %s", text);
	else if (facts->sockets_error)
		doctor_add(report, "listener", subject, DOCTOR_UNKNOWN, NULL,
			"whether a UDP socket is bound to %s cannot be read: %s", text,
			strerror(-facts->sockets_error));
	else
		doctor_add(report, "listener", subject, DOCTOR_WRONG, strdup(facts->start),
			"no UDP socket is bound to %s: the gateway does not run here", text);
}

void doctor_check_listeners(const struct doctor_facts *facts, struct doctor_report *report)
{
	char text[CONFIG_BIND_TEXT_MAX];

	for (size_t i = 0; i < facts->n_binds; i++) {
		const struct doctor_bind *bind = &facts->binds[i];

		config_bind_text(bind->bind, text);
		if (bind->bind->protocol == IPPROTO_UDP) {
			check_udp(facts, bind, text, report);
			continue;
		}
		if (bind->listening && facts->absent)
			taken(facts, text, text, report);
		else if (bind->listening)
			doctor_add(report, "listener", text, DOCTOR_OK, NULL,
				"a socket listens on %s", text);
		else if (facts->sockets_error)
			doctor_add(report, "listener", text, DOCTOR_UNKNOWN, NULL,
				"whether %s is listened on cannot be read: %s", text,
				strerror(-facts->sockets_error));
		else
			doctor_add(report, "listener", text, DOCTOR_WRONG, strdup(facts->start),
				"nothing listens on %s: the gateway does not run here", text);
	}
}
