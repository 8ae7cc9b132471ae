#include "doctor_facts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net_apply.h>
#include <net_step.h>
#include <net_text.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"
#include "net_wanted.h"
#include "nft_table.h"

/*
 * Theory of operation
 *
 * What the configuration wants comes first (wanted, names, binds, backends), then what there is:
 * sockets, links, addresses, rules, the route to each backend. The kernel is asked for a route as
 * it would be for a packet, and not guessed at from the tables: rules, caches and next hops are its
 * own business. All routes are only read where something has to be explained by them, as a router
 * may have a million.
 *
 * Only want of memory, or of c-ares altogether, ends the gathering. What the kernel does not tell
 * is noted as such, and the checks that need it say so.
 */
#define IPV6_MTU_MIN 1280U

/* ---- plain questions ---- */

void doctor_bytes(const struct sockaddr_any *addr, uint8_t ret_bytes[16])
{
	memset(ret_bytes, 0, 16);
	if (sockaddr_family(addr) == AF_INET)
		memcpy(ret_bytes, &addr->in.sin_addr, 4);
	else
		memcpy(ret_bytes, &addr->in6.sin6_addr, 16);
}

bool doctor_covers(const uint8_t *prefix, unsigned len, const uint8_t *addr)
{
	if (memcmp(prefix, addr, len / 8) != 0)
		return false;
	return len % 8 == 0 || (prefix[len / 8] ^ addr[len / 8]) >> (8 - len % 8) == 0;
}

const char *doctor_prefix(
	uint8_t family, const uint8_t addr[16], uint8_t len, char buf[DOCTOR_PREFIX_MAX])
{
	char host[NET_TEXT_ADDR_MAX];

	snprintf(buf, DOCTOR_PREFIX_MAX, "%s/%u", net_text_addr(family, addr, host), len);
	return buf;
}

const struct net_addr *doctor_find_addr(const struct doctor_facts *facts, uint8_t family,
	const uint8_t addr[16], const char *ifname)
{
	for (size_t i = 0; i < facts->net.n_addrs; i++) {
		const struct net_addr *found = &facts->net.addrs[i];

		if (found->family == family && memcmp(found->addr, addr, 16) == 0 &&
			(!ifname || strcmp(found->ifname, ifname) == 0))
			return found;
	}
	return NULL;
}

const struct net_addr *doctor_find_subnet(
	const struct doctor_facts *facts, uint8_t family, const uint8_t addr[16])
{
	const struct net_addr *best = NULL;

	for (size_t i = 0; i < facts->net.n_addrs; i++) {
		const struct net_addr *found = &facts->net.addrs[i];
		const struct net_link *link = net_state_find_link(&facts->net, found->ifname);

		if (found->family != family || !link || link->loopback ||
			found->prefix_len >= net_family_len(family) * 8 ||
			!doctor_covers(found->addr, found->prefix_len, addr))
			continue;
		if (!best || found->prefix_len > best->prefix_len)
			best = found;
	}
	return best;
}

bool doctor_link_works(const struct doctor_facts *facts, const char *ifname, uint8_t family)
{
	const struct net_link *link = net_state_find_link(&facts->net, ifname);
	int64_t disabled;

	if (!link || !link->up)
		return false;
	if (family == AF_INET)
		return true;
	if (link->mtu < IPV6_MTU_MIN)
		return false;
	return doctor_proc_numbers(facts->root, &disabled, 1,
		       "/proc/sys/net/ipv6/conf/%s/disable_ipv6", ifname) < 0 ||
	       disabled == 0;
}

bool doctor_link_wanted(const struct doctor_facts *facts, const char *ifname)
{
	const struct net_state *net = &facts->wanted.net;

	for (size_t i = 0; i < net->n_addrs; i++)
		if (strcmp(net->addrs[i].ifname, ifname) == 0)
			return true;
	for (size_t i = 0; i < net->n_routes; i++)
		if (strcmp(net->routes[i].ifname, ifname) == 0)
			return true;
	return false;
}

bool doctor_wants_transparent(const struct doctor_facts *facts)
{
	for (size_t i = 0; i < facts->config->n_listeners; i++)
		if (facts->config->listeners[i].identity == IDENTITY_TRANSPARENT)
			return true;
	return false;
}

const struct net_route *doctor_find_route(
	const struct doctor_facts *facts, uint8_t family, const uint8_t addr[16])
{
	const struct net_route *best = NULL;

	for (size_t i = 0; i < facts->all.n_routes; i++) {
		const struct net_route *route = &facts->all.routes[i];

		if (route->family != family || !doctor_covers(route->dst, route->dst_len, addr))
			continue;
		if (!best || route->dst_len > best->dst_len ||
			(route->dst_len == best->dst_len && route->metric < best->metric))
			best = route;
	}
	return best;
}

bool doctor_serves(const struct doctor_facts *facts, const struct doctor_backend *backend,
	const struct config_listener *listener)
{
	if (listener->protocol != backend->protocol || listener->embedded != !backend->pool)
		return false;
	return listener->embedded ? strcmp(listener->name, backend->owner) == 0
				  : &facts->config->pools[listener->pool] == backend->pool;
}

/* ---- from the configuration ---- */

static int add_backend(struct doctor_facts *facts, const struct doctor_backend *backend)
{
	struct doctor_backend *bigger =
		reallocarray(facts->backends, facts->n_backends + 1, sizeof(*bigger));

	if (!bigger)
		return -ENOMEM;
	facts->backends = bigger;
	facts->backends[facts->n_backends++] = *backend;
	return 0;
}

/*
 * The port that a backend without one gets from clients: of the first listener whose first bind is
 * one port. 0: there is none.
 */
static uint16_t client_port(const struct config *config, size_t pool, uint8_t protocol)
{
	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct config_listener *listener = &config->listeners[i];

		if (listener->embedded || listener->pool != pool ||
			listener->protocol != protocol || listener->n_binds == 0)
			continue;
		if (listener->binds[0].port_max == sockaddr_port(&listener->binds[0].addr))
			return listener->binds[0].port_max;
	}
	return 0;
}

static bool is_used(const struct config *config, size_t pool, uint8_t protocol)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (!config->listeners[i].embedded && config->listeners[i].pool == pool &&
			config->listeners[i].protocol == protocol)
			return true;
	return false;
}

/* One of the pool's backends, at addr. 0 or -ENOMEM. */
static int list_backend(struct doctor_facts *facts, size_t index, size_t backend,
	const struct sockaddr_any *addr, uint8_t protocol)
{
	const struct config_pool *pool = &facts->config->pools[index];
	struct doctor_backend listed = {
		.owner = pool->name,
		.pool = pool,
		.addr = *addr,
		.protocol = protocol,
		.served = pool->backends[backend].weight > 0,
	};

	if (sockaddr_port(addr) == 0)
		sockaddr_set_port(&listed.addr, client_port(facts->config, index, protocol));
	return add_backend(facts, &listed);
}

static int list_name(struct doctor_facts *facts, const struct doctor_name *name, uint8_t protocol)
{
	const struct config_pool *pool = &facts->config->pools[name->pool];
	int err = 0;

	for (size_t i = 0; i < name->n_addrs && i < name->config->n && !err; i++) {
		struct sockaddr_any addr = pool->backends[name->config->first].addr;

		addr.in.sin_addr = name->addrs[i];
		err = list_backend(facts, name->pool, name->config->first, &addr, protocol);
	}
	return err;
}

static int list_pool(struct doctor_facts *facts, size_t index, uint8_t protocol)
{
	const struct config_pool *pool = &facts->config->pools[index];
	int err = 0;

	for (size_t i = 0; i < pool->n_backends && !err; i++)
		if (!sockaddr_is_any(&pool->backends[i].addr))
			err = list_backend(facts, index, i, &pool->backends[i].addr, protocol);
	for (size_t i = 0; i < facts->names.n_names && !err; i++)
		if (facts->names.names[i].pool == index)
			err = list_name(facts, &facts->names.names[i], protocol);
	return err;
}

static int list_listener(struct doctor_facts *facts, const struct config_listener *listener)
{
	struct doctor_bind *bigger =
		reallocarray(facts->binds, facts->n_binds + listener->n_binds + 1, sizeof(*bigger));
	int err = 0;

	if (!bigger)
		return -ENOMEM;
	facts->binds = bigger;
	for (size_t i = 0; i < listener->n_binds; i++)
		facts->binds[facts->n_binds++] =
			(struct doctor_bind){ .listener = listener, .bind = &listener->binds[i] };
	for (size_t i = 0; i < listener->n_allow && listener->embedded && !err; i++) {
		struct doctor_backend backend = { .owner = listener->name,
			.protocol = listener->protocol };

		backend.addr.in.sin_family = AF_INET;
		backend.addr.in.sin_addr.s_addr = htonl(listener->allow[i].addr);
		/* The first address of a subnet is nobody's. */
		if (listener->allow[i].len < 31)
			backend.addr.in.sin_addr.s_addr = htonl(listener->allow[i].addr + 1);
		if (listener->allow[i].len > 0)
			err = add_backend(facts, &backend);
	}
	return err;
}

int doctor_facts_list(struct doctor_facts *facts)
{
	const struct config *config = facts->config;
	int err = 0;

	for (size_t i = 0; i < config->n_pools && !err; i++) {
		bool udp = is_used(config, i, IPPROTO_UDP);

		if (!udp || is_used(config, i, IPPROTO_TCP))
			err = list_pool(facts, i, IPPROTO_TCP);
		if (!err && udp)
			err = list_pool(facts, i, IPPROTO_UDP);
	}
	for (size_t i = 0; i < config->n_listeners && !err; i++)
		err = list_listener(facts, &config->listeners[i]);
	return err;
}

/* ---- commands ---- */

/*
 * Our network is that of the machine, and systemd knows of a unit: only then is "systemctl start" a
 * remedy. In a network namespace of our own it would start the gateway elsewhere.
 */
static bool has_unit(const char *root)
{
	static const char *const units[] = {
		"/etc/systemd/system/sixgate.service",
		"/run/systemd/system/sixgate.service",
		"/usr/local/lib/systemd/system/sixgate.service",
		"/usr/lib/systemd/system/sixgate.service",
		"/lib/systemd/system/sixgate.service",
	};
	struct stat ours, first;

	if (!doctor_proc_exists(root, "/run/systemd/system"))
		return false;
	if (stat("/proc/self/ns/net", &ours) == 0 && stat("/proc/1/ns/net", &first) == 0 &&
		ours.st_ino != first.st_ino)
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (doctor_proc_exists(root, units[i]))
			return true;
	return false;
}

static int make_commands(struct doctor_facts *facts, const char *path)
{
	char exe[PATH_MAX], daemon[PATH_MAX + 16], absolute[PATH_MAX];
	char *self = NULL, *file = NULL, *other = NULL, *name;
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	int err = -ENOMEM;

	if (len <= 0)
		len = stpcpy(exe, "sixgatectl") - exe;
	exe[len] = '\0';
	snprintf(daemon, sizeof(daemon), "%s", exe);
	name = strrchr(daemon, '/') ? strrchr(daemon, '/') + 1 : daemon;
	snprintf(name, sizeof(daemon) - (size_t)(name - daemon), "sixgated");
	self = doctor_quote(exe);
	other = doctor_quote(daemon);
	file = doctor_quote(realpath(path, absolute) ? absolute : path);
	if (!self || !other || !file)
		goto finish;
	facts->apply = doctor_text("%s --config %s net apply", self, file);
	if (has_unit(facts->root))
		facts->start = strdup("systemctl start sixgate");
	else
		facts->start = doctor_text(
			"setsid %s --config %s </dev/null >/dev/null 2>&1 &", other, file);
	if (facts->apply && facts->start)
		err = 0;
finish:
	free(self);
	free(other);
	free(file);
	return err;
}

/* ---- from the kernel ---- */

/*
 * (for doctor_proc_sockets()) A bind to a prefix or a range has its one socket at the address and
 * port that it begins at.
 */
static void take_socket(void *userdata, const struct doctor_socket *socket)
{
	struct doctor_facts *facts = userdata;

	for (size_t i = 0; i < facts->n_binds && socket->listening; i++)
		if (facts->binds[i].bind->protocol == socket->protocol &&
			sockaddr_family(&facts->binds[i].bind->addr) ==
				sockaddr_family(&socket->local) &&
			sockaddr_equal(&facts->binds[i].bind->addr, &socket->local))
			facts->binds[i].listening = true;
	for (size_t i = 0; i < facts->n_backends && !socket->listening; i++)
		if (facts->backends[i].protocol == socket->protocol &&
			sockaddr_family(&socket->remote) == AF_INET &&
			sockaddr_equal(&facts->backends[i].addr, &socket->remote))
			facts->backends[i].in_use++;
}

static void read_sockets(struct doctor_facts *facts)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };

	for (size_t i = 0; i < 2 && !facts->sockets_error; i++) {
		int err =
			doctor_proc_sockets(facts->root, protocols[i], AF_INET, take_socket, facts);
		int err6 = doctor_proc_sockets(
			facts->root, protocols[i], AF_INET6, take_socket, facts);

		/* Without IPv6 in the kernel there is no such file, and no such socket. */
		facts->sockets_error = err ? err : err6 == -ENOENT ? 0 : err6;
	}
}

static void look_up(struct nl_channel *channel, const char *host, struct net_route *ret_route)
{
	struct sockaddr_any addr;
	uint8_t bytes[16];
	const char *reason;

	if (sockaddr_parse_host(host, &addr, &reason) < 0)
		return;
	doctor_bytes(&addr, bytes);
	if (net_read_lookup(channel, (uint8_t)sockaddr_family(&addr), bytes, 0, ret_route) < 0)
		*ret_route = (struct net_route){ 0 };
}

/* Something will have to be explained of it; all routes are many, and only read for that. */
static bool leads_elsewhere(const struct doctor_backend *backend)
{
	return backend->error != 0 || backend->route.type != RTN_UNICAST ||
	       backend->route.mtu != 0 || strcmp(backend->route.ifname, "lo") == 0;
}

/* A rule of somebody else that may be in the way of ours. */
static bool has_rule_before(const struct doctor_facts *facts)
{
	const struct net_state *wanted = &facts->wanted.net;

	for (size_t i = 0; i < facts->net.n_rules; i++)
		if (wanted->n_rules > 0 && facts->net.rules[i].family == wanted->rules[0].family &&
			facts->net.rules[i].table != RT_TABLE_LOCAL &&
			facts->net.rules[i].priority < wanted->rules[0].priority)
			return true;
	return false;
}

static void look_up_all(struct doctor_facts *facts, struct nl_channel *channel)
{
	bool explain = has_rule_before(facts);
	uint8_t bytes[16];

	for (size_t i = 0; i < facts->n_backends; i++) {
		struct doctor_backend *backend = &facts->backends[i];

		doctor_bytes(&backend->addr, bytes);
		backend->error = net_read_lookup(channel, AF_INET, bytes, 0, &backend->route);
		explain = explain || leads_elsewhere(backend);
	}
	for (size_t i = 0; i < facts->n_binds; i++) {
		const struct sockaddr_any *addr = &facts->binds[i].bind->addr;
		uint8_t family = (uint8_t)sockaddr_family(addr);
		struct net_route route = { 0 };

		doctor_bytes(addr, bytes);
		facts->binds[i].local = doctor_find_addr(facts, family, bytes, NULL) ||
					(net_read_lookup(channel, family, bytes, 0, &route) == 0 &&
						route.type == RTN_LOCAL);
	}
	/* Addresses that nobody has a route of their own for: RFC 7600, and one not yet given out.
	 */
	look_up(channel, "192.0.0.8", &facts->default_v4);
	look_up(channel, "2000::1", &facts->default_v6);
	if (explain && net_read_state(channel, NET_READ_ALL, &facts->all) < 0)
		net_state_clear(&facts->all);
}

/* Routes without our mark were not read; one that is wanted may be among them. */
static void add_others_routes(struct doctor_facts *facts, struct net_channels *channels)
{
	for (size_t i = 0; i < facts->wanted.net.n_routes; i++) {
		struct net_step step = { .kind = NET_STEP_ROUTE,
			.route = facts->wanted.net.routes[i] };
		const struct net_link *link = net_state_find_link(&facts->net, step.route.ifname);
		bool done = false;

		step.route.index = link ? link->index : 0;
		if (net_step_is_done(channels, &step, &done) == 0 && done) {
			step.route.protocol = 0;
			(void)net_state_add_route(&facts->net, &step.route);
		}
	}
}

static void read_kernel(struct doctor_facts *facts)
{
	struct net_channels channels;

	facts->net_error = net_channels_open(&channels, facts->config->network.receive_buffer);
	facts->nft_error = facts->net_error;
	if (facts->net_error)
		return;
	facts->net_error = net_read_state(&channels.route, NET_READ_OURS, &facts->net);
	if (!facts->net_error) {
		add_others_routes(facts, &channels);
		look_up_all(facts, &channels.route);
	}
	facts->nft_error = -EPROTONOSUPPORT;
	if (channels.nft.fd >= 0)
		facts->nft_error = nft_table_read(&channels.nft, &facts->nft_image);
	net_channels_close(&channels);
}

/* Whether nobody accepts at the control socket. Who may not ask does not know. */
static bool is_absent(const struct config *config)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	bool absent = false;
	int fd, n;

	n = snprintf(
		addr.sun_path, sizeof(addr.sun_path), "%s/" CONTROL_SOCKET, config->run_directory);
	if (n < 0 || (size_t)n >= sizeof(addr.sun_path))
		return false;
	/* A gateway that has no time for us is there: EAGAIN. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		absent = errno == ENOENT || errno == ECONNREFUSED;
	close(fd);
	return absent;
}

int doctor_facts_gather(
	const struct config *config, const char *path, struct doctor_facts *ret_facts)
{
	struct doctor_facts facts = { .config = config, .root = "" };
	int err;

	err = make_commands(&facts, path);
	if (!err)
		err = net_wanted_make(config, net_wanted_has_conntrack(), &facts.wanted);
	if (!err)
		err = doctor_names_look_up(config, &facts.names);
	if (!err)
		err = doctor_facts_list(&facts);
	if (err) {
		doctor_facts_clear(&facts);
		return err;
	}
	facts.absent = is_absent(config);
	read_sockets(&facts);
	read_kernel(&facts);
	*ret_facts = facts;
	return 0;
}

void doctor_facts_clear(struct doctor_facts *facts)
{
	net_wanted_clear(&facts->wanted);
	net_state_clear(&facts->net);
	net_state_clear(&facts->all);
	free(facts->nft_image);
	doctor_names_clear(&facts->names);
	free(facts->binds);
	free(facts->backends);
	free(facts->apply);
	free(facts->start);
	*facts = (struct doctor_facts){ 0 };
}
