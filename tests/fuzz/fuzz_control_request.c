/*
 * Fuzzes the reader of control requests: whatever a client sends there is a request, whose
 * arguments can then be checked against any command's, or an error that makes an answer of one
 * line.
 */
#include "control_request.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static const struct control_param params[] = {
	{ "prefix", CONTROL_TEXT, true },
	{ "seconds", CONTROL_NUMBER, false },
	{ "force", CONTROL_FLAG, false },
	{ 0 },
};

static void require_answer(char *line, size_t len)
{
	json_t *answer;

	REQUIRE(line && len > 0 && strlen(line) == len);
	REQUIRE(strchr(line, '\n') == line + len - 1);
	answer = json_loadb(line, len, 0, NULL);
	REQUIRE(json_is_object(answer));
	json_decref(answer);
	free(line);
}

static void require_error(const struct control_error *error)
{
	size_t len = 0;
	char *line;

	REQUIRE(strnlen(error->text, CONTROL_ERROR_MAX) < CONTROL_ERROR_MAX && error->text[0]);
	line = control_answer_error(error, &len);
	require_answer(line, len);
}

/* Arguments come back as they came in. */
static void require_arguments(const struct control_request *request)
{
	struct control_error error = { 0 };
	size_t len = 0;
	char *line;

	if (control_check_args(request->args, params, &error) < 0) {
		require_error(&error);
		return;
	}
	REQUIRE(control_text(request->args, "prefix"));
	REQUIRE(control_number(request->args, "seconds", 0) <= INT64_MAX);
	line = control_answer(
		json_pack("{s:s, s:b}", "prefix", control_text(request->args, "prefix"), "force",
			control_flag(request->args, "force")),
		&len);
	require_answer(line, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control_request request = { 0 };
	struct control_error error = { 0 };
	char *copy = malloc(size > 0 ? size : 1);
	int err;

	REQUIRE(copy);
	if (size > 0)
		memcpy(copy, data, size);
	err = control_request_parse(copy, size, &request, &error);
	free(copy);
	if (err) {
		REQUIRE(!request.root);
		require_error(&error);
		return 0;
	}
	REQUIRE(request.command);
	require_arguments(&request);
	(void)control_fail(&error, -1, CONTROL_UNKNOWN_COMMAND, "\"%.64s\"", request.command);
	require_error(&error);
	control_request_clear(&request);
	return 0;
}

static const char *const words[] = {
	"{\"version\":1,\"command\":\"ban\",\"args\":{\"prefix\":\"2001:db8::/64\"}}",
	"\"seconds\":18446744073709551616",
	"\"force\":true",
	"\"version\":1,",
	"\"args\":{",
	"\\u00e4",
	"\\ud800",
	"\xf0\x9f\x90\x80",
	"[[[[[[[[",
	"1e999",
};

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	return fuzz_add_word(words, sizeof(words) / sizeof(words[0]), data, size, max_size, seed);
}
