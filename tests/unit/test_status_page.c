#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "page_text.h"
#include "status_page.h"

static char *page_of(const char *status, const struct history *history)
{
	json_t *json = json_loads(status, JSON_DECODE_ANY, NULL);
	char *html = NULL;
	size_t len = 0;

	assert_non_null(json);
	assert_int_equal(status_page_html(json, history, &html, &len), 0);
	assert_int_equal(strlen(html), len);
	json_decref(json);
	return html;
}

static void test_whatever_comes(void **state)
{
	static const char *const answers[] = {
		"null",
		"[]",
		"{}",
		"{\"pools\":{},\"listeners\":1,\"workers\":\"x\",\"counters\":[],\"guard\":true}",
		("{\"pools\":[1,{\"backends\":[1,{}]}],\"listeners\":[0,{\"binds\":[{},[]]}],"
		 "\"workers\":[{}]}"),
		"{\"pools\":[{\"name\":7,\"up\":1}],\"uptime_s\":-1e300,\"pid\":1e300}",
		"{\"uptime_s\":1e300,\"counters\":{\"accepted\":9223372036854775807}}",
	};
	struct history *history = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		json_t *status = json_loads(answers[i], JSON_DECODE_ANY, NULL);

		free(page_of(answers[i], NULL));
		assert_int_equal(history_create(&history), 0);
		free(page_of(answers[i], history));
		history_take(history, status, INT64_MAX);
		history_take(history, status, INT64_MIN);
		free(page_of(answers[i], history));
		history_close(history);
		json_decref(status);
	}
}

static void test_names_are_escaped(void **state)
{
	char *html = page_of("{\"pools\":[{\"name\":\"<i>&\\\"'\\u0007\",\"up\":true}]}", NULL);

	(void)state;
	assert_null(strstr(html, "<i>"));
	assert_non_null(strstr(html, "<bdi>&lt;i&gt;&amp;&quot;&#39;\ufffd</bdi>"));
	free(html);
}

static void test_many_backends(void **state)
{
	json_t *backends = json_array();
	json_t *status = json_pack(
		"{s:[{s:s, s:b, s:o}]}", "pools", "name", "p", "up", 1, "backends", backends);
	char *html = NULL;
	size_t len = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		json_array_append_new(backends,
			json_pack("{s:s, s:b, s:i}", "address", "a", "up", 1, "weight", 1));
	assert_int_equal(status_page_html(status, NULL, &html, &len), 0);
	assert_non_null(strstr(html, "1000 of 1000 backends up"));
	assert_non_null(strstr(html, "and 952 more backends"));
	assert_true(len < 100000);
	free(html);
	json_decref(status);
}

typedef void format_number(struct page_text *text, double n);

static void test_numbers(void **state)
{
	static const struct {
		format_number *format;
		double n;
		const char *text;
	} cases[] = {
		{ page_text_count, 0, "0" },
		{ page_text_count, 812, "812" },
		{ page_text_count, 999.7, "1,000" },
		{ page_text_count, 1024, "1,024" },
		{ page_text_count, 12345, "12.3\u00a0k" },
		{ page_text_count, 0.25, "0.25" },
		{ page_text_count, PAGE_TEXT_UNKNOWN, "–" },
		{ page_text_bytes, 999.6, "1.00\u00a0kB/s" },
		{ page_text_bytes, 22800000, "22.8\u00a0MB/s" },
		{ page_text_seconds, 0, "0\u00a0s" },
		{ page_text_seconds, 0.00085, "850\u00a0µs" },
		{ page_text_seconds, 0.0012, "1.20\u00a0ms" },
		{ page_text_seconds, 0.9999, "1.00\u00a0s" },
		{ page_text_duration, 59, "59\u00a0s" },
		{ page_text_duration, 90061, "1\u00a0d 1\u00a0h" },
		{ page_text_duration, -5, "0\u00a0s" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct page_text text = { 0 };
		char *data = NULL;
		size_t len = 0;

		cases[i].format(&text, cases[i].n);
		assert_int_equal(page_text_take(&text, &data, &len), 0);
		assert_string_equal(data, cases[i].text);
		free(data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whatever_comes),
		cmocka_unit_test(test_names_are_escaped),
		cmocka_unit_test(test_many_backends),
		cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
