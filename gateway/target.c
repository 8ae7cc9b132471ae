#include "target.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "embedded.h"

static int pick_embedded(const struct config_listener *listener, const struct config_bind *bind,
	const struct sockaddr_any *local, struct target *ret_target)
{
	struct in_addr addr;

	if (sockaddr_family(local) != AF_INET6 ||
		embedded_extract(&local->in6.sin6_addr, bind->prefix_len, &addr) < 0 ||
		!embedded_is_allowed(listener->allow, listener->n_allow, &addr))
		return -EACCES;
	*ret_target = (struct target){
		.addr.in = { .sin_family = AF_INET, .sin_addr = addr },
	};
	sockaddr_set_port(&ret_target->addr, sockaddr_port(local));
	return 0;
}

int target_pick(const struct config_listener *listener, const struct config_bind *bind,
	struct pool *pools, const struct sockaddr_any *local, const struct pool_request *request,
	struct target *ret_target)
{
	struct pool *pool;
	size_t backend;

	if (listener->embedded)
		return request->n_tried > 0 ? -ENOENT
					    : pick_embedded(listener, bind, local, ret_target);
	pool = &pools[listener->pool];
	if (request->n_tried == 0 && pool_is_full(pool))
		return -EBUSY;
	backend = pool_pick(pool, request);
	if (backend == BALANCE_NONE)
		return pool_backends_full(pool, request) ? -EUSERS : -ENOENT;
	*ret_target = (struct target){
		.addr = pool_address(pool, backend),
		.pool = pool,
		.backend = (uint16_t)backend,
	};
	if (sockaddr_port(&ret_target->addr) == 0)
		sockaddr_set_port(&ret_target->addr, sockaddr_port(local));
	return 0;
}

int target_set_init(struct target_set *set, const struct config *config, struct pool_state *state,
	size_t worker)
{
	int err = 0;

	*set = (struct target_set){ 0 };
	for (size_t i = 0; i < config->n_listeners && !set->own.family && !err; i++)
		if (config->listeners[i].embedded)
			err = own_address_open(&set->own, AF_INET);
	if (err)
		return err;
	set->pools = calloc(config->n_pools + 1, sizeof(*set->pools));
	if (!set->pools)
		err = -ENOMEM;
	for (; !err && set->n_pools < config->n_pools; set->n_pools++) {
		err = pool_init(&set->pools[set->n_pools], config, set->n_pools, state, worker);
		if (err)
			break;
	}
	if (err)
		target_set_destroy(set);
	return err;
}

void target_set_destroy(struct target_set *set)
{
	for (size_t i = 0; i < set->n_pools; i++)
		pool_destroy(&set->pools[i]);
	free(set->pools);
	set->pools = NULL;
	set->n_pools = 0;
	own_address_close(&set->own);
}

int target_set_pick(struct target_set *set, const struct config_listener *listener,
	const struct config_bind *bind, const struct sockaddr_any *local,
	const struct pool_request *request, struct target *ret_target)
{
	struct target target;
	int err;

	/* Another worker may have taken the last place since; then there is a reason, or another.
	 */
	do {
		err = target_pick(listener, bind, set->pools, local, request, &target);
		if (err)
			return err;
	} while (target.pool && !pool_take(target.pool, target.backend, request->n_tried > 0));
	/* Our own services are no servers behind us, whatever net they are in. */
	if (listener->embedded && own_address_is(&set->own, &target.addr) &&
		!embedded_is_named(listener->allow, listener->n_allow, &target.addr.in.sin_addr))
		return -ELOOP;
	*ret_target = target;
	return 0;
}

struct pool *target_set_find(const struct target_set *set, const char *pool,
	const struct sockaddr_any *addr, uint16_t *ret_backend)
{
	for (size_t i = 0; i < set->n_pools; i++) {
		struct pool *found = &set->pools[i];

		if (strcmp(found->config->name, pool) != 0)
			continue;
		for (size_t b = 0; b < found->config->n_backends; b++)
			if (pool_state_is_at(found->state, found->index, b, addr)) {
				*ret_backend = (uint16_t)b;
				return found;
			}
	}
	return NULL;
}
