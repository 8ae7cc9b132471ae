#include "orders.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grow.h"
#include "log.h"

/*
 * Theory of operation
 *
 * pool_state.h tells of every change of an address; whoever is there then gets what was ordered for
 * it. An order whose backend has no address now, as DNS says so, waits.
 */

struct order {
	size_t pool;
	struct sockaddr_any addr;
	uint32_t configured; /* what the configuration said */
	uint32_t weight;
};

struct orders {
	const struct config *config;
	struct pool_state *pools;
	struct pool_state_watch watch;
	struct order *list;
	size_t n;
};

static struct order *find(const struct orders *orders, size_t pool, const struct sockaddr_any *addr)
{
	for (size_t i = 0; i < orders->n; i++)
		if (orders->list[i].pool == pool && sockaddr_equal(&orders->list[i].addr, addr))
			return &orders->list[i];
	return NULL;
}

static uint32_t configured(const struct orders *orders, size_t pool, size_t backend)
{
	return orders->config->pools[pool].backends[backend].weight;
}

static void apply(struct orders *orders, size_t pool, size_t backend)
{
	uint32_t weight = configured(orders, pool, backend);
	const struct order *order;
	struct sockaddr_any addr;

	if (!pool_state_address(orders->pools, pool, backend, &addr))
		return;
	order = find(orders, pool, &addr);
	if (order && order->configured == weight)
		weight = order->weight;
	pool_state_set_weight(orders->pools, pool, backend, weight);
}

static void on_change(struct pool_state_watch *watch, size_t pool, size_t backend)
{
	apply(list_entry(watch, struct orders, watch), pool, backend);
}

static int add(struct orders *orders, const struct order *order)
{
	struct order *list;

	if (orders->n == ORDERS_MAX)
		return -ENOSPC;
	list = realloc(orders->list, (orders->n + 1) * sizeof(*list));
	if (!list)
		return -ENOMEM;
	orders->list = list;
	orders->list[orders->n++] = *order;
	return 0;
}

int orders_set_weight(struct orders *orders, size_t pool, size_t backend, uint32_t weight)
{
	struct order order = {
		.pool = pool,
		.configured = configured(orders, pool, backend),
		.weight = weight,
	};
	struct order *there;
	int err = 0;

	if (!pool_state_address(orders->pools, pool, backend, &order.addr))
		return -ENOENT;
	there = find(orders, pool, &order.addr);
	if (there)
		*there = order;
	else
		err = add(orders, &order);
	if (!err)
		apply(orders, pool, backend);
	return err;
}

int orders_unset_weight(struct orders *orders, size_t pool, size_t backend)
{
	struct sockaddr_any addr;
	struct order *there;

	if (!pool_state_address(orders->pools, pool, backend, &addr))
		return -ENOENT;
	there = find(orders, pool, &addr);
	if (there)
		*there = orders->list[--orders->n];
	apply(orders, pool, backend);
	return 0;
}

/* ---- from image to image ---- */

#define WEIGHT_PREFIX "weight "
/* One number: both weights, each of which fits. */
#define CONFIGURED_SHIFT 16

int orders_bequeath(const struct orders *orders, struct estate *estate)
{
	char name[ESTATE_NAME_MAX], addr[SOCKADDR_TEXT_MAX];
	int err = 0;

	for (size_t i = 0; orders && i < orders->n && !err; i++) {
		const struct order *order = &orders->list[i];

		snprintf(name, sizeof(name), WEIGHT_PREFIX "%s %s",
			orders->config->pools[order->pool].name,
			sockaddr_format(&order->addr, addr));
		err = estate_add_number(estate, name,
			(int64_t)order->configured << CONFIGURED_SHIFT | order->weight);
	}
	return err;
}

static int find_pool(const struct config *config, const char *name, size_t len, size_t *ret_pool)
{
	for (size_t i = 0; i < config->n_pools; i++)
		if (strlen(config->pools[i].name) == len &&
			strncmp(config->pools[i].name, name, len) == 0) {
			*ret_pool = i;
			return 0;
		}
	return -ENOENT;
}

/* "POOL ADDRESS:PORT", the latter of a backend on the client's port with port 0. */
static int parse_name(
	const struct config *config, const char *name, size_t *ret_pool, struct sockaddr_any *ret)
{
	const char *space = strrchr(name, ' '), *reason = NULL;
	char host[SOCKADDR_TEXT_MAX];
	size_t len;

	if (!space)
		return -EINVAL;
	len = strlen(space + 1);
	if (sockaddr_parse(space + 1, ret, &reason) < 0) {
		if (len < 3 || len >= sizeof(host) || strcmp(space + 1 + len - 2, ":0") != 0)
			return -EINVAL;
		memcpy(host, space + 1, len - 2);
		host[len - 2] = '\0';
		if (sockaddr_parse_host(host, ret, &reason) < 0)
			return -EINVAL;
	}
	return find_pool(config, name, (size_t)(space - name), ret_pool);
}

/*
 * Whether the order goes on: the server is in the pool with the same weight, or DNS may yet name
 * it.
 */
static bool still_holds(const struct orders *orders, const struct order *order, const char *name)
{
	const struct config_pool *pool = &orders->config->pools[order->pool];

	for (size_t i = 0; i < pool->n_backends; i++) {
		const struct config_backend *backend = &pool->backends[i];

		if (!sockaddr_equal(&backend->addr, &order->addr))
			continue;
		if (backend->weight == order->configured)
			return true;
		log_info("pool %s: backend %s: the configuration has another weight, %u, which "
			 "holds instead of the %u that was ordered",
			pool->name, strrchr(name, ' ') + 1, backend->weight, order->weight);
		return false;
	}
	return pool->n_names > 0;
}

struct heir {
	struct orders *orders;
	int err;
};

static void take_number(void *userdata, const char *name, int64_t value)
{
	struct heir *heir = userdata;
	struct orders *orders = heir->orders;
	struct order order = {
		.configured = (uint32_t)(value >> CONFIGURED_SHIFT),
		.weight = (uint32_t)(value & CONFIG_WEIGHT_MAX),
	};

	if (strncmp(name, WEIGHT_PREFIX, strlen(WEIGHT_PREFIX)) != 0 ||
		parse_name(orders->config, name + strlen(WEIGHT_PREFIX), &order.pool, &order.addr) <
			0)
		return;
	if (!heir->err && still_holds(orders, &order, name))
		heir->err = add(orders, &order);
}

int orders_inherit(struct orders *orders, const struct estate *estate)
{
	struct heir heir = { .orders = orders };

	estate_for_each_number(estate, take_number, &heir);
	for (size_t i = 0; i < orders->config->n_pools; i++)
		for (size_t b = 0; b < orders->config->pools[i].n_backends; b++)
			apply(orders, i, b);
	return heir.err;
}

/* ---- start and end ---- */

struct orders *orders_new(const struct config *config, struct pool_state *pools)
{
	struct orders *orders = calloc(1, sizeof(*orders));

	if (!orders)
		return NULL;
	*orders = (struct orders){
		.config = config,
		.pools = pools,
		.watch.on_change = on_change,
	};
	pool_state_add_watch(pools, &orders->watch);
	return orders;
}

void orders_free(struct orders *orders)
{
	if (!orders)
		return;
	list_remove(&orders->watch.node);
	free(orders->list);
	free(orders);
}
