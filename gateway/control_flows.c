#include "control_flows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "clock.h"
#include "control_who.h"
#include "duration.h"
#include "worker.h"

/*
 * Theory of operation
 *
 * An answer is bounded (limit), as it is made in the supervisor's loop; how many there are in all
 * is said beside it. "Following" is the client's business, which asks again and compares: so the
 * gateway keeps nothing for anybody who looks.
 *
 * A flow is named by the gateway's own source address and port, which is what a server's log has.
 * It may be one of several (TCP and UDP, or different backends), and then nothing is ended.
 */
static int bad(struct control_error *error, const char *name, const char *text, const char *reason)
{
	return control_fail(
		error, -EINVAL, CONTROL_BAD_ARGUMENT, "%s \"%.64s\": %s", name, text, reason);
}

/* ---- the arguments ---- */

static int parse_client(const json_t *args, struct prefix *ret, struct control_error *error)
{
	const char *text = control_text(args, "client"), *reason = "";

	if (text && prefix_parse(text, ret, &reason) < 0)
		return bad(error, "client", text, reason);
	return 0;
}

static int parse_listener(const json_t *args, const struct config *config,
	const struct config_listener **ret, struct control_error *error)
{
	const char *text = control_text(args, "listener");

	if (!text)
		return 0;
	for (size_t i = 0; i < config->n_listeners; i++)
		if (strcmp(config->listeners[i].name, text) == 0) {
			*ret = &config->listeners[i];
			return 0;
		}
	return bad(error, "listener", text, "there is none of this name; status tells which are");
}

/* The time that was so long before now. */
static int parse_age(const json_t *args, const char *name, uint64_t now_us, uint64_t *ret_us,
	struct control_error *error)
{
	const char *text = control_text(args, name);
	uint64_t ms;

	if (!text)
		return 0;
	if (duration_parse_long(text, &ms) < 0)
		return bad(error, name, text, "write a time like 500ms, 5s, 10m, 1h or 30d");
	*ret_us = ms < now_us / 1000 ? now_us - ms * 1000 : 0;
	return 0;
}

int control_flows_filter(const json_t *args, const struct config *config, uint64_t now_us,
	struct who_filter *ret, struct control_error *error)
{
	const char *backend = control_text(args, "backend");
	const char *protocol = control_text(args, "protocol");
	struct who_filter filter = { .to_us = UINT64_MAX };
	int err = parse_client(args, &filter.client, error);

	if (!err && backend)
		err = control_who_backend(backend, &filter.backend, error);
	if (!err && protocol)
		err = control_who_protocol(protocol, &filter.protocol, error);
	if (!err)
		err = parse_listener(args, config, &filter.listener, error);
	if (!err)
		err = parse_age(args, "older-than", now_us, &filter.to_us, error);
	if (!err)
		err = parse_age(args, "younger-than", now_us, &filter.from_us, error);
	if (!err)
		*ret = filter;
	return err;
}

static int parse_limit(const json_t *args, size_t *ret, struct control_error *error)
{
	uint64_t limit = control_number(args, "limit", CONTROL_FLOWS_LIMIT);

	if (limit < 1 || limit > CONTROL_FLOWS_MAX)
		return control_fail(error, -EINVAL, CONTROL_BAD_ARGUMENT,
			"limit: from 1 to %u; narrow down what is asked for instead",
			CONTROL_FLOWS_MAX);
	*ret = (size_t)limit;
	return 0;
}

/* ---- the answer ---- */

static json_t *flow_json(const struct who_entry *entry, uint64_t now_us)
{
	uint64_t age_us = entry->began_us < now_us ? now_us - entry->began_us : 0;
	json_t *flow = control_who_entry(entry);

	json_object_set_new(flow, "age_s", json_real((double)age_us / 1e6));
	json_object_set_new(flow, "worker", json_integer(entry->worker));
	return flow;
}

static json_t *answer_json(const struct control_flows *self, const struct who_filter *filter,
	size_t limit, uint64_t now_us)
{
	struct who_entry *entries = calloc(limit, sizeof(*entries));
	json_t *list = json_array();
	uint64_t before = 0;
	bool known = predecessors_flows(self->before, &before);
	size_t n = 0;

	if (entries)
		n = who_list(self->who, filter, entries, limit);
	for (size_t i = 0; entries && i < n && i < limit; i++)
		json_array_append_new(list, flow_json(&entries[i], now_us));
	if (!entries) {
		json_decref(list);
		return NULL;
	}
	free(entries);
	return json_pack("{s:o, s:I, s:I, s:o}", "flows", list, "total", (json_int_t)n,
		"workers_before", (json_int_t)predecessors_alive(self->before, PREDECESSOR_WORKER),
		"flows_before", known ? json_integer((json_int_t)before) : json_null());
}

static int run_flows(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	const struct control_flows *self = userdata;
	uint64_t now_us = clock_wall_us();
	struct who_filter filter;
	size_t limit = CONTROL_FLOWS_LIMIT;
	int err;

	err = control_flows_filter(args, self->config, now_us, &filter, error);
	if (!err)
		err = parse_limit(args, &limit, error);
	if (!err)
		err = control_who_check(self->config, self->who, error);
	if (err)
		return err;
	*ret_result = answer_json(self, &filter, limit, now_us);
	return *ret_result ? 0 : -ENOMEM;
}

/* ---- to end one ---- */

static int parse_victim(const json_t *args, struct who_filter *ret, struct control_error *error)
{
	const char *backend = control_text(args, "backend");
	const char *protocol = control_text(args, "protocol");
	struct who_filter filter = { .to_us = UINT64_MAX };
	int err = control_who_source(control_text(args, "source"), &filter.source, error);

	if (!err && backend)
		err = control_who_backend(backend, &filter.backend, error);
	if (!err && protocol)
		err = control_who_protocol(protocol, &filter.protocol, error);
	if (!err)
		*ret = filter;
	return err;
}

/* The one that is meant. */
static int find_victim(const struct control_flows *self, const json_t *args,
	const struct who_filter *filter, struct who_entry *ret, struct control_error *error)
{
	size_t n = who_list(self->who, filter, ret, 1);
	size_t before = predecessors_alive(self->before, PREDECESSOR_WORKER);
	const char *source = control_text(args, "source");

	if (n == 1)
		return 0;
	if (n > 1)
		return control_fail(error, -ENOTUNIQ, CONTROL_BAD_ARGUMENT,
			"source \"%.64s\": %zu flows have it: say which by --protocol or --backend",
			source, n);
	if (before > 0)
		return control_fail(error, -ENOENT, CONTROL_NOT_FOUND,
			"no live flow has the source \"%.64s\" here; %zu workers of before a "
			"reload "
			"may have it, which end their flows by themselves, at the end of their "
			"drain at the latest",
			source, before);
	return control_fail(
		error, -ENOENT, CONTROL_NOT_FOUND, "no live flow has the source \"%.64s\"", source);
}

static int tell_worker(const struct control_flows *self, size_t index, struct control_error *error)
{
	/* A worker that is just being replaced has no channel (-1): its flows are gone, too. */
	int err = channel_send(self->workers[index].channel_fd, WORKER_KILL, NULL, 0);

	if (!err)
		return 0;
	return control_fail(
		error, err, CONTROL_BUSY, "worker %zu does not listen: %s", index, strerror(-err));
}

static int run_kill(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	const struct control_flows *self = userdata;
	uint64_t now_us = clock_wall_us();
	struct who_filter filter;
	struct who_entry entry;
	int err;

	err = parse_victim(args, &filter, error);
	if (!err)
		err = control_who_check(self->config, self->who, error);
	if (!err)
		err = find_victim(self, args, &filter, &entry, error);
	if (!err && !who_doom(self->who, &entry))
		err = control_fail(error, -ENOENT, CONTROL_NOT_FOUND, "it has just ended");
	if (!err)
		err = tell_worker(self, entry.worker, error);
	if (err)
		return err;
	*ret_result = json_pack("{s:o}", "flow", flow_json(&entry, now_us));
	return *ret_result ? 0 : -ENOMEM;
}

void control_flows_add(struct control *control, struct control_flows *flows)
{
	const struct control_command command = {
		.name = "flows",
		.summary = "the connections and sessions that are live",
		.params = {
			{ "client", CONTROL_TEXT, false },
			{ "backend", CONTROL_TEXT, false },
			{ "listener", CONTROL_TEXT, false },
			{ "protocol", CONTROL_TEXT, false },
			{ "older-than", CONTROL_TEXT, false },
			{ "younger-than", CONTROL_TEXT, false },
			{ "limit", CONTROL_NUMBER, false },
		},
		.run = run_flows,
		.userdata = flows,
	};
	const struct control_command kill = {
		.name = "kill-flow",
		.summary = "end a connection or session, by reset",
		.needs_write = true,
		.params = {
			{ "source", CONTROL_TEXT, true },
			{ "backend", CONTROL_TEXT, false },
			{ "protocol", CONTROL_TEXT, false },
		},
		.run = run_kill,
		.userdata = flows,
	};

	control_add(control, &command);
	control_add(control, &kill);
}
