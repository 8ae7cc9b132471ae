#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "metrics_text.h"
#include "stats.h"

static char *text_of(const char *json, bool openmetrics)
{
	json_error_t error;
	json_t *status = json_loads(json, 0, &error);
	size_t len = 0;
	char *text;

	if (!status)
		fail_msg("%s", error.text);
	text = metrics_text(status, openmetrics, &len);
	assert_non_null(text);
	assert_int_equal(strlen(text), len);
	json_decref(status);
	return text;
}

static void assert_both(const char *json, const char *openmetrics, const char *prometheus)
{
	char *text = text_of(json, true);

	assert_string_equal(text, openmetrics);
	free(text);
	text = text_of(json, false);
	assert_string_equal(text, prometheus);
	free(text);
}

static void test_nothing(void **state)
{
	(void)state;
	assert_both("{}", "# EOF\n", "");
	assert_both("[]", "# EOF\n", "");
	assert_both(
		"{\"listeners\": {\"a\": 1}, \"pools\": 3, \"workers\": [7], \"counters\": [1]}",
		"# EOF\n", "");
}

static void test_counters_and_units(void **state)
{
	(void)state;
	assert_both("{\"listeners\": [{\"bytes_in\": 5}]}",
		"# HELP sixgate_listener_info What there is of a listener.\n"
		"# TYPE sixgate_listener_info gauge\n"
		"sixgate_listener_info 1\n"
		"# HELP sixgate_received_bytes Bytes from clients, without headers.\n"
		"# TYPE sixgate_received_bytes counter\n"
		"# UNIT sixgate_received_bytes bytes\n"
		"sixgate_received_bytes_total 5\n"
		"# EOF\n",
		"# HELP sixgate_listener_info What there is of a listener.\n"
		"# TYPE sixgate_listener_info gauge\n"
		"sixgate_listener_info 1\n"
		"# HELP sixgate_received_bytes_total Bytes from clients, without headers.\n"
		"# TYPE sixgate_received_bytes_total counter\n"
		"sixgate_received_bytes_total 5\n");
}

static void test_labels_are_escaped(void **state)
{
	char *text = text_of(
		"{\"pools\": [{\"name\": \"a\\\"b\\\\c\\nd\\u00e9\", \"up\": false}]}", true);

	(void)state;
	assert_non_null(strstr(text, "\nsixgate_pool_up{pool=\"a\\\"b\\\\c\\nd\xc3\xa9\"} 0\n"));
	free(text);
}

static void test_histogram_is_cumulative(void **state)
{
	char *text =
		text_of("{\"listeners\": [{\"name\": \"web\", \"connect\": {\"bounds_s\": "
			"[0.0005, 1.0, 86400.0], \"counts\": [2, 0, 3, 1], \"sum_s\": 7.25}}]}",
			true);

	(void)state;
	assert_non_null(strstr(text,
		"# TYPE sixgate_connect_duration_seconds histogram\n"
		"# UNIT sixgate_connect_duration_seconds seconds\n"
		"sixgate_connect_duration_seconds_bucket{listener=\"web\",le=\"0.0005\"} 2\n"
		"sixgate_connect_duration_seconds_bucket{listener=\"web\",le=\"1.0\"} 2\n"
		"sixgate_connect_duration_seconds_bucket{listener=\"web\",le=\"86400.0\"} 5\n"
		"sixgate_connect_duration_seconds_bucket{listener=\"web\",le=\"+Inf\"} 6\n"
		"sixgate_connect_duration_seconds_sum{listener=\"web\"} 7.25\n"
		"sixgate_connect_duration_seconds_count{listener=\"web\"} 6\n"));
	free(text);
	text = text_of("{\"listeners\": [{\"name\": \"web\", \"connect\": {\"bounds_s\": [1], "
		       "\"counts\": [2], \"sum_s\": 7}}]}",
		true);
	assert_null(strstr(text, "connect"));
	free(text);
}

static void test_families(void **state)
{
	char *text = text_of("{\"counters\": {\"accepted\": 9, \"closed\": 9, \"limit_rate\": 1, "
			     "\"limit_untracked\": 2, \"paused_files\": 3, \"starved\": 4, "
			     "\"limit_full\": 5, \"hold_held\": 6, \"hold_claimed\": 7, "
			     "\"hold_backend_full\": 8, \"headers\": 10, \"headers_read\": 11, "
			     "\"something_new\": 12, \"bad name\": 13}}",
		false);

	(void)state;
	assert_non_null(strstr(text, "sixgate_limited_total counter\n"
				     "sixgate_limited_total{reason=\"rate\"} 1\n"
				     "sixgate_limited_total{reason=\"full\"} 5\n"));
	assert_non_null(strstr(text, "\nsixgate_untracked_total 2\n"));
	assert_non_null(strstr(text, "sixgate_paused_total{reason=\"files\"} 3\n"
				     "sixgate_paused_total{reason=\"sockets\"} 4\n"));
	assert_non_null(strstr(text, "\nsixgate_held_total 6\n"));
	assert_non_null(strstr(text, "\nsixgate_held_outcomes_total{outcome=\"claimed\"} 7\n"));
	assert_non_null(strstr(text, "\nsixgate_not_held_total{reason=\"backend_full\"} 8\n"));
	assert_non_null(strstr(text, "\nsixgate_headers_total{direction=\"written\"} 10\n"));
	assert_non_null(strstr(text, "\nsixgate_headers_total{direction=\"read\"} 11\n"));
	assert_non_null(strstr(text, "\nsixgate_something_new_total 12\n"));
	assert_null(strstr(text, "accepted"));
	assert_null(strstr(text, "closed"));
	assert_null(strstr(text, "bad name"));
	free(text);
}

static size_t count(const char *text, const char *word)
{
	size_t n = 0;

	while ((text = strstr(text, word))) {
		n++;
		text++;
	}
	return n;
}

/* Every counter that there is comes once, and no family is begun twice. */
static void test_all_counters(void **state)
{
	json_t *counters = json_object(), *status;
	char *text, *line, *save = NULL, *copy;
	char value[32];
	size_t len = 0;

	(void)state;
	for (int i = 0; i < STATS_COUNT; i++)
		json_object_set_new(
			counters, stats_name((enum stats_counter)i), json_integer(1000000 + i));
	status = json_pack("{s:o}", "counters", counters);
	text = metrics_text(status, true, &len);
	assert_non_null(text);
	for (int i = STATS_HEADERS; i < STATS_LIVE_FLOWS; i++) {
		snprintf(value, sizeof(value), " %d\n", 1000000 + i);
		assert_int_equal(count(text, value),
			i >= STATS_ENDED_CLOSED && i <= STATS_ENDED_ERROR ? 0 : 1);
	}
	copy = strdup(text);
	assert_non_null(copy);
	for (line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strncmp(line, "# TYPE", 6) == 0)
			assert_int_equal(count(text, line), 1);
	free(copy);
	free(text);
	json_decref(status);
}

static void test_same_address_twice(void **state)
{
	char *text = text_of("{\"pools\": [{\"name\": \"p\", \"backends\": [{\"address\": \"a:1\", "
			     "\"weight\": 1}, {\"address\": \"a:1\", \"weight\": 2}, {\"address\": "
			     "\"a:1\", \"name\": \"n\", \"weight\": 3}]}]}",
		true);

	(void)state;
	assert_non_null(
		strstr(text, "weight{pool=\"p\",backend=\"a:1\"} 1\n"
			     "sixgate_backend_weight{pool=\"p\",backend=\"a:1\",name=\"n\"} "
			     "3\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_counters_and_units),
		cmocka_unit_test(test_labels_are_escaped),
		cmocka_unit_test(test_histogram_is_cumulative),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_all_counters),
		cmocka_unit_test(test_same_address_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
