#include "bind.h"

#include "prefix.h"

int bind_compare(const struct config_bind *a, const struct config_bind *b)
{
	int first_a = sockaddr_port(&a->addr), first_b = sockaddr_port(&b->addr);
	int ports_a = a->port_max - first_a, ports_b = b->port_max - first_b;

	if (a->prefix_len != b->prefix_len)
		return b->prefix_len - a->prefix_len;
	return ports_a != ports_b ? ports_a - ports_b : first_a - first_b;
}

bool bind_covers(const struct config_bind *wide, const struct config_bind *narrow)
{
	const struct prefix a = { wide->addr, wide->prefix_len };
	const struct prefix b = { narrow->addr, narrow->prefix_len };

	return wide->protocol == narrow->protocol && wide->prefix_len <= narrow->prefix_len &&
	       prefix_overlaps(&a, &b) && sockaddr_port(&wide->addr) <= narrow->port_max &&
	       wide->port_max >= sockaddr_port(&narrow->addr);
}

bool bind_is_contested(const struct config *config, const struct config_bind *bind)
{
	if (config_bind_diverted(bind))
		return true;
	for (size_t i = 0; i < config->n_listeners; i++)
		for (size_t b = 0; b < config->listeners[i].n_binds; b++) {
			const struct config_bind *other = &config->listeners[i].binds[b];

			if (config_bind_diverted(other) && bind_covers(bind, other))
				return true;
		}
	return false;
}

bool bind_is_meant(const struct config *config, const struct config_bind *bind,
	const struct sockaddr_any *local)
{
	const struct config_bind point = {
		.addr = *local,
		.protocol = bind->protocol,
		.prefix_len = prefix_full_len(local),
		.port_max = sockaddr_port(local),
	};

	/* A socket of IPv6 that takes IPv4 clients, too, is not contested among those. */
	if (sockaddr_family(local) != sockaddr_family(&bind->addr))
		return true;
	if (!bind_covers(bind, &point))
		return false;
	for (size_t i = 0; i < config->n_listeners; i++)
		for (size_t b = 0; b < config->listeners[i].n_binds; b++) {
			const struct config_bind *other = &config->listeners[i].binds[b];

			if (bind_covers(other, &point) && bind_compare(other, bind) < 0)
				return false;
		}
	return true;
}

static bool listens(const struct config_listener *listener, const struct config_bind *bind,
	const struct sockaddr_any *at, bool any)
{
	const struct prefix all = { bind->addr, bind->prefix_len };
	const struct prefix one = { *at, prefix_full_len(at) };
	int port = sockaddr_port(at);

	if (port < sockaddr_port(&bind->addr) || port > bind->port_max)
		return false;
	if (bind->prefix_len > 0)
		return prefix_overlaps(&all, &one);
	return any && (sockaddr_family(at) == sockaddr_family(&bind->addr) || !listener->v6only);
}

bool bind_listens(
	const struct config *config, uint8_t protocol, const struct sockaddr_any *at, bool any)
{
	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct config_listener *listener = &config->listeners[i];

		for (size_t b = 0; listener->protocol == protocol && b < listener->n_binds; b++)
			if (listens(listener, &listener->binds[b], at, any))
				return true;
	}
	return false;
}
