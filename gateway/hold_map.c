#include "hold_map.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "bind.h"
#include "prefix.h"

bool hold_map_wanted(const struct config *config)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].after_backend)
			return true;
	return false;
}

/*
 * Whether packets to the bind may be queued, by this or another listener's rule. By ports alone:
 * one too many in the map costs a comparison, one that is missing would let its packets be taken
 * for another's.
 */
static bool is_concerned(const struct config *config, const struct config_bind *bind)
{
	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct config_listener *listener = &config->listeners[i];

		for (size_t b = 0; b < listener->n_binds && listener->after_backend; b++) {
			uint16_t port = sockaddr_port(&listener->binds[b].addr);

			if (port >= sockaddr_port(&bind->addr) && port <= bind->port_max)
				return true;
		}
	}
	return false;
}

int hold_map_init(struct hold_map *map, const struct config *config)
{
	size_t most = 0;

	*map = (struct hold_map){ 0 };
	for (size_t i = 0; i < config->n_listeners; i++)
		most += config->listeners[i].n_binds;
	map->binds = calloc(most + 1, sizeof(*map->binds));
	if (!map->binds)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_listeners; i++)
		for (size_t b = 0; b < config->listeners[i].n_binds; b++) {
			const struct config_listener *listener = &config->listeners[i];
			const struct config_bind *bind = &listener->binds[b];

			if (bind->protocol == IPPROTO_TCP && is_concerned(config, bind))
				map->binds[map->n_binds++] = (struct hold_map_bind){
					.listener = listener,
					.bind = bind,
				};
		}
	return 0;
}

void hold_map_destroy(struct hold_map *map)
{
	free(map->binds);
	*map = (struct hold_map){ 0 };
}

/* Whether it takes clients of that address; one of all IPv6 addresses may take IPv4 clients. */
static bool takes(const struct hold_map_bind *held, const struct config_bind *point)
{
	if (sockaddr_family(&held->bind->addr) == sockaddr_family(&point->addr))
		return bind_covers(held->bind, point);
	return sockaddr_family(&point->addr) == AF_INET && !held->listener->v6only &&
	       sockaddr_is_any(&held->bind->addr) &&
	       sockaddr_port(&held->bind->addr) == point->port_max;
}

int hold_map_find(const struct hold_map *map, const struct sockaddr_any *local, size_t *ret_bind)
{
	const struct config_bind point = {
		.addr = *local,
		.protocol = IPPROTO_TCP,
		.prefix_len = prefix_full_len(local),
		.port_max = sockaddr_port(local),
	};
	const struct hold_map_bind *best = NULL;

	for (size_t i = 0; i < map->n_binds; i++)
		if (takes(&map->binds[i], &point) &&
			(!best || bind_compare(map->binds[i].bind, best->bind) < 0))
			best = &map->binds[i];
	if (!best || !best->listener->after_backend)
		return -ENOENT;
	*ret_bind = (size_t)(best - map->binds);
	return 0;
}
