#include "control_request.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const code_names[] = { "bad-request", "too-large", "unknown-command",
	"bad-argument", "not-permitted", "not-found", "unavailable", "busy", "failed" };
static_assert(sizeof(code_names) / sizeof(code_names[0]) == CONTROL_CODE_COUNT, "a name a code");

static const char *const kind_names[] = { "text", "number", "flag" };

const char *control_code_name(enum control_code code)
{
	assert(code < CONTROL_CODE_COUNT);
	return code_names[code];
}

const char *control_kind_name(enum control_kind kind)
{
	assert((size_t)kind < sizeof(kind_names) / sizeof(kind_names[0]));
	return kind_names[kind];
}

/* What was quoted may have been cut in the middle of a character, and would be no JSON then. */
static void make_json_text(char *text)
{
	json_t *probe = json_string(text);

	for (char *p = text; !probe && *p; p++)
		if ((unsigned char)*p > '~')
			*p = '?';
	json_decref(probe);
}

int control_fail(
	struct control_error *error, int err, enum control_code code, const char *format, ...)
{
	va_list args;

	assert(err < 0 && code < CONTROL_CODE_COUNT);
	error->code = code;
	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	make_json_text(error->text);
	return err;
}

/* ---- requests ---- */

/* Before the keys: of another version they may be others, and the version is what to tell. */
static int check_version(const json_t *root, struct control_error *error)
{
	const json_t *version = json_object_get(root, "version");

	if (json_is_integer(version) && json_integer_value(version) == CONTROL_VERSION)
		return 0;
	return control_fail(error, -EINVAL, CONTROL_BAD_REQUEST,
		"%s: this gateway speaks \"version\": %d",
		version ? "an unknown version" : "no version", CONTROL_VERSION);
}

static int check_keys(json_t *root, struct control_error *error)
{
	const char *key;
	json_t *value;

	json_object_foreach(
		root, key, value) if (strcmp(key, "version") != 0 && strcmp(key, "command") != 0 &&
				      strcmp(key, "args") != 0) return control_fail(error, -EINVAL,
		CONTROL_BAD_REQUEST,
		"unknown key \"%.64s\": a request has version, command and args", key);
	return 0;
}

static int check_request(json_t *root, struct control_request *request, struct control_error *error)
{
	const json_t *command, *args;
	int err;

	if (!json_is_object(root))
		return control_fail(error, -EINVAL, CONTROL_BAD_REQUEST,
			"a request is a JSON object, {\"version\": %d, \"command\": ...}",
			CONTROL_VERSION);
	err = check_version(root, error);
	if (!err)
		err = check_keys(root, error);
	if (err)
		return err;
	command = json_object_get(root, "command");
	if (!json_is_string(command))
		return control_fail(
			error, -EINVAL, CONTROL_BAD_REQUEST, "\"command\" must be a text");
	args = json_object_get(root, "args");
	if (args && !json_is_object(args))
		return control_fail(
			error, -EINVAL, CONTROL_BAD_REQUEST, "\"args\" must be an object");
	request->command = json_string_value(command);
	request->args = args;
	return 0;
}

int control_request_parse(
	const char *line, size_t len, struct control_request *ret, struct control_error *error)
{
	struct control_request request = { 0 };
	json_error_t where;
	int err;

	request.root = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
	if (!request.root) {
		if (json_error_code(&where) == json_error_out_of_memory)
			return -ENOMEM;
		return control_fail(error, -EINVAL, CONTROL_BAD_REQUEST,
			"not JSON, at byte %d: %.150s", where.position, where.text);
	}
	err = check_request(request.root, &request, error);
	if (err)
		control_request_clear(&request);
	else
		*ret = request;
	return err;
}

void control_request_clear(struct control_request *request)
{
	json_decref(request->root);
	*request = (struct control_request){ 0 };
}

/* ---- arguments ---- */

static bool is_of_kind(const json_t *value, enum control_kind kind)
{
	switch (kind) {
	case CONTROL_TEXT:
		return json_is_string(value);
	case CONTROL_NUMBER:
		return json_is_integer(value) && json_integer_value(value) >= 0;
	case CONTROL_FLAG:
		return json_is_boolean(value);
	}
	return false;
}

static const struct control_param *find_param(const struct control_param *params, const char *name)
{
	for (; params->name; params++)
		if (strcmp(params->name, name) == 0)
			return params;
	return NULL;
}

int control_check_args(
	const json_t *args, const struct control_param *params, struct control_error *error)
{
	const struct control_param *param;
	const char *key;
	json_t *value;

	/* json_object_foreach() takes no const object, and changes none. */
	json_object_foreach((json_t *)(uintptr_t)args, key, value)
	{
		param = find_param(params, key);
		if (!param)
			return control_fail(error, -EINVAL, CONTROL_BAD_ARGUMENT,
				"this command has no argument \"%.64s\"", key);
		if (!is_of_kind(value, param->kind))
			return control_fail(error, -EINVAL, CONTROL_BAD_ARGUMENT,
				"argument \"%s\" must be a %s", key,
				control_kind_name(param->kind));
	}
	for (param = params; param->name; param++)
		if (param->required && !json_object_get(args, param->name))
			return control_fail(error, -EINVAL, CONTROL_BAD_ARGUMENT,
				"argument \"%s\" is missing", param->name);
	return 0;
}

const char *control_text(const json_t *args, const char *name)
{
	return json_string_value(json_object_get(args, name));
}

uint64_t control_number(const json_t *args, const char *name, uint64_t otherwise)
{
	const json_t *value = json_object_get(args, name);

	return value ? (uint64_t)json_integer_value(value) : otherwise;
}

bool control_flag(const json_t *args, const char *name)
{
	return json_is_true(json_object_get(args, name));
}

/* ---- answers ---- */

/*
 * Takes the answer over. ASCII only, so that a line is one whatever reads it, and a terminal is not
 * told anything by a name. Nine digits: more would be the noise of a binary fraction.
 */
static char *dump_line(json_t *answer, size_t *ret_len)
{
	const size_t flags = JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9);
	size_t len = answer ? json_dumpb(answer, NULL, 0, flags) : 0;
	char *line = len ? malloc(len + 2) : NULL;

	if (line) {
		json_dumpb(answer, line, len, flags);
		line[len] = '\n';
		line[len + 1] = '\0';
		*ret_len = len + 1;
	}
	json_decref(answer);
	return line;
}

char *control_answer(json_t *result, size_t *ret_len)
{
	return dump_line(json_pack("{s:i, s:b, s:o}", "version", CONTROL_VERSION, "ok", 1, "result",
				 result ? result : json_object()),
		ret_len);
}

char *control_answer_error(const struct control_error *error, size_t *ret_len)
{
	return dump_line(json_pack("{s:i, s:b, s:s, s:s}", "version", CONTROL_VERSION, "ok", 0,
				 "code", control_code_name(error->code), "error", error->text),
		ret_len);
}
