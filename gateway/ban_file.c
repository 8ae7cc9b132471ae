#include "ban_file.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1
#define KIND	"bans"

/* ---- reading ---- */

static const char *take_ban(
	const json_t *root, struct ban_list *list, uint64_t now_ms, int *ret_err)
{
	const json_t *until = json_object_get(root, "until_ms");
	const json_t *reason = json_object_get(root, "reason");
	const char *text = reason ? json_string_value(reason) : "", *why = NULL;
	struct ban_changes changes = { 0 };
	struct ban ban;

	if (ban_list_parse(json_string_value(json_object_get(root, "ban")), &ban, &why) < 0)
		return why;
	if (until && (!json_is_integer(until) || json_integer_value(until) <= 0))
		return "until_ms is a whole number of milliseconds since 1970";
	if (!text || !ban_list_reason_is_fine(text))
		return "reason is a text of up to 120 bytes without control characters";
	ban.until_ms = (uint64_t)json_integer_value(until);
	*ret_err = ban_list_put(list, &ban, text, now_ms, &changes);
	ban_changes_clear(&changes);
	if (*ret_err != -ENOSPC)
		return NULL;
	*ret_err = 0;
	return "there are 65536 bans already";
}

static const char *take_unban(
	const json_t *root, struct ban_list *list, uint64_t now_ms, int *ret_err)
{
	struct ban_changes changes = { 0 };
	const char *why = NULL;
	struct ban ban;

	if (ban_list_parse(json_string_value(json_object_get(root, "unban")), &ban, &why) < 0)
		return why;
	*ret_err = ban_list_remove(list, &ban, now_ms, &changes);
	ban_changes_clear(&changes);
	if (*ret_err == -ENOENT)
		*ret_err = 0; /* its own line was the one that made no sense */
	return NULL;
}

static const char *check_head(const json_t *root)
{
	const char *kind = json_string_value(json_object_get(root, "sixgate"));

	if (!kind || strcmp(kind, KIND) != 0)
		return "this is no file of bans";
	if (json_integer_value(json_object_get(root, "version")) != VERSION)
		return "this version is not known";
	return NULL;
}

/* NULL: it was fine; or what is wrong. */
static const char *take_line(const char *line, size_t len, bool first, struct ban_list *list,
	uint64_t now_ms, int *ret_err)
{
	json_t *root = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *why = NULL;

	if (!json_is_object(root))
		why = "this is no JSON object";
	else if (first)
		why = check_head(root);
	else if (json_is_string(json_object_get(root, "ban")))
		why = take_ban(root, list, now_ms, ret_err);
	else if (json_is_string(json_object_get(root, "unban")))
		why = take_unban(root, list, now_ms, ret_err);
	else
		why = "this is neither a ban nor an unban";
	json_decref(root);
	return why;
}

int ban_file_parse(const char *text, size_t len, struct ban_list *list, uint64_t now_ms,
	struct ban_file_flaws *ret_flaws)
{
	struct ban_file_flaws flaws = { 0 };
	const char *newline;
	int err = 0;

	while (len > 0 && (newline = memchr(text, '\n', len)) && !err) {
		size_t line = (size_t)(newline - text);
		const char *why = take_line(text, line, flaws.n_lines == 0, list, now_ms, &err);

		flaws.n_lines++;
		if (why && flaws.n++ == 0) {
			flaws.line = flaws.n_lines;
			flaws.reason = why;
		}
		text += line + 1;
		len -= line + 1;
	}
	if (!err)
		*ret_flaws = flaws;
	return err;
}

/* ---- writing ---- */

/* The object as a line; it is taken over. */
static char *line_of(json_t *root)
{
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL, *line = NULL;

	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	json_decref(root);
	return line;
}

char *ban_file_head(void)
{
	return line_of(json_pack("{s:s, s:i}", "sixgate", KIND, "version", VERSION));
}

char *ban_file_ban_of(const struct ban *ban, const char *reason)
{
	char text[BAN_TEXT_MAX];
	json_t *root = json_pack("{s:s}", "ban", ban_list_text(ban, text));

	if (root && ban->until_ms)
		json_object_set_new(root, "until_ms", json_integer((json_int_t)ban->until_ms));
	if (root && reason[0])
		json_object_set_new(root, "reason", json_string(reason));
	return line_of(root);
}

char *ban_file_ban(const struct ban *ban)
{
	return ban_file_ban_of(ban, ban->reason);
}

char *ban_file_unban(const struct ban *ban)
{
	char text[BAN_TEXT_MAX];

	return line_of(json_pack("{s:s}", "unban", ban_list_text(ban, text)));
}
