#include "supervisor_control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "clock.h"
#include "control_level.h"
#include "log.h"
#include "status.h"
#include "supervisor_end.h"
#include "worker.h"

static int run_status(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	static const char *const states[] = { "starting", "running", "draining", "failed" };
	const struct supervisor *supervisor = userdata;
	struct status_worker *workers = calloc(supervisor->n_workers, sizeof(*workers));
	const struct status_facts facts = {
		.config = supervisor->config,
		.pools = supervisor->shared.pools,
		.drains = supervisor->shared.drains,
		.measures = supervisor->shared.measures,
		.state = states[supervisor->state],
		.now_ms = supervisor->loop.now_ms,
		.wall_us = clock_wall_us(),
		.started_ms = supervisor->started_ms,
		.workers = workers,
		.n_workers = supervisor->n_workers,
		.others = &supervisor->shared.stats[supervisor->n_workers],
		.n_others = supervisor->shared.n_blocks - supervisor->n_workers,
	};

	(void)args;
	(void)error;
	for (size_t i = 0; workers && i < supervisor->n_workers; i++)
		workers[i] = (struct status_worker){
			.pid = supervisor->workers[i].pid,
			.ready = supervisor->workers[i].pid && supervisor->workers[i].ready,
			.started_ms = supervisor->workers[i].started_ms,
			.deaths = supervisor->workers[i].deaths,
			.records_lost = ring_lost(supervisor->shared.rings[i]),
			.stats = &supervisor->shared.stats[i],
		};
	*ret_result = workers ? status_json(&facts) : NULL;
	free(workers);
	if (!*ret_result)
		return -ENOMEM;
	json_object_set_new(*ret_result, "control", control_json(supervisor->control));
	json_object_set_new(*ret_result, "guard", guard_json(supervisor->guard));
	return 0;
}

/* The same of pools alone. */
static int run_pools(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	const char *wanted = control_text(args, "pool");
	json_t *status = NULL, *list = json_array(), *pool;
	int err = run_status(userdata, NULL, &status, error);
	size_t i;

	json_array_foreach(json_object_get(status, "pools"), i, pool)
	{
		const char *name = json_string_value(json_object_get(pool, "name"));

		if (!wanted || (name && strcmp(name, wanted) == 0))
			json_array_append(list, pool);
	}
	json_decref(status);
	if (!err && wanted && json_array_size(list) == 0)
		err = control_fail(error, -ENOENT, CONTROL_NOT_FOUND,
			"no pool has the name \"%.64s\"", wanted);
	if (err)
		json_decref(list);
	else
		*ret_result = json_pack("{s:o}", "pools", list);
	return err || *ret_result ? err : -ENOMEM;
}

static void on_orders(void *userdata)
{
	struct supervisor *supervisor = userdata;
	const char message = WORKER_DRAINS;

	for (size_t i = 0; i < supervisor->n_workers; i++) {
		const struct child *child = &supervisor->workers[i];

		if (child->pid &&
			send(child->channel_fd, &message, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			log_warning("worker %u does not listen: %s", (unsigned)child->index,
				strerror(errno));
	}
	if (supervisor->state == RUNNING)
		supervisor->keep(supervisor);
}

int supervisor_control_status(struct supervisor *supervisor, json_t **ret_status)
{
	struct control_error error;

	return run_status(supervisor, NULL, ret_status, &error);
}

static int drain_gateway(void *userdata)
{
	struct supervisor *supervisor = userdata;

	if (supervisor->state != RUNNING)
		return -EALREADY;
	supervisor_end_drain(supervisor);
	return 0;
}

int supervisor_control_start(struct supervisor *supervisor)
{
	const struct control_command status = {
		.name = "status",
		.summary = "processes, listeners, pools and counters",
		.run = run_status,
		.userdata = supervisor,
	};
	const struct control_command pools = {
		.name = "pools",
		.summary = "pools and their servers",
		.params = { { "pool", CONTROL_TEXT, false } },
		.run = run_pools,
		.userdata = supervisor,
	};

	supervisor->control = control_new(&supervisor->loop);
	if (!supervisor->control)
		return -ENOMEM;
	control_add(supervisor->control, &status);
	control_add(supervisor->control, &pools);
	supervisor->who_command = (struct control_who){
		.config = supervisor->config,
		.who = supervisor->shared.who,
		.stats = supervisor->shared.stats,
		.n_workers = supervisor->n_workers,
	};
	control_who_add(supervisor->control, &supervisor->who_command);
	supervisor->flows_command = (struct control_flows){
		.config = supervisor->config,
		.who = supervisor->shared.who,
		.workers = supervisor->workers,
		.before = supervisor->before,
	};
	control_flows_add(supervisor->control, &supervisor->flows_command);
	control_level_add(supervisor->control, supervisor->config);
	supervisor->order_commands = (struct control_orders){
		.loop = &supervisor->loop,
		.config = supervisor->config,
		.pools = supervisor->shared.pools,
		.drains = supervisor->shared.drains,
		.orders = supervisor->orders,
		.guard = supervisor->guard,
		.measures = supervisor->shared.measures,
		.on_change = on_orders,
		.drain_gateway = drain_gateway,
		.userdata = supervisor,
	};
	control_orders_add(supervisor->control, &supervisor->order_commands);
	bans_start(supervisor->bans, supervisor->guard, supervisor->lists, supervisor->control);
	list_keeper_add_commands(supervisor->lists, supervisor->control);
	successor_add_commands(supervisor->successor, supervisor->control);
	(void)control_open(supervisor->control, supervisor->config->run_directory,
		supervisor->config->control_group);
	return 0;
}
