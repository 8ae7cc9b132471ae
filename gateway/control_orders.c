#include "control_orders.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

static int bad(struct control_error *error, const char *name, const char *text, const char *reason)
{
	return control_fail(
		error, -EINVAL, CONTROL_BAD_ARGUMENT, "%s \"%.64s\": %s", name, text, reason);
}

static int find_pool(const struct control_orders *self, const char *name, size_t *ret_pool,
	struct control_error *error)
{
	for (size_t i = 0; i < self->config->n_pools; i++)
		if (strcmp(self->config->pools[i].name, name) == 0) {
			*ret_pool = i;
			return 0;
		}
	return control_fail(error, -ENOENT, CONTROL_NOT_FOUND,
		"there is no pool \"%.64s\"; \"status\" tells which there are", name);
}

/* As "status" writes it; or, if the backend has no port of its own, without one or as configured.
 */
static bool is_named(const struct sockaddr_any *addr, const char *text)
{
	char name[SOCKADDR_TEXT_MAX + 2];
	size_t len;

	if (strcmp(sockaddr_format(addr, name), text) == 0)
		return true;
	if (sockaddr_port(addr) != 0)
		return false;
	len = strlen(sockaddr_format_host(addr, name));
	return strncmp(name, text, len) == 0 && (!text[len] || strcmp(text + len, ":*") == 0);
}

static int find_backend(const struct control_orders *self, size_t pool, const char *text,
	size_t *ret_backend, struct control_error *error)
{
	const struct config_pool *config = &self->config->pools[pool];
	struct sockaddr_any addr;

	for (size_t i = 0; i < config->n_backends; i++) {
		if (!pool_state_address(self->pools, pool, i, &addr) || !is_named(&addr, text))
			continue;
		*ret_backend = i;
		return 0;
	}
	return control_fail(error, -ENOENT, CONTROL_NOT_FOUND,
		"pool \"%s\" has no backend \"%.64s\"; \"status\" tells which there are",
		config->name, text);
}

static int find(const struct control_orders *self, const json_t *args, size_t *ret_pool,
	size_t *ret_backend, struct control_error *error)
{
	int err = find_pool(self, control_text(args, "pool"), ret_pool, error);

	if (!err)
		err = find_backend(
			self, *ret_pool, control_text(args, "backend"), ret_backend, error);
	return err;
}

static int order_failed(struct control_error *error, int err)
{
	if (err == -ENOSPC)
		return control_fail(error, err, CONTROL_BUSY,
			"there are orders for %u backends already; take some back", ORDERS_MAX);
	return control_fail(error, err, CONTROL_FAILED, "%s", strerror(-err));
}

static bool pool_is_up(const struct control_orders *self, size_t pool)
{
	for (size_t i = 0; i < self->config->pools[pool].n_backends; i++)
		if (pool_state_serves(self->pools, pool, i))
			return true;
	return false;
}

static void changed(const struct control_orders *self)
{
	if (self->on_change)
		self->on_change(self->userdata);
}

/* ---- set-weight ---- */

/* "default" is -1. */
static int parse_weight(const char *text, long *ret_weight, struct control_error *error)
{
	char *end = NULL;
	long weight;

	if (strcmp(text, "default") == 0) {
		*ret_weight = -1;
		return 0;
	}
	errno = 0;
	weight = strtol(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || weight > (long)CONFIG_WEIGHT_MAX)
		return bad(error, "weight", text,
			"write a whole number from 0 to 65535, or default for the configuration's");
	*ret_weight = weight;
	return 0;
}

static json_t *weight_json(const struct control_orders *self, size_t pool, size_t backend)
{
	const struct config_pool *config = &self->config->pools[pool];
	char text[SOCKADDR_TEXT_MAX];
	struct sockaddr_any addr;

	(void)pool_state_address(self->pools, pool, backend, &addr);
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:b}", "pool", config->name, "backend",
		sockaddr_format(&addr, text), "weight",
		(json_int_t)pool_state_weight(self->pools, pool, backend), "weight_configured",
		(json_int_t)config->backends[backend].weight, "live",
		(json_int_t)pool_state_live(self->pools, pool, backend), "pool_up",
		pool_is_up(self, pool));
}

static int run_set_weight(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	const struct control_orders *self = userdata;
	size_t pool = 0, backend = 0;
	long weight = 0;
	int err = parse_weight(control_text(args, "weight"), &weight, error);

	if (!err)
		err = find(self, args, &pool, &backend, error);
	if (err)
		return err;
	err = weight < 0 ? orders_unset_weight(self->orders, pool, backend)
			 : orders_set_weight(self->orders, pool, backend, (uint32_t)weight);
	if (err)
		return order_failed(error, err);
	log_info("pool %s: backend %s: weight %u from now on", self->config->pools[pool].name,
		control_text(args, "backend"), pool_state_weight(self->pools, pool, backend));
	changed(self);
	*ret_result = weight_json(self, pool, backend);
	return *ret_result ? 0 : -ENOMEM;
}

void control_orders_add(struct control *control, struct control_orders *self)
{
	const struct control_command set_weight = {
		.name = "set-weight",
		.summary = "another weight for a backend than the configuration's",
		.needs_write = true,
		.params = {
			{ "pool", CONTROL_TEXT, true },
			{ "backend", CONTROL_TEXT, true },
			{ "weight", CONTROL_TEXT, true },
		},
		.run = run_set_weight,
		.userdata = self,
	};

	control_add(control, &set_weight);
}
