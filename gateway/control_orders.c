#include "control_orders.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "duration.h"
#include "log.h"
#include "wall_time.h"

/*
 * Theory of operation
 *
 * Each command finds what is meant, has orders.h put it in force and keep it, and then calls
 * on_change(), by which workers look at deadlines and the estate in the descriptor store is
 * renewed. Everything is checked before anything is changed, so a command that fails has done
 * nothing.
 *
 * What a drain means: pool (backends) and guard or tcp_admit (listeners) keep new clients away at
 * once; drainer, in the workers, ends what is left at the deadline; the gateway's own drain is the
 * end of the process, as by SIGTERM.
 */
/* New clients that are in a queue of the kernel when it begins to refuse are yet served. */
#define REFUSAL_GRACE_MS 500U

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

static int find_listener(const struct control_orders *self, const char *name, size_t *ret_listener,
	struct control_error *error)
{
	for (size_t i = 0; i < self->config->n_listeners; i++)
		if (strcmp(self->config->listeners[i].name, name) == 0) {
			*ret_listener = i;
			return 0;
		}
	return control_fail(error, -ENOENT, CONTROL_NOT_FOUND,
		"there is no listener \"%.64s\"; \"status\" tells which there are", name);
}

static void changed(const struct control_orders *self)
{
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

/* ---- drains ---- */

/* *ret_ms stays as it is without a deadline. */
static int parse_deadline(
	const json_t *args, bool *ret_given, uint32_t *ret_ms, struct control_error *error)
{
	const char *text = control_text(args, "deadline");

	*ret_given = text != NULL;
	if (text && duration_parse(text, ret_ms) < 0)
		return bad(error, "deadline", text,
			"write a number with a unit, ms, s, m, h or d, up to 49d");
	return 0;
}

static int parse_until(const struct control_orders *self, const json_t *args,
	uint64_t *ret_until_ms, struct control_error *error)
{
	bool given = false;
	uint32_t ms = 0;
	int err = parse_deadline(args, &given, &ms, error);

	if (!err)
		*ret_until_ms = given ? self->loop->now_ms + ms : DRAIN_NO_DEADLINE;
	return err;
}

/* Adds how many flows there are yet, and until when. */
static json_t *with_deadline(
	const struct control_orders *self, json_t *object, uint64_t live, uint64_t until_ms)
{
	char text[WALL_TIME_TEXT_MAX];
	uint64_t left_ms = 0;

	if (!object)
		return NULL;
	json_object_set_new(object, "live", json_integer((json_int_t)live));
	if (until_ms == DRAIN_NO_DEADLINE) {
		json_object_set_new(object, "deadline_s", json_null());
		json_object_set_new(object, "until", json_null());
		return object;
	}
	left_ms = until_ms > self->loop->now_ms ? until_ms - self->loop->now_ms : 0;
	json_object_set_new(object, "deadline_s", json_real((double)left_ms / 1000.0));
	json_object_set_new(object, "until",
		json_string(wall_time_format(clock_wall_us() + left_ms * 1000U, text)));
	return object;
}

static json_t *backend_json(
	const struct control_orders *self, size_t pool, size_t backend, bool draining)
{
	char text[SOCKADDR_TEXT_MAX];
	struct sockaddr_any addr;

	(void)pool_state_address(self->pools, pool, backend, &addr);
	return json_pack("{s:s, s:s, s:b, s:b}", "pool", self->config->pools[pool].name, "backend",
		sockaddr_format(&addr, text), "draining", draining, "pool_up",
		pool_is_up(self, pool));
}

static int run_drain_backend(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	const struct control_orders *self = userdata;
	uint64_t until_ms = DRAIN_NONE;
	size_t pool = 0, backend = 0;
	int err = parse_until(self, args, &until_ms, error);

	if (!err)
		err = find(self, args, &pool, &backend, error);
	if (err)
		return err;
	err = orders_drain_backend(self->orders, pool, backend, until_ms);
	if (err)
		return order_failed(error, err);
	log_info("pool %s: backend %s is drained: it gets no new clients",
		self->config->pools[pool].name, control_text(args, "backend"));
	changed(self);
	*ret_result = with_deadline(self, backend_json(self, pool, backend, true),
		pool_state_live(self->pools, pool, backend), until_ms);
	return *ret_result ? 0 : -ENOMEM;
}

static int run_undrain_backend(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	const struct control_orders *self = userdata;
	size_t pool = 0, backend = 0;
	int err = find(self, args, &pool, &backend, error);

	if (err)
		return err;
	if (pool_state_drained(self->pools, pool, backend) == DRAIN_NONE)
		return control_fail(error, -ENOENT, CONTROL_NOT_FOUND,
			"pool \"%s\": backend \"%.64s\" is not drained",
			self->config->pools[pool].name, control_text(args, "backend"));
	err = orders_drain_backend(self->orders, pool, backend, DRAIN_NONE);
	if (err)
		return order_failed(error, err);
	log_info("pool %s: backend %s is drained no more", self->config->pools[pool].name,
		control_text(args, "backend"));
	changed(self);
	*ret_result = backend_json(self, pool, backend, false);
	return *ret_result ? 0 : -ENOMEM;
}

static uint64_t live_of(const struct control_orders *self, size_t listener)
{
	struct measures_listener sum;

	measures_sum_listener(self->measures, listener, &sum);
	return sum.live;
}

static int run_drain_listener(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	const struct control_orders *self = userdata;
	const char *name = control_text(args, "listener");
	uint64_t until_ms = DRAIN_NONE, now_ms = self->loop->now_ms;
	size_t listener = 0;
	bool refused;
	int err = parse_until(self, args, &until_ms, error);

	if (!err)
		err = find_listener(self, name, &listener, error);
	if (err)
		return err;
	/*
	 * The kernel first, if it can: who is in an accept queue by then has been let in, and
	 * workers serve those for a moment longer. If it cannot, workers turn new ones away at
	 * once.
	 */
	orders_drain_listener(self->orders, listener, until_ms, now_ms + REFUSAL_GRACE_MS);
	refused = guard_drain(self->guard, listener);
	if (!refused)
		orders_drain_listener(self->orders, listener, until_ms, now_ms);
	log_info("listener %s is drained: its new clients are refused", name);
	changed(self);
	*ret_result = with_deadline(self,
		json_pack("{s:s, s:b, s:b}", "listener", name, "draining", 1, "refused_by_kernel",
			refused),
		live_of(self, listener), until_ms);
	return *ret_result ? 0 : -ENOMEM;
}

static int run_undrain_listener(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	const struct control_orders *self = userdata;
	const char *name = control_text(args, "listener");
	size_t listener = 0;
	int err = find_listener(self, name, &listener, error);

	if (err)
		return err;
	if (drain_state_until(self->drains, listener) == DRAIN_NONE)
		return control_fail(error, -ENOENT, CONTROL_NOT_FOUND,
			"listener \"%.64s\" is not drained", name);
	orders_drain_listener(self->orders, listener, DRAIN_NONE, 0);
	(void)guard_drain(self->guard, listener);
	log_info("listener %s is drained no more", name);
	changed(self);
	*ret_result = json_pack("{s:s, s:b}", "listener", name, "draining", 0);
	return *ret_result ? 0 : -ENOMEM;
}

static int run_drain_gateway(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	const struct control_orders *self = userdata;
	uint32_t before_ms = drain_state_gateway(self->drains), ms = before_ms;
	uint64_t live = 0;
	bool given = false;
	int err = parse_deadline(args, &given, &ms, error);

	if (err)
		return err;
	for (size_t i = 0; i < self->config->n_listeners; i++)
		live += live_of(self, i);
	/* Before it begins: it looks there for how long. */
	drain_state_set_gateway(self->drains, ms);
	err = self->drain_gateway(self->userdata);
	if (err) {
		drain_state_set_gateway(self->drains, before_ms);
		return control_fail(
			error, err, CONTROL_BUSY, "the gateway is starting, or ends already");
	}
	*ret_result = with_deadline(self, json_object(), live, self->loop->now_ms + ms);
	return *ret_result ? 0 : -ENOMEM;
}

/* ---- the commands ---- */

static void add_backend_commands(struct control *control, struct control_orders *self)
{
	const struct control_command drain = {
		.name = "drain-backend",
		.summary = "no new clients for a backend, and an end to those it has",
		.needs_write = true,
		.params = {
			{ "pool", CONTROL_TEXT, true },
			{ "backend", CONTROL_TEXT, true },
			{ "deadline", CONTROL_TEXT, false },
		},
		.run = run_drain_backend,
		.userdata = self,
	};
	const struct control_command undrain = {
		.name = "undrain-backend",
		.summary = "new clients for a backend again",
		.needs_write = true,
		.params = {
			{ "pool", CONTROL_TEXT, true },
			{ "backend", CONTROL_TEXT, true },
		},
		.run = run_undrain_backend,
		.userdata = self,
	};

	control_add(control, &drain);
	control_add(control, &undrain);
}

static void add_listener_commands(struct control *control, struct control_orders *self)
{
	const struct control_command drain = {
		.name = "drain-listener",
		.summary = "no new clients at a listener, and an end to those it has",
		.needs_write = true,
		.params = {
			{ "listener", CONTROL_TEXT, true },
			{ "deadline", CONTROL_TEXT, false },
		},
		.run = run_drain_listener,
		.userdata = self,
	};
	const struct control_command undrain = {
		.name = "undrain-listener",
		.summary = "new clients at a listener again",
		.needs_write = true,
		.params = { { "listener", CONTROL_TEXT, true } },
		.run = run_undrain_listener,
		.userdata = self,
	};
	const struct control_command gateway = {
		.name = "drain-gateway",
		.summary = "no new clients at all, and the end when those there are have left",
		.needs_write = true,
		.params = { { "deadline", CONTROL_TEXT, false } },
		.run = run_drain_gateway,
		.userdata = self,
	};

	control_add(control, &drain);
	control_add(control, &undrain);
	control_add(control, &gateway);
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
	add_backend_commands(control, self);
	add_listener_commands(control, self);
}
