#include "unit.h"

#include <locale.h>
#include <string.h>

#include "ctl_top_rates.h"
#include "ctl_top_view.h"

/* Two answers, the second two seconds later. */
static const char first_text[] =
	"{'version':'1.2.3','pid':7,'state':'running','uptime_s':3600.0,"
	"'workers':[{'ready':true},{'ready':false}],"
	"'listeners':[{'name':'web','protocol':'tcp','live':3,'accepted':10,'bytes_in':0,"
	"'bytes_out':0,'ended':{'closed':5,'refused':1}},{'name':'old','protocol':'udp'}],"
	"'pools':[{'name':'web','up':true,'backends':[{'address':'192.0.2.1:80','up':true,"
	"'weight':100,'live':3,'connects':10,'connect_failures':0},{'address':'192.0.2.2:80',"
	"'up':false,'weight':100,'live':9,'connects':5,'connect_failures':0}]}],"
	"'counters':{'live_flows':3,'accepted':10,'bytes_in':0,'bytes_out':0,'closed':5,"
	"'refused':1,'dropped_rate':4,'limit_full':0},'control':{'refused':0}}";
static const char second_text[] =
	"{'version':'1.2.3','pid':7,'state':'running','uptime_s':3602.0,"
	"'workers':[{'ready':true},{'ready':true}],"
	"'listeners':[{'name':'web','protocol':'tcp','live':4,'accepted':30,'bytes_in':1000,"
	"'bytes_out':500000,'ended':{'closed':15,'refused':5}},{'name':'old','protocol':'udp'}],"
	"'pools':[{'name':'web','up':true,'backends':[{'address':'192.0.2.1:80','up':true,"
	"'weight':100,'live':3,'connects':40,'connect_failures':6},{'address':'192.0.2.2:80',"
	"'up':false,'weight':100,'live':9,'connects':5,'connect_failures':0}]}],"
	"'counters':{'live_flows':4,'accepted':30,'bytes_in':1000,'bytes_out':500000,"
	"'closed':15,'refused':5,'dropped_rate':10,'limit_full':0},"
	"'control':{'refused':2}}";

static json_t *parse(const char *text)
{
	char copy[4096];
	json_t *value;

	assert_true(strlen(text) < sizeof(copy));
	strcpy(copy, text);
	for (char *p = copy; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	value = json_loads(copy, 0, NULL);
	assert_non_null(value);
	return value;
}

static json_t *make_rates(void)
{
	json_t *first = parse(first_text), *second = parse(second_text);
	json_t *rates = ctl_top_rates(NULL, first, second, 2.0);

	assert_non_null(rates);
	json_decref(first);
	json_decref(second);
	return rates;
}

static void assert_number(const json_t *object, const char *key, double expected)
{
	assert_true(json_is_number(json_object_get(object, key)));
	assert_float_equal(json_number_value(json_object_get(object, key)), expected, 1e-9);
}

/* ---- rates ---- */

static void test_rates(void **state)
{
	json_t *rates = make_rates(), *web, *backends, *moved;

	(void)state;
	assert_number(rates, "interval_s", 2);
	assert_number(rates, "workers", 2);
	assert_number(rates, "workers_ready", 2);
	assert_number(rates, "live_flows", 4);
	assert_number(rates, "connections_per_s", 10);
	assert_number(rates, "bits_in_per_s", 4000);
	assert_number(rates, "bits_out_per_s", 2000000);
	assert_number(rates, "failures_per_s", 2);
	assert_number(json_object_get(rates, "failures"), "refused", 2);
	assert_int_equal(json_object_size(json_object_get(rates, "failures")), 1);
	/* Counters that an older gateway does not have. */
	assert_true(json_is_null(json_object_get(rates, "datagrams_in_per_s")));
	web = json_array_get(json_object_get(rates, "listeners"), 0);
	assert_number(web, "connections_per_s", 10);
	assert_number(web, "failures_per_s", 2);
	assert_true(json_is_null(json_object_get(
		json_array_get(json_object_get(rates, "listeners"), 1), "connections_per_s")));
	backends = json_object_get(json_array_get(json_object_get(rates, "pools"), 0), "backends");
	assert_number(json_array_get(backends, 0), "connections_per_s", 15);
	assert_number(json_array_get(backends, 0), "failures_per_s", 3);
	moved = json_object_get(rates, "moved");
	assert_int_equal(json_object_size(moved), 2);
	assert_number(json_object_get(moved, "dropped_rate"), "per_s", 3);
	assert_number(json_object_get(moved, "dropped_rate"), "since", 6);
	assert_number(json_object_get(moved, "control_refused"), "since", 2);
	json_decref(rates);
}

/* Nothing is known of the time before, or the counters have begun anew. */
static void test_no_rates(void **state)
{
	json_t *first = parse(first_text), *second = parse(second_text);
	json_t *alone = ctl_top_rates(NULL, NULL, first, 1.0);
	json_t *anew = ctl_top_rates(NULL, second, first, 1.0);
	json_t *empty = json_object(), *nothing = ctl_top_rates(empty, empty, empty, 0.0);

	(void)state;
	assert_true(json_is_null(json_object_get(alone, "connections_per_s")));
	assert_true(json_is_null(json_object_get(alone, "failures_per_s")));
	assert_number(alone, "live_flows", 3);
	assert_true(json_is_null(json_object_get(anew, "connections_per_s")));
	assert_non_null(nothing);
	json_decref(first);
	json_decref(second);
	json_decref(alone);
	json_decref(anew);
	json_decref(empty);
	json_decref(nothing);
}

/* ---- lines ---- */

static const struct ctl_top_line *line_with(const struct ctl_top_view *view, const char *text)
{
	for (size_t i = 0; i < view->n; i++)
		if (strstr(view->lines[i].text, text))
			return &view->lines[i];
	return NULL;
}

static void assert_styled(
	const struct ctl_top_line *line, const char *text, enum ctl_top_style style)
{
	size_t at = (size_t)(strstr(line->text, text) - line->text);
	enum ctl_top_style found = CTL_TOP_PLAIN;

	for (size_t i = 0; i < line->n_marks && line->marks[i].from <= at; i++)
		found = line->marks[i].style;
	assert_int_equal(found, style);
}

static void test_view(void **state)
{
	const struct ctl_top_options options = { .columns = 80 };
	struct ctl_top_view view = { 0 };
	json_t *rates = make_rates();

	(void)state;
	assert_int_equal(ctl_top_view_make(rates, &options, &view), 0);
	assert_string_equal(view.lines[0].text, "sixgated 1.2.3  running  up 1h00m  workers 2/2");
	assert_string_equal(view.lines[1].text,
		"live 4  connections 10/s  in 4.0kbit/s  out 2.0Mbit/s  datagrams -/s in, -/s out");
	assert_string_equal(view.lines[2].text, "failures 2/s  refused 2");
	assert_int_equal(view.n_head, 4);
	assert_string_equal(view.lines[4].text, "LISTENER                      PROTO    LIVE  "
						"CONN/S  IN BIT/S  OUT BIT/S  FAIL/S");
	assert_non_null(line_with(&view, "tcp       4      10      4.0k       2.0M       2"));
	assert_non_null(line_with(&view, "udp       -       -         -          -       -"));
	assert_styled(line_with(&view, "192.0.2.1:80"), "up", CTL_TOP_GOOD);
	assert_styled(line_with(&view, "192.0.2.2:80"), "DOWN", CTL_TOP_BAD);
	assert_non_null(line_with(&view, "dropped_rate"));
	json_decref(rates);
	ctl_top_view_clear(&view);
}

/* Whatever the width, nothing is wider, and what matters most is there. */
static void test_widths(void **state)
{
	struct ctl_top_options options = { 0 };
	struct ctl_top_view view = { 0 };
	struct ctl_top_line foot;
	json_t *rates = make_rates();

	(void)state;
	for (size_t columns = 0; columns < 400; columns++) {
		size_t most = columns < CTL_TOP_COLUMNS_MAX ? columns : CTL_TOP_COLUMNS_MAX;

		options.columns = columns;
		assert_int_equal(ctl_top_view_make(rates, &options, &view), 0);
		for (size_t i = 0; i < view.n; i++) {
			assert_true(view.lines[i].columns <= most);
			assert_int_equal(strlen(view.lines[i].text), view.lines[i].bytes);
			for (size_t k = 0; k < view.lines[i].n_marks; k++)
				assert_true(view.lines[i].marks[k].from <= view.lines[i].bytes);
		}
		if (columns >= 30)
			assert_non_null(line_with(&view, "DOWN"));
		ctl_top_view_foot(&view, &options, 0, 5, &foot);
		assert_int_equal(foot.columns, most);
		assert_int_equal(ctl_top_view_help(columns, &view), 0);
	}
	json_decref(rates);
	ctl_top_view_clear(&view);
}

static void test_sorted(void **state)
{
	static const char *const upper[] = { "192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.1" };
	struct ctl_top_options options = { .columns = 80 };
	struct ctl_top_view view = { 0 };
	json_t *rates = make_rates();

	(void)state;
	for (int sort = 0; sort < CTL_TOP_SORTS; sort++) {
		bool first;

		options.sort = (enum ctl_top_sort)sort;
		assert_int_equal(ctl_top_view_make(rates, &options, &view), 0);
		first = line_with(&view, "192.0.2.1") < line_with(&view, "192.0.2.2");
		assert_int_equal(first, strcmp(upper[sort], "192.0.2.1") == 0);
	}
	json_decref(rates);
	ctl_top_view_clear(&view);
}

/* Names come from a configuration, and states from a gateway that may be any. */
static void test_no_control(void **state)
{
	const struct ctl_top_options options = { .columns = 80, .trouble = "gone\nfar" };
	json_t *rates =
		json_pack("{s:s, s:[{s:s, s:s}]}", "version", "1\x1b[2J", "listeners", "name",
			"a\tb\x7f\xc2\x9b"
			"c\xe4\xb8\xad\xcc\x81\xc3\xa4z",
			"protocol", "\r");
	struct ctl_top_view view = { 0 };

	(void)state;
	assert_int_equal(ctl_top_view_make(rates, &options, &view), 0);
	for (size_t i = 0; i < view.n; i++)
		for (const char *p = view.lines[i].text; *p; p++)
			assert_true((unsigned char)*p >= ' ' && *p != '\x7f');
	assert_non_null(line_with(&view, "sixgated 1?[2J  NO ANSWER: gone?far; trying again"));
	/* A letter of one column may stay; what takes two, or none, or a command does not. */
	assert_non_null(line_with(&view, "a?b??c??\xc3\xa4z"));
	json_decref(rates);
	ctl_top_view_clear(&view);
}

static void test_nothing_known(void **state)
{
	const struct ctl_top_options options = { .columns = 40,
		.trouble = "no gateway runs there" };
	struct ctl_top_view view = { 0 };

	(void)state;
	assert_int_equal(ctl_top_view_make(NULL, &options, &view), 0);
	assert_int_equal(view.n, view.n_head);
	assert_non_null(line_with(&view, "NO ANSWER: no gateway runs there"));
	ctl_top_view_clear(&view);
}

static void test_numbers(void **state)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = { { 0, "0" }, { 0.25, "0.2" }, { 7, "7" }, { 12.34, "12.3" }, { 99.96, "100" },
		{ 999, "999" }, { 999.6, "1.0k" }, { 12345, "12.3k" }, { 999999, "1.0M" },
		{ 2.5e9, "2.5G" }, { 1e12, "1.0T" }, { 1.5e16, "15.0P" } };
	char text[CTL_TOP_NUMBER_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(ctl_top_view_number(cases[i].value, text), cases[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_no_rates),
		cmocka_unit_test(test_view),
		cmocka_unit_test(test_widths),
		cmocka_unit_test(test_sorted),
		cmocka_unit_test(test_no_control),
		cmocka_unit_test(test_nothing_known),
		cmocka_unit_test(test_numbers),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
