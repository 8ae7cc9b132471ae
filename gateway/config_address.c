/*
 * The functions of config.h that are about addresses.
 *
 * Each kind has a function flaw_of...(), which says why an address cannot be what it is written
 * for: what the kernel would refuse later, or take and never serve (a multicast bind, a backend
 * 0.0.0.0), is refused here, where there is a line to name. Bits beyond the length of a prefix are
 * an error and not cut off: one of the two was meant otherwise.
 *
 * An IPv4 address in IPv6's clothes (::ffff:192.0.2.1) is refused everywhere: there must be one way
 * to write each address, or two that are the same would not be seen to be.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "grow.h"
#include "prefix.h"

static bool overlaps(const struct prefix *prefix, const char *text)
{
	const char *reason;
	struct prefix block;
	int err = prefix_parse(text, &block, &reason);

	assert(!err); /* the text is one of ours */
	return !err && prefix_overlaps(prefix, &block);
}

static bool is_multicast(const struct prefix *prefix)
{
	return overlaps(prefix, "ff00::/8") || overlaps(prefix, "224.0.0.0/4");
}

static bool is_mapped(const struct prefix *prefix)
{
	return overlaps(prefix, "::ffff:0:0/96");
}

bool config_is_unicast(const struct sockaddr_any *addr)
{
	uint32_t host = ntohl(addr->in.sin_addr.s_addr);

	return host >> 24 != 0 && !IN_MULTICAST(host) && !IN_BADCLASS(host);
}

/* ---- binds ---- */

bool config_bind_diverted(const struct config_bind *bind)
{
	return bind->port_max != sockaddr_port(&bind->addr) ||
	       (bind->prefix_len != 0 && bind->prefix_len != prefix_full_len(&bind->addr));
}

const char *config_bind_text(const struct config_bind *bind, char buf[CONFIG_BIND_TEXT_MAX])
{
	bool v6 = sockaddr_family(&bind->addr) == AF_INET6;
	unsigned port = sockaddr_port(&bind->addr);
	char host[SOCKADDR_TEXT_MAX], len[8] = "", ports[16];

	if (bind->prefix_len != 0 && bind->prefix_len != prefix_full_len(&bind->addr))
		snprintf(len, sizeof(len), "/%u", bind->prefix_len);
	if (port == 1 && bind->port_max == UINT16_MAX)
		strcpy(ports, "*");
	else if (port == bind->port_max)
		snprintf(ports, sizeof(ports), "%u", port);
	else
		snprintf(ports, sizeof(ports), "%u-%u", port, bind->port_max);
	snprintf(buf, CONFIG_BIND_TEXT_MAX, "%s%.64s%s%s:%s", v6 ? "[" : "",
		sockaddr_format_host(&bind->addr, host), len, v6 ? "]" : "", ports);
	return buf;
}

/* Prefixes and ranges, too: their one socket is bound to the address and port that they begin at.
 */
static const struct config_bind *find_bind_at(
	const struct config *config, uint8_t protocol, const struct sockaddr_any *addr)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		for (size_t b = 0; b < config->listeners[i].n_binds; b++)
			if (config->listeners[i].protocol == protocol &&
				sockaddr_equal(&config->listeners[i].binds[b].addr, addr))
				return &config->listeners[i].binds[b];
	return NULL;
}

/* Why clients could not connect to all of it; NULL: they can. */
static const char *flaw_of(const struct prefix *prefix, const struct config_bind *bind)
{
	const struct sockaddr_any *addr = &prefix->addr;
	bool v6 = sockaddr_family(addr) == AF_INET6;

	if (prefix->len == 0)
		return "a prefix has a length of 1 or more: write all addresses of this machine as "
		       "'*', like '*:8080'";
	if (prefix_has_host_bits(prefix))
		return "the bits beyond the length of a prefix must be zero, like in "
		       "[2001:db8::/64]:80";
	if (bind->protocol == IPPROTO_UDP && bind->port_max != sockaddr_port(addr))
		return "a UDP listener takes one port of an address, like [2001:db8::1]:53: bind "
		       "each that is needed";
	if (bind->prefix_len == 0)
		return sockaddr_port(addr) == 1 && bind->port_max == UINT16_MAX
			       ? "all ports of all addresses would take in this machine's own "
				 "services: name an address, or fewer ports"
			       : NULL;
	if (sockaddr_is_any(addr))
		return "this prefix takes in addresses that nobody can connect to: name a narrower "
		       "one";
	if (is_mapped(prefix))
		return "write the IPv4 address itself, like 192.0.2.1:80";
	if (v6 && config_bind_diverted(bind) &&
		(addr->in6.sin6_scope_id || overlaps(prefix, "fe80::/10")))
		return "a link-local address stands alone, with one port, like [fe80::1%eth0]:80";
	if (v6 && !addr->in6.sin6_scope_id && overlaps(prefix, "fe80::/10"))
		return "a link-local address needs its interface, like [fe80::1%eth0]:80";
	if (is_multicast(prefix))
		return "a client cannot connect to a multicast address";
	return NULL;
}

static int add_bind(struct config *config, struct config_listener *listener,
	const struct prefix *prefix, uint16_t port_max, const char **ret_reason)
{
	bool any = sockaddr_is_any(&prefix->addr) && prefix->len == prefix_full_len(&prefix->addr);
	const struct config_bind bind = {
		.addr = prefix->addr,
		.protocol = listener->protocol,
		.prefix_len = any ? 0 : prefix->len,
		.port_max = port_max,
	};
	const struct config_bind *other = find_bind_at(config, bind.protocol, &bind.addr);
	const char *flaw = flaw_of(prefix, &bind);
	struct config_bind *place;

	if (!flaw && other)
		flaw = other->prefix_len == bind.prefix_len && other->port_max == bind.port_max
			       ? "a listener has this address already: each may be bound once"
			       : "another bind begins at this address and port, where one socket "
				 "can be: begin one of the two at another port or address";
	if (!flaw && listener->n_binds >= CONFIG_BINDS_MAX)
		flaw = "a listener may have 256 addresses";
	if (flaw) {
		*ret_reason = flaw;
		return -EINVAL;
	}
	place = grow_array((void **)&listener->binds, listener->n_binds, sizeof(*place));
	if (!place)
		return -ENOMEM;
	*place = bind;
	listener->n_binds++;
	return 0;
}

/* "8080" or ":8080", as other programs take it. */
static bool is_port_alone(const char *text)
{
	size_t len;

	text += *text == ':';
	len = strspn(text, "0123456789");
	return len > 0 && text[len] == '\0';
}

int config_add_bind(struct config *config, struct config_listener *listener, const char *text,
	const char **ret_reason)
{
	struct prefix v6 = { { .in6 = { .sin6_family = AF_INET6 } }, 128 };
	struct prefix v4 = { { .in = { .sin_family = AF_INET } }, 32 };
	uint16_t port, port_max;
	struct prefix prefix;
	int err;

	if (is_port_alone(text)) {
		*ret_reason = "an address is missing: write all there are as '*', like '*:8080'";
		return -EINVAL;
	}
	if (text[0] != '*' || text[1] != ':') {
		err = prefix_parse_endpoint(text, &prefix, &port_max, ret_reason);
		return err ? err : add_bind(config, listener, &prefix, port_max, ret_reason);
	}
	err = prefix_parse_ports(text + 2, &port, &port_max, ret_reason);
	if (err)
		return err;
	/* Two sockets, as one of IPv6 would show IPv4 clients in v4-mapped form, unless v6only =
	 * no. */
	sockaddr_set_port(&v6.addr, port);
	sockaddr_set_port(&v4.addr, port);
	err = add_bind(config, listener, &v6, port_max, ret_reason);
	return err ? err : add_bind(config, listener, &v4, port_max, ret_reason);
}

static const struct config_bind *find_v4_bind(
	const struct config *config, const struct config_bind *v6)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		for (size_t b = 0; b < config->listeners[i].n_binds; b++) {
			const struct config_bind *bind = &config->listeners[i].binds[b];

			if (bind->protocol == v6->protocol &&
				sockaddr_family(&bind->addr) == AF_INET &&
				sockaddr_port(&bind->addr) <= v6->port_max &&
				bind->port_max >= sockaddr_port(&v6->addr))
				return bind;
		}
	return NULL;
}

bool config_find_overlap(const struct config *config, const struct config_listener *listener,
	const struct config_bind **ret_v6, const struct config_bind **ret_v4)
{
	if (listener->v6only)
		return false;
	for (size_t b = 0; b < listener->n_binds; b++) {
		const struct config_bind *v6 = &listener->binds[b], *v4;

		if (sockaddr_family(&v6->addr) != AF_INET6 || !sockaddr_is_any(&v6->addr))
			continue;
		v4 = find_v4_bind(config, v6);
		if (v4) {
			*ret_v6 = v6;
			*ret_v4 = v4;
			return true;
		}
	}
	return false;
}

/* Whether the bind gets IPv4 clients of that address; its port 0: of any of its ports. */
static bool bind_takes(const struct config_listener *listener, const struct config_bind *bind,
	const struct sockaddr_any *addr)
{
	const struct prefix prefix = { bind->addr, bind->prefix_len };
	const struct prefix host = { *addr, prefix_full_len(addr) };
	uint16_t port = sockaddr_port(addr);
	bool any_v6 = sockaddr_family(&bind->addr) == AF_INET6 && bind->prefix_len == 0;

	if (port && (port < sockaddr_port(&bind->addr) || port > bind->port_max))
		return false;
	if (any_v6)
		return !listener->v6only;
	return sockaddr_family(&bind->addr) == AF_INET &&
	       (bind->prefix_len == 0 || prefix_overlaps(&prefix, &host));
}

bool config_takes(const struct config *config, size_t pool, const struct sockaddr_any *addr)
{
	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct config_listener *listener = &config->listeners[i];

		for (size_t b = 0; b < listener->n_binds; b++)
			if (listener->pool == pool && !listener->embedded &&
				bind_takes(listener, &listener->binds[b], addr))
				return true;
	}
	return false;
}

/* ---- what goes with the binds ---- */

static bool takes(const struct config_listener *listener, sa_family_t family)
{
	for (size_t b = 0; b < listener->n_binds; b++) {
		const struct sockaddr_any *addr = &listener->binds[b].addr;

		if (sockaddr_family(addr) == family)
			return true;
		if (family == AF_INET && !listener->v6only && sockaddr_is_any(addr))
			return true;
	}
	return false;
}

/* How datagrams can say who sent them. */
static int check_identity_udp(const struct config_listener *listener, const char **ret_reason)
{
	enum identity identity = listener->identity;

	if (listener->protocol != IPPROTO_UDP && identity == IDENTITY_PROXY_V2_FIRST) {
		*ret_reason = "this goes with protocol = udp only: write proxy-v2";
		return -EINVAL;
	}
	if (listener->protocol != IPPROTO_UDP || identity == IDENTITY_PROXY_V2 ||
		identity == IDENTITY_PROXY_V2_FIRST || identity == IDENTITY_NONE)
		return 0;
	*ret_reason = identity == IDENTITY_PROXY_V1
			      ? "version 1 knows no datagrams: write proxy-v2"
			      : "identity of a UDP listener is proxy-v2, proxy-v2-first or none";
	return -EINVAL;
}

int config_settle_identity(struct config_listener *listener, bool v6_given, const char **ret_reason)
{
	if (check_identity_udp(listener, ret_reason) < 0)
		return -EINVAL;
	if (listener->identity != IDENTITY_TRANSPARENT) {
		if (v6_given) {
			*ret_reason = "this goes with identity transparent only: all clients get "
				      "what identity says; remove it";
			return -EINVAL;
		}
		listener->identity_v6 = listener->identity;
		return 0;
	}
	if (listener->embedded) {
		*ret_reason = "clients of an embedded destination have IPv6 addresses, which no "
			      "IPv4 server can see: write proxy-v2, proxy-v1 or none";
		return -EINVAL;
	}
	if (!takes(listener, AF_INET)) {
		*ret_reason = "only IPv4 clients can be seen by servers as they are, and this "
			      "listener takes none: bind an IPv4 address, or write proxy-v2";
		return -EINVAL;
	}
	if (!v6_given && takes(listener, AF_INET6)) {
		*ret_reason = "IPv4 servers cannot see IPv6 clients as they are, and there is no "
			      "silent choice: say with identity-ipv6 what they get, proxy-v2, "
			      "proxy-v1, none or refuse";
		return -EINVAL;
	}
	if (!v6_given)
		listener->identity_v6 = IDENTITY_REFUSE;
	return 0;
}

/*
 * RFC 6052, section 3.1: the Well-Known Prefix must not stand for addresses that are not global, as
 * those mean another host in each network.
 */
static bool misuses_well_known(
	const struct config_listener *listener, const struct config_bind *bind)
{
	const struct prefix prefix = { bind->addr, bind->prefix_len };

	if (bind->prefix_len != 96 || !overlaps(&prefix, "64:ff9b::/96"))
		return false;
	for (size_t i = 0; i < listener->n_allow; i++)
		if (embedded_is_special(&listener->allow[i]))
			return true;
	return false;
}

int config_check_embedded(const struct config_listener *listener, const struct config_bind *bind,
	const char **ret_reason)
{
	struct in_addr none;

	if (sockaddr_family(&bind->addr) != AF_INET6 || !embedded_is_prefix_len(bind->prefix_len)) {
		*ret_reason = "the server is named within an IPv6 prefix of 32, 40, 48, 56, 64 or "
			      "96 bits, like [2001:db8:64::/96]:*";
		return -EINVAL;
	}
	if (embedded_extract(&bind->addr.in6.sin6_addr, bind->prefix_len, &none) < 0) {
		*ret_reason = "bits 64 to 71 of a prefix that servers are named within must be "
			      "zero (RFC 6052), like in [2001:db8:64::/96]:*";
		return -EINVAL;
	}
	if (misuses_well_known(listener, bind)) {
		*ret_reason = "this prefix is for global servers only (RFC 6052): allow no others, "
			      "or bind a prefix of your own";
		return -EINVAL;
	}
	return 0;
}

int config_add_allow(struct config_listener *listener, const char *text, const char **ret_reason)
{
	struct embedded_prefix entry, *place;
	struct prefix prefix;

	if (prefix_parse(text, &prefix, ret_reason) < 0 ||
		sockaddr_family(&prefix.addr) != AF_INET) {
		*ret_reason = "servers have IPv4 addresses: write 192.0.2.10, or a prefix like "
			      "10.0.0.0/8";
		return -EINVAL;
	}
	if (prefix_has_host_bits(&prefix)) {
		*ret_reason =
			"the bits beyond the length of a prefix must be zero, like in 10.0.0.0/8";
		return -EINVAL;
	}
	entry = (struct embedded_prefix){ ntohl(prefix.addr.in.sin_addr.s_addr), prefix.len };
	if (embedded_is_never(&entry)) {
		*ret_reason = "no server can have such an address: name unicast addresses";
		return -EINVAL;
	}
	for (size_t i = 0; i < listener->n_allow; i++)
		if (listener->allow[i].addr == entry.addr && listener->allow[i].len == entry.len) {
			*ret_reason = "the listener allows this already";
			return -EINVAL;
		}
	if (listener->n_allow >= CONFIG_ALLOW_MAX) {
		*ret_reason = "a listener may allow 256 addresses and prefixes";
		return -EINVAL;
	}
	place = grow_array((void **)&listener->allow, listener->n_allow, sizeof(*place));
	if (!place)
		return -ENOMEM;
	*place = entry;
	listener->n_allow++;
	return 0;
}

/* ---- proxies in front of us ---- */

static const char *flaw_of_from(const struct prefix *prefix)
{
	bool v6 = sockaddr_family(&prefix->addr) == AF_INET6;
	bool wide = prefix->len < 8; /* takes in all kinds of addresses */

	if (prefix_has_host_bits(prefix))
		return "the bits beyond the length of a prefix must be zero, like in "
		       "2001:db8::/48";
	if (v6 && prefix->addr.in6.sin6_scope_id)
		return "leave out the '%' and what follows: an interface is not looked at";
	if (!wide && is_mapped(prefix))
		return "write the IPv4 address itself, like 192.0.2.1";
	if ((!wide && is_multicast(prefix)) ||
		(sockaddr_is_any(&prefix->addr) && prefix->len == prefix_full_len(&prefix->addr)))
		return "no proxy can have this address: name unicast addresses";
	return NULL;
}

int config_add_from(
	struct config_accept_proxy *accept_proxy, const char *text, const char **ret_reason)
{
	struct config_address *place;
	struct prefix prefix;
	const char *flaw;

	if (prefix_parse(text, &prefix, ret_reason) < 0)
		return -EINVAL;
	flaw = flaw_of_from(&prefix);
	for (size_t i = 0; i < accept_proxy->n_from && !flaw; i++)
		if (accept_proxy->from[i].prefix_len == prefix.len &&
			sockaddr_equal(&accept_proxy->from[i].addr, &prefix.addr))
			flaw = "the list has this already: write it once";
	if (!flaw && accept_proxy->n_from >= CONFIG_FROM_MAX)
		flaw = "the list may have 256 addresses and prefixes";
	if (flaw) {
		*ret_reason = flaw;
		return -EINVAL;
	}
	place = grow_array((void **)&accept_proxy->from, accept_proxy->n_from, sizeof(*place));
	if (!place)
		return -ENOMEM;
	*place = (struct config_address){ .addr = prefix.addr, .prefix_len = prefix.len };
	accept_proxy->n_from++;
	return 0;
}

/* ---- pools ---- */

/* "192.0.2.10:80", or "192.0.2.10:*" with port 0. */
static int parse_backend(const char *text, struct sockaddr_any *ret_addr, const char **ret_reason)
{
	const char *colon = strrchr(text, ':');
	char host[INET_ADDRSTRLEN];

	if (!colon || strcmp(colon, ":*") != 0)
		return sockaddr_parse(text, ret_addr, ret_reason);
	if (colon - text >= INET_ADDRSTRLEN)
		return -EINVAL;
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	return sockaddr_parse_host(host, ret_addr, ret_reason);
}

int config_add_backend(
	struct config_pool *pool, const char *text, uint32_t weight, const char **ret_reason)
{
	struct config_backend *backend;
	struct sockaddr_any addr;

	if (parse_backend(text, &addr, ret_reason) < 0 || sockaddr_family(&addr) != AF_INET) {
		*ret_reason = "a backend is an IPv4 address or a name, and a port, like "
			      "192.0.2.10:80 or db.example:5432";
		return -EINVAL;
	}
	if (!config_is_unicast(&addr)) {
		*ret_reason = "no server can have this address: name one unicast address";
		return -EINVAL;
	}
	for (size_t i = 0; i < pool->n_backends; i++)
		if (sockaddr_equal(&pool->backends[i].addr, &addr)) {
			*ret_reason = "the pool has this backend already: give it a weight instead";
			return -EINVAL;
		}
	if (pool->n_backends >= CONFIG_BACKENDS_MAX) {
		*ret_reason = "a pool may have 1024 backends";
		return -EINVAL;
	}
	backend = grow_array((void **)&pool->backends, pool->n_backends, sizeof(*backend));
	if (!backend)
		return -ENOMEM;
	*backend = (struct config_backend){ .addr = addr, .weight = weight };
	pool->n_backends++;
	return 0;
}

int config_add_source(struct config_pool *pool, const char *text, const char **ret_reason)
{
	struct sockaddr_any addr, *place;

	if (sockaddr_parse_host(text, &addr, ret_reason) < 0 || sockaddr_family(&addr) != AF_INET ||
		!config_is_unicast(&addr)) {
		*ret_reason = "a source is an IPv4 address of this machine, like 192.0.2.1";
		return -EINVAL;
	}
	for (size_t i = 0; i < pool->n_sources; i++)
		if (sockaddr_equal(&pool->sources[i], &addr)) {
			*ret_reason = "the pool has this source already";
			return -EINVAL;
		}
	if (pool->n_sources >= CONFIG_SOURCES_MAX) {
		*ret_reason = "a pool may have 256 sources";
		return -EINVAL;
	}
	place = grow_array((void **)&pool->sources, pool->n_sources, sizeof(*place));
	if (!place)
		return -ENOMEM;
	*place = addr;
	pool->n_sources++;
	return 0;
}

/* ---- the network ---- */

static bool has_address(
	const struct config_address *list, size_t n, const struct sockaddr_any *addr)
{
	for (size_t i = 0; i < n; i++)
		if (sockaddr_equal(&list[i].addr, addr))
			return true;
	return false;
}

/* Why an interface could not have the address; NULL: it can. */
static const char *flaw_of_host(const struct prefix *prefix)
{
	const struct prefix host = { prefix->addr, prefix_full_len(&prefix->addr) };

	if (prefix->len == 0)
		return "an address has a length of 1 to 128, or to 32 for IPv4, like "
		       "2001:db8::1/128";
	if (is_mapped(&host))
		return "write the IPv4 address itself, like 192.0.2.1";
	if (sockaddr_is_any(&prefix->addr) || is_multicast(&host) ||
		(sockaddr_family(&prefix->addr) == AF_INET && !config_is_unicast(&prefix->addr)))
		return "no interface can have this address: name one unicast address";
	if (overlaps(&host, "::1/128") || overlaps(&host, "127.0.0.0/8"))
		return "nobody reaches a loopback address from outside: name another";
	if (sockaddr_family(&prefix->addr) == AF_INET6 && prefix->addr.in6.sin6_scope_id)
		return "leave out the '%' and what follows: the option interface says where";
	return NULL;
}

static int add_address(struct config_address **list, size_t *n, const char *text,
	struct config_network *network, bool v4, const char **ret_reason)
{
	struct config_address *place;
	struct prefix prefix;
	const char *flaw;

	if (prefix_parse(text, &prefix, ret_reason) < 0)
		return -EINVAL;
	flaw = flaw_of_host(&prefix);
	if (!flaw && v4 && sockaddr_family(&prefix.addr) != AF_INET)
		flaw = "servers are reached over IPv4: write an address like 192.0.2.1/24";
	if (!flaw && has_address(*list, *n, &prefix.addr))
		flaw = "section network has this address already: write it once";
	if (!flaw && (has_address(network->addrs, network->n_addrs, &prefix.addr) ||
			     has_address(network->sources, network->n_sources, &prefix.addr)))
		flaw = "an address is either for clients or a source: take it out of one of the "
		       "two, address and source";
	if (!flaw && *n >= CONFIG_ADDRESSES_MAX)
		flaw = "section network may have 1024 addresses of a kind";
	if (flaw) {
		*ret_reason = flaw;
		return -EINVAL;
	}
	place = grow_array((void **)list, *n, sizeof(*place));
	if (!place)
		return -ENOMEM;
	*place = (struct config_address){ .addr = prefix.addr, .prefix_len = prefix.len };
	*n += 1;
	return 0;
}

int config_add_vip(struct config_network *network, const char *text, const char **ret_reason)
{
	return add_address(&network->addrs, &network->n_addrs, text, network, false, ret_reason);
}

int config_add_net_source(struct config_network *network, const char *text, const char **ret_reason)
{
	return add_address(&network->sources, &network->n_sources, text, network, true, ret_reason);
}

static bool listener_needs_network(const struct config_listener *listener)
{
	for (size_t b = 0; b < listener->n_binds; b++)
		if (config_bind_diverted(&listener->binds[b]))
			return true;
	return config_is_transparent(listener);
}

bool config_needs_network(const struct config *config)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (listener_needs_network(&config->listeners[i]))
			return true;
	return config->network.given;
}
