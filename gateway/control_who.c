#include "control_who.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "clock.h"
#include "unique_id.h"
#include "wall_time.h"

static int bad(struct control_error *error, const char *name, const char *text, const char *reason)
{
	return control_fail(
		error, -EINVAL, CONTROL_BAD_ARGUMENT, "%s \"%.64s\": %s", name, text, reason);
}

static const char ipv4_only[] = "servers are reached from, and have, IPv4 addresses";

int control_who_source(const char *text, struct sockaddr_any *ret, struct control_error *error)
{
	const char *reason = ipv4_only;
	struct sockaddr_any addr;

	if (sockaddr_parse(text, &addr, &reason) < 0 || sockaddr_family(&addr) != AF_INET)
		return bad(error, "source", text, reason);
	*ret = addr;
	return 0;
}

int control_who_backend(const char *text, struct sockaddr_any *ret, struct control_error *error)
{
	const char *reason = ipv4_only;
	struct sockaddr_any addr;
	int err;

	err = strchr(text, ':') ? sockaddr_parse(text, &addr, &reason)
				: sockaddr_parse_host(text, &addr, &reason);
	if (err || sockaddr_family(&addr) != AF_INET)
		return bad(error, "backend", text, reason);
	*ret = addr;
	return 0;
}

int control_who_protocol(const char *text, uint8_t *ret, struct control_error *error)
{
	if (strcmp(text, "tcp") != 0 && strcmp(text, "udp") != 0)
		return bad(error, "protocol", text, "write tcp or udp");
	*ret = text[0] == 't' ? IPPROTO_TCP : IPPROTO_UDP;
	return 0;
}

static int parse_query(const json_t *args, struct who_query *query, struct control_error *error)
{
	const char *backend = control_text(args, "backend"), *at = control_text(args, "at");
	const char *protocol = control_text(args, "protocol"), *reason = "";
	struct wall_time_span span = { 0, 0 };
	int err;

	err = control_who_source(control_text(args, "source"), &query->source, error);
	if (!err && backend)
		err = control_who_backend(backend, &query->backend, error);
	if (err)
		return err;
	if (protocol)
		err = control_who_protocol(protocol, &query->protocol, error);
	if (err)
		return err;
	if (at && wall_time_parse(at, query->now_us, &span, &reason) < 0)
		return bad(error, "at", at, reason);
	query->from_us = span.from_us;
	query->to_us = span.to_us;
	return 0;
}

/* ---- the answer ---- */

static json_t *address_json(const struct sockaddr_any *addr)
{
	char text[SOCKADDR_TEXT_MAX];

	return json_string(sockaddr_format(addr, text));
}

static json_t *time_json(uint64_t wall_us)
{
	char text[WALL_TIME_TEXT_MAX];

	return wall_us ? json_string(wall_time_format(wall_us, text)) : json_null();
}

static json_t *id_json(const struct who_entry *entry)
{
	char text[UNIQUE_ID_TEXT_MAX];

	if (entry->unique_id_len == 0)
		return json_null();
	return json_string(unique_id_text(entry->unique_id, entry->unique_id_len, text));
}

json_t *control_who_entry(const struct who_entry *entry)
{
	bool udp = entry->listener->protocol == IPPROTO_UDP;

	return json_pack("{s:o, s:o, s:s, s:s, s:o, s:o, s:b, s:o, s:o, s:o}", "client",
		address_json(&entry->client), "local", address_json(&entry->local), "listener",
		entry->listener->name, "protocol", udp ? "udp" : "tcp", "source",
		address_json(&entry->source), "backend", address_json(&entry->backend), "live",
		entry->ended_us == 0, "began", time_json(entry->began_us), "ended",
		time_json(entry->ended_us), "unique_id", id_json(entry));
}

static json_t *answer_json(
	const struct control_who *self, const struct who_entry *entries, size_t n, bool near)
{
	size_t shown = n < CONTROL_WHO_ANSWERS ? n : CONTROL_WHO_ANSWERS;
	json_t *list = json_array();

	for (size_t i = 0; i < shown; i++)
		json_array_append_new(list, control_who_entry(&entries[i]));
	return json_pack("{s:o, s:I, s:b, s:I, s:I, s:I}", "answers", list, "more",
		(json_int_t)(n - shown), "near", near, "keep_ms",
		(json_int_t)self->config->who.keep_ms, "overwritten",
		(json_int_t)stats_sum(self->stats, self->n_workers, STATS_WHO_OVERWRITTEN),
		"untracked",
		(json_int_t)stats_sum(self->stats, self->n_workers, STATS_WHO_UNTRACKED));
}

/* Nobody was there just then: who was a moment before or after? */
static size_t find_near(const struct who *who, struct who_query *query, struct who_entry *entries)
{
	const uint64_t slack_us = CONTROL_WHO_SLACK_US;

	query->from_us -= query->from_us < slack_us ? query->from_us : slack_us;
	query->to_us += slack_us;
	return who_find(who, query, entries, CONTROL_WHO_ANSWERS);
}

int control_who_check(
	const struct config *config, const struct who *who, struct control_error *error)
{
	if (who)
		return 0;
	return control_fail(error, -ENOTSUP, CONTROL_UNAVAILABLE, "%s",
		config->who.entries ? "there was no memory for it"
				    : "switched off: the configuration says "
				      "who { entries = 0 }");
}

static int run_who(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	const struct control_who *self = userdata;
	struct who_query query = { .now_us = clock_wall_us() };
	struct who_entry entries[CONTROL_WHO_ANSWERS];
	bool near = false;
	size_t n;
	int err;

	err = parse_query(args, &query, error);
	if (err)
		return err;
	err = control_who_check(self->config, self->who, error);
	if (err)
		return err;
	n = who_find(self->who, &query, entries, CONTROL_WHO_ANSWERS);
	if (n == 0 && query.to_us) {
		n = find_near(self->who, &query, entries);
		near = n > 0;
	}
	*ret_result = answer_json(self, entries, n, near);
	return *ret_result ? 0 : -ENOMEM;
}

void control_who_add(struct control *control, struct control_who *who)
{
	const struct control_command command = {
		.name = "who",
		.summary = "which client stands or stood behind a source address and port",
		.params = {
			{ "source", CONTROL_TEXT, true },
			{ "backend", CONTROL_TEXT, false },
			{ "protocol", CONTROL_TEXT, false },
			{ "at", CONTROL_TEXT, false },
		},
		.run = run_who,
		.userdata = who,
	};

	control_add(control, &command);
}
