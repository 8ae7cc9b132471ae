#include "orders.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

/*
 * Theory of operation
 *
 * pool_state.h tells of every change of an address; whoever is there then gets what was ordered for
 * it. An order whose backend has no address now, as DNS says so, waits.
 *
 * apply() is the only thing that changes pool_state from here, and does so from the list alone, so
 * it may be called at any time and as often as one likes. It is called from within changes that it
 * makes itself; that ends, as the second time nothing is different.
 *
 * An order that asks for nothing is forgotten at once, so the list holds what differs from the
 * configuration and nothing else, and ORDERS_MAX is met only by real orders.
 */

struct order {
	size_t pool;
	struct sockaddr_any addr;
	uint64_t drained_ms; /* as in pool_state.h; DRAIN_NONE: nothing is ordered */
	bool weighs;	     /* the next two are ordered */
	uint32_t configured; /* what the configuration said then; another one now: that holds */
	uint32_t weight;
};

struct orders {
	const struct config *config;
	struct pool_state *pools;
	struct drain_state *drains;
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

/* What is in force for whoever has this place now: what was ordered, or what is configured. */
static void apply(struct orders *orders, size_t pool, size_t backend)
{
	uint32_t weight = configured(orders, pool, backend);
	const struct order *order;
	struct sockaddr_any addr;

	if (!pool_state_address(orders->pools, pool, backend, &addr))
		return;
	order = find(orders, pool, &addr);
	if (order && order->weighs && order->configured == weight)
		weight = order->weight;
	pool_state_set_weight(orders->pools, pool, backend, weight);
	pool_state_set_drained(
		orders->pools, pool, backend, order ? order->drained_ms : DRAIN_NONE);
}

static void on_change(struct pool_state_watch *watch, size_t pool, size_t backend)
{
	apply(list_entry(watch, struct orders, watch), pool, backend);
}

/* The order for whoever has this address, a new one if there is none. 0 or a negative errno. */
static int take(struct orders *orders, size_t pool, const struct sockaddr_any *addr,
	struct order **ret_order)
{
	struct order *list, *there = find(orders, pool, addr);

	assert(pool < orders->config->n_pools);
	if (!there && orders->n == ORDERS_MAX)
		return -ENOSPC;
	if (!there) {
		list = realloc(orders->list, (orders->n + 1) * sizeof(*list));
		if (!list)
			return -ENOMEM;
		orders->list = list;
		there = &list[orders->n++];
		*there = (struct order){ .pool = pool, .addr = *addr };
	}
	*ret_order = there;
	return 0;
}

/* Forgets it if it asks for nothing more. */
static void settle(struct orders *orders, struct order *order)
{
	assert(order >= orders->list && order < orders->list + orders->n);
	if (!order->weighs && order->drained_ms == DRAIN_NONE)
		*order = orders->list[--orders->n];
}

/* Orders the weight, or the drain, of *wanted. */
static int order_backend(
	struct orders *orders, size_t pool, size_t backend, const struct order *wanted, bool weight)
{
	struct sockaddr_any addr;
	struct order *order;
	int err;

	if (!pool_state_address(orders->pools, pool, backend, &addr))
		return -ENOENT;
	err = take(orders, pool, &addr, &order);
	if (err)
		return err;
	if (weight) {
		order->weighs = wanted->weighs;
		order->configured = configured(orders, pool, backend);
		order->weight = wanted->weight;
	} else {
		order->drained_ms = wanted->drained_ms;
	}
	settle(orders, order);
	apply(orders, pool, backend);
	return 0;
}

int orders_set_weight(struct orders *orders, size_t pool, size_t backend, uint32_t weight)
{
	const struct order wanted = { .weighs = true, .weight = weight };

	return order_backend(orders, pool, backend, &wanted, true);
}

int orders_unset_weight(struct orders *orders, size_t pool, size_t backend)
{
	const struct order wanted = { .weighs = false };

	return order_backend(orders, pool, backend, &wanted, true);
}

int orders_drain_backend(struct orders *orders, size_t pool, size_t backend, uint64_t until_ms)
{
	const struct order wanted = { .drained_ms = until_ms };

	return order_backend(orders, pool, backend, &wanted, false);
}

void orders_drain_listener(
	struct orders *orders, size_t listener, uint64_t until_ms, uint64_t refused_ms)
{
	drain_state_set(orders->drains, listener, until_ms, refused_ms);
}

/* ---- from image to image ---- */

#define WEIGHT_PREFIX	"weight "
#define BACKEND_PREFIX	"drain "
#define LISTENER_PREFIX "drain-listener "
/* One number: both weights, each of which fits. */
#define CONFIGURED_SHIFT 16
static_assert(CONFIG_WEIGHT_MAX < 1U << CONFIGURED_SHIFT, "so it does");
/* A deadline that there is none of. */
#define NO_DEADLINE (-1)

static int64_t number_of(uint64_t until_ms)
{
	return until_ms == DRAIN_NO_DEADLINE ? NO_DEADLINE : (int64_t)until_ms;
}

static uint64_t until_of(int64_t number)
{
	return number < 0 ? DRAIN_NO_DEADLINE : (uint64_t)number;
}

static int bequeath_order(
	const struct orders *orders, const struct order *order, struct estate *estate)
{
	const char *pool = orders->config->pools[order->pool].name;
	char name[ESTATE_NAME_MAX], addr[SOCKADDR_TEXT_MAX];
	int err = 0;

	sockaddr_format(&order->addr, addr);
	if (order->weighs) {
		snprintf(name, sizeof(name), WEIGHT_PREFIX "%s %s", pool, addr);
		err = estate_add_number(estate, name,
			(int64_t)order->configured << CONFIGURED_SHIFT | order->weight);
	}
	if (!err && order->drained_ms != DRAIN_NONE) {
		snprintf(name, sizeof(name), BACKEND_PREFIX "%s %s", pool, addr);
		err = estate_add_number(estate, name, number_of(order->drained_ms));
	}
	return err;
}

int orders_bequeath(const struct orders *orders, struct estate *estate)
{
	char name[ESTATE_NAME_MAX];
	int err = 0;

	if (!orders)
		return 0;
	for (size_t i = 0; i < orders->n && !err; i++)
		err = bequeath_order(orders, &orders->list[i], estate);
	for (size_t i = 0; i < orders->config->n_listeners && !err; i++) {
		uint64_t until_ms = drain_state_until(orders->drains, i);

		if (until_ms == DRAIN_NONE)
			continue;
		snprintf(name, sizeof(name), LISTENER_PREFIX "%s",
			orders->config->listeners[i].name);
		err = estate_add_number(estate, name, number_of(until_ms));
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

/*
 * "POOL ADDRESS:PORT", the latter of a backend on the client's port with port 0, which is no port
 * that sockaddr_parse() takes.
 */
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

/* The configured backend of that address; NULL: there is none. */
static const struct config_backend *find_configured(
	const struct config_pool *pool, const struct sockaddr_any *addr)
{
	for (size_t i = 0; i < pool->n_backends; i++)
		if (sockaddr_equal(&pool->backends[i].addr, addr))
			return &pool->backends[i];
	return NULL;
}

struct heir {
	struct orders *orders;
	int err;
};

/* Unless the server is gone, and DNS can not name it again; or has another weight now. */
static void take_number(void *userdata, const char *name, int64_t value)
{
	struct heir *heir = userdata;
	struct orders *orders = heir->orders;
	bool weight = strncmp(name, WEIGHT_PREFIX, strlen(WEIGHT_PREFIX)) == 0;
	bool drain = strncmp(name, BACKEND_PREFIX, strlen(BACKEND_PREFIX)) == 0;
	const struct config_backend *backend;
	struct sockaddr_any addr;
	struct order *order;
	size_t pool;

	if ((!weight && !drain) || heir->err ||
		parse_name(orders->config, strchr(name, ' ') + 1, &pool, &addr) < 0)
		return;
	backend = find_configured(&orders->config->pools[pool], &addr);
	if (!backend && orders->config->pools[pool].n_names == 0)
		return;
	if (weight && backend && backend->weight != (uint64_t)value >> CONFIGURED_SHIFT) {
		log_info("pool %s: the configuration has another weight for backend %s, %u: it "
			 "holds, and not the one that was ordered",
			orders->config->pools[pool].name, strrchr(name, ' ') + 1, backend->weight);
		return;
	}
	heir->err = take(orders, pool, &addr, &order);
	if (heir->err)
		return;
	if (drain) {
		order->drained_ms = until_of(value);
		return;
	}
	order->weighs = true;
	order->configured = (uint32_t)(value >> CONFIGURED_SHIFT);
	order->weight = (uint32_t)(value & CONFIG_WEIGHT_MAX);
}

static void inherit_listeners(const struct orders *orders, const struct estate *estate)
{
	char name[ESTATE_NAME_MAX];
	int64_t value;

	for (size_t i = 0; i < orders->config->n_listeners; i++) {
		snprintf(name, sizeof(name), LISTENER_PREFIX "%s",
			orders->config->listeners[i].name);
		if (estate_get_number(estate, name, &value) == 0)
			drain_state_set(orders->drains, i, until_of(value), 0);
	}
}

int orders_inherit(struct orders *orders, const struct estate *estate)
{
	struct heir heir = { .orders = orders };

	estate_for_each_number(estate, take_number, &heir);
	inherit_listeners(orders, estate);
	for (size_t i = 0; i < orders->config->n_pools; i++)
		for (size_t b = 0; b < orders->config->pools[i].n_backends; b++)
			apply(orders, i, b);
	return heir.err;
}

/* ---- start and end ---- */

struct orders *orders_new(
	const struct config *config, struct pool_state *pools, struct drain_state *drains)
{
	struct orders *orders = calloc(1, sizeof(*orders));

	if (!orders)
		return NULL;
	*orders = (struct orders){
		.config = config,
		.pools = pools,
		.drains = drains,
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
