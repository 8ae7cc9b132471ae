#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control_request.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct control_param params[] = {
	{ "prefix", CONTROL_TEXT, true },
	{ "seconds", CONTROL_NUMBER, false },
	{ "force", CONTROL_FLAG, false },
	{ 0 },
};

static int parse(const char *line, struct control_request *request, struct control_error *error)
{
	return control_request_parse(line, strlen(line), request, error);
}

static void test_right(void **state)
{
	static const char *const cases[] = {
		"{\"version\":1,\"command\":\"status\"}",
		"{\"version\":1,\"command\":\"status\"}\n",
		" { \"command\" : \"status\" , \"version\" : 1 } \r\n",
		"{\"version\":1,\"command\":\"status\",\"args\":{}}",
		"{\"version\":1,\"command\":\"status\",\"args\":{\"anything\":[1,{\"a\":null}]}}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct control_request request;
		struct control_error error = { 0 };

		if (parse(cases[i], &request, &error) < 0)
			fail_msg("%s: %s", cases[i], error.text);
		assert_string_equal(request.command, "status");
		assert_true(!request.args == !strstr(cases[i], "args"));
		control_request_clear(&request);
		assert_null(request.root);
	}
}

static void test_wrong(void **state)
{
	static const struct {
		const char *line;
		const char *says;
	} cases[] = {
		{ "", "not JSON" },
		{ "status", "not JSON, at byte 6" },
		{ "{\"version\":1,\"command\":\"status\"", "not JSON" },
		{ "{\"version\":1,\"command\":\"status\"} x", "not JSON" },
		{ "{\"version\":1,\"version\":1,\"command\":\"status\"}", "duplicate" },
		{ "{\"version\":1,\"command\":\"st\\u0000tus\"}", "not JSON" },
		{ "{\"version\":1,\"command\":\"\xff\"}", "not JSON" },
		{ "null", "a request is a JSON object" },
		{ "[1]", "a request is a JSON object" },
		{ "\"status\"", "a request is a JSON object" },
		{ "{}", "no version: this gateway speaks \"version\": 1" },
		{ "{\"command\":\"status\"}", "no version" },
		{ "{\"version\":2,\"command\":\"status\"}", "an unknown version" },
		{ "{\"version\":\"1\",\"command\":\"status\"}", "an unknown version" },
		{ "{\"version\":1.0,\"command\":\"status\"}", "an unknown version" },
		{ "{\"version\":1}", "\"command\" must be a text" },
		{ "{\"version\":1,\"command\":7}", "\"command\" must be a text" },
		{ "{\"version\":1,\"command\":\"status\",\"args\":[]}",
			"\"args\" must be an object" },
		{ "{\"version\":1,\"command\":\"status\",\"args\":null}", "must be an object" },
		{ "{\"version\":1,\"comand\":\"status\"}", "unknown key \"comand\"" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct control_request request = { .command = "untouched" };
		struct control_error error = { 0 };

		if (parse(cases[i].line, &request, &error) != -EINVAL)
			fail_msg("%s was taken", cases[i].line);
		if (!strstr(error.text, cases[i].says))
			fail_msg("%s: \"%s\"", cases[i].line, error.text);
		assert_int_equal(error.code, CONTROL_BAD_REQUEST);
		assert_string_equal(request.command, "untouched");
	}
}

/* As deep as a request can be, it neither crashes nor is it taken. */
static void test_deep(void **state)
{
	struct control_request request;
	struct control_error error;
	char *line = malloc(CONTROL_REQUEST_MAX);

	(void)state;
	assert_non_null(line);
	memset(line, '[', CONTROL_REQUEST_MAX);
	assert_int_equal(
		control_request_parse(line, CONTROL_REQUEST_MAX, &request, &error), -EINVAL);
	free(line);
}

static void check_args(const char *text, const char *says)
{
	struct control_error error = { 0 };
	json_t *args = text ? json_loads(text, 0, NULL) : NULL;
	int err = control_check_args(args, params, &error);

	json_decref(args);
	if (!says) {
		if (err)
			fail_msg("%s: %s", text, error.text);
		return;
	}
	if (err != -EINVAL || !strstr(error.text, says) || error.code != CONTROL_BAD_ARGUMENT)
		fail_msg("%s: %d, \"%s\"", text ? text : "none", err, error.text);
}

static void test_args(void **state)
{
	(void)state;
	check_args("{\"prefix\":\"::/0\"}", NULL);
	check_args("{\"prefix\":\"\",\"seconds\":0,\"force\":false}", NULL);
	check_args("{\"prefix\":\"x\",\"seconds\":9223372036854775807}", NULL);
	check_args(NULL, "argument \"prefix\" is missing");
	check_args("{}", "argument \"prefix\" is missing");
	check_args("{\"seconds\":1}", "argument \"prefix\" is missing");
	check_args("{\"prefix\":null}", "argument \"prefix\" must be a text");
	check_args("{\"prefix\":\"x\",\"seconds\":-1}", "\"seconds\" must be a number");
	check_args("{\"prefix\":\"x\",\"seconds\":1.5}", "\"seconds\" must be a number");
	check_args("{\"prefix\":\"x\",\"seconds\":\"1\"}", "\"seconds\" must be a number");
	check_args("{\"prefix\":\"x\",\"force\":1}", "\"force\" must be a flag");
	check_args("{\"prefix\":\"x\",\"prefixes\":\"y\"}", "no argument \"prefixes\"");
}

static void test_values(void **state)
{
	json_t *args = json_loads("{\"prefix\":\"x\",\"seconds\":7,\"force\":true}", 0, NULL);

	(void)state;
	assert_string_equal(control_text(args, "prefix"), "x");
	assert_int_equal(control_number(args, "seconds", 9), 7);
	assert_true(control_flag(args, "force"));
	assert_null(control_text(args, "absent"));
	assert_int_equal(control_number(args, "absent", 9), 9);
	assert_false(control_flag(args, "absent"));
	json_decref(args);
	assert_null(control_text(NULL, "prefix"));
	assert_int_equal(control_number(NULL, "seconds", 9), 9);
	assert_false(control_flag(NULL, "force"));
}

static void check_line(char *line, size_t len, const char *expected)
{
	assert_non_null(line);
	assert_string_equal(line, expected);
	assert_int_equal(len, strlen(expected));
	free(line);
}

static void test_answers(void **state)
{
	struct control_error error;
	size_t len = 0;
	char *line;

	(void)state;
	line = control_answer(NULL, &len);
	check_line(line, len, "{\"version\":1,\"ok\":true,\"result\":{}}\n");
	line = control_answer(json_pack("{s:s}", "text", "two\nlines \xc3\xa4"), &len);
	check_line(line, len,
		"{\"version\":1,\"ok\":true,\"result\":{\"text\":\"two\\nlines \\u00E4\"}}\n");
	assert_int_equal(control_fail(&error, -ENOENT, CONTROL_NOT_FOUND, "no %s", "ban"), -ENOENT);
	line = control_answer_error(&error, &len);
	check_line(line, len,
		"{\"version\":1,\"ok\":false,\"code\":\"not-found\",\"error\":\"no ban\"}\n");
}

/* What a client has sent is quoted in errors, and cut anywhere. */
static void test_cut_text(void **state)
{
	struct control_error error;
	char text[3 * CONTROL_ERROR_MAX];
	size_t len = 0;

	(void)state;
	for (size_t shift = 0; shift < 4; shift++) {
		char *line, *p = text;

		for (size_t i = 0; i < shift; i++)
			*p++ = 'x';
		while (p < text + 2 * CONTROL_ERROR_MAX)
			p = stpcpy(p, "\xf0\x9f\x90\x80");
		(void)control_fail(&error, -EINVAL, CONTROL_FAILED, "%s", text);
		assert_int_equal(strlen(error.text), CONTROL_ERROR_MAX - 1);
		line = control_answer_error(&error, &len);
		assert_non_null(line);
		free(line);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_right),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_args),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_cut_text),
	};

	return cmocka_run_group_tests_name("control_request", tests, NULL, NULL);
}
