#include "ctl_top_view.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/*
 * Theory of operation
 *
 * A line is put together from the left: its columns grow with each character, and put() stops where
 * it is told to, so nothing has to be cut afterwards. A character takes one column or is a question
 * mark, and at most 4 bytes, so a line of CTL_TOP_COLUMNS_MAX always has room for its text.
 *
 * Styles are marks at bytes, so that a line is text first, and can be compared as such in tests.
 *
 * Too narrow a screen is no error: parts of the head flow into the next line, columns of tables are
 * left out by their rank ("keep"), and names get what is left.
 *
 * A line that there is no memory for is left out by whoever wanted it, without a word.
 */
#define CELL_MAX  256 /* bytes */
#define GAP	  2   /* columns between cells, and between the parts of the head */
#define FIRST_MIN 14  /* columns of the first cell of a table, if there are so many */
#define FIRST_MAX 48
#define CELLS_MAX 8

/* ---- lines ---- */

/* NULL: no memory, or none any more. */
static struct ctl_top_line *new_line(struct ctl_top_view *view)
{
	struct ctl_top_line *grown;
	size_t room;

	if (!view->lines || view->n == view->room) {
		room = 2 * view->room + 32;
		grown = reallocarray(view->lines, room, sizeof(*grown));
		if (!grown)
			return NULL;
		view->lines = grown;
		view->room = room;
	}
	memset(&view->lines[view->n], 0, sizeof(*view->lines));
	return &view->lines[view->n++];
}

/* From here on. A mark where nothing was put since the last is that one, and so is one too many. */
static void mark(struct ctl_top_line *line, enum ctl_top_style style)
{
	struct ctl_top_mark *last = line->n_marks ? &line->marks[line->n_marks - 1] : NULL;

	if (last && (last->from == line->bytes || line->n_marks == CTL_TOP_MARKS_MAX))
		last->style = style;
	else if (!last || last->style != style)
		line->marks[line->n_marks++] = (struct ctl_top_mark){ line->bytes, style };
}

/* The bytes of the next character; *ret_fits: it takes one column and does nothing else. */
static size_t next_character(const char *text, bool *ret_fits)
{
	mbstate_t state = { 0 };
	wchar_t c = 0;
	size_t n = mbrtowc(&c, text, MB_LEN_MAX, &state);

	if (n == 0 || n > MB_LEN_MAX) { /* not of this character set */
		*ret_fits = false;
		return 1;
	}
	*ret_fits = wcwidth(c) == 1;
	return n;
}

/* As much of it as there is room for, up to `columns` of the line. How many columns it took. */
static size_t put(struct ctl_top_line *line, size_t columns, const char *text)
{
	size_t before = line->columns;

	while (*text && line->columns < columns) {
		bool fits;
		size_t n = next_character(text, &fits);

		if (fits) {
			memcpy(line->text + line->bytes, text, n);
			line->bytes += n;
		} else {
			line->text[line->bytes++] = '?';
		}
		line->columns++;
		text += n;
	}
	line->text[line->bytes] = 0;
	return line->columns - before;
}

static void pad(struct ctl_top_line *line, size_t columns, size_t to)
{
	while (line->columns < to && put(line, columns, " ") > 0)
		;
}

static size_t width_of(const char *text)
{
	size_t columns = 0;
	bool fits;

	for (; *text; columns++)
		text += next_character(text, &fits);
	return columns;
}

/* ---- the head: parts that flow into as many lines as they need ---- */

/* Puts a part behind the others, or at the beginning of a new line if it has no room there. */
__attribute__((format(printf, 3, 4))) static void flow(
	struct ctl_top_view *view, enum ctl_top_style style, const char *format, ...)
{
	struct ctl_top_line *line = view->n ? &view->lines[view->n - 1] : NULL;
	char text[CELL_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (!line || (line->columns > 0 && line->columns + GAP + width_of(text) > view->columns))
		line = new_line(view);
	if (!line)
		return;
	mark(line, CTL_TOP_PLAIN);
	if (line->columns > 0)
		pad(line, view->columns, line->columns + GAP);
	mark(line, style);
	put(line, view->columns, text);
	mark(line, CTL_TOP_PLAIN);
}

const char *ctl_top_view_number(double value, char buf[CTL_TOP_NUMBER_MAX])
{
	static const char units[] = { 0, 'k', 'M', 'G', 'T', 'P' };
	size_t unit = 0;

	while (value >= 999.5 && unit + 1 < sizeof(units)) {
		value /= 1000;
		unit++;
	}
	snprintf(buf, CTL_TOP_NUMBER_MAX, "%.*f%.1s",
		value >= 99.95 || (unit == 0 && value == (double)(long)value) ? 0 : 1, value,
		unit ? &units[unit] : "");
	return buf;
}

/* "-" if there is none. */
static const char *number(const json_t *object, const char *key, char buf[CTL_TOP_NUMBER_MAX])
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_number(value))
		return "-";
	return ctl_top_view_number(json_number_value(value), buf);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

static bool is(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static void flow_uptime(struct ctl_top_view *view, const json_t *rates)
{
	unsigned long s = (unsigned long)json_number_value(json_object_get(rates, "uptime_s"));

	if (s >= 86400)
		flow(view, CTL_TOP_PLAIN, "up %lud%02luh", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		flow(view, CTL_TOP_PLAIN, "up %luh%02lum", s / 3600, s / 60 % 60);
	else
		flow(view, CTL_TOP_PLAIN, "up %lum%02lus", s / 60, s % 60);
}

static void head_state(
	struct ctl_top_view *view, const json_t *rates, const struct ctl_top_options *options)
{
	json_int_t workers = json_integer_value(json_object_get(rates, "workers"));
	json_int_t ready = json_integer_value(json_object_get(rates, "workers_ready"));
	bool running = strcmp(text_of(rates, "state"), "running") == 0;

	flow(view, CTL_TOP_BOLD, "sixgated %s", text_of(rates, "version"));
	if (options->trouble)
		flow(view, CTL_TOP_BAD, "NO ANSWER: %s; trying again", options->trouble);
	if (rates) {
		if (!options->trouble)
			flow(view, running ? CTL_TOP_GOOD : CTL_TOP_WARNING, "%s",
				text_of(rates, "state"));
		flow_uptime(view, rates);
		flow(view, ready < workers ? CTL_TOP_BAD : CTL_TOP_PLAIN,
			"workers %" JSON_INTEGER_FORMAT "/%" JSON_INTEGER_FORMAT, ready, workers);
	}
	if (options->paused)
		flow(view, CTL_TOP_WARNING, "PAUSED");
	new_line(view);
}

static void head_rates(struct ctl_top_view *view, const json_t *rates)
{
	char a[CTL_TOP_NUMBER_MAX], b[CTL_TOP_NUMBER_MAX];

	flow(view, CTL_TOP_PLAIN, "live %s", number(rates, "live_flows", a));
	flow(view, CTL_TOP_PLAIN, "connections %s/s", number(rates, "connections_per_s", a));
	flow(view, CTL_TOP_PLAIN, "in %sbit/s", number(rates, "bits_in_per_s", a));
	flow(view, CTL_TOP_PLAIN, "out %sbit/s", number(rates, "bits_out_per_s", a));
	flow(view, CTL_TOP_PLAIN, "datagrams %s/s in, %s/s out",
		number(rates, "datagrams_in_per_s", a), number(rates, "datagrams_out_per_s", b));
	new_line(view);
}

static void head_failures(struct ctl_top_view *view, const json_t *rates)
{
	bool any = json_number_value(json_object_get(rates, "failures_per_s")) > 0;
	char text[CTL_TOP_NUMBER_MAX];
	json_t *reasons = json_object_get(rates, "failures");

	flow(view, any ? CTL_TOP_WARNING : CTL_TOP_PLAIN, "failures %s/s",
		number(rates, "failures_per_s", text));
	for (void *at = json_object_iter(reasons); at; at = json_object_iter_next(reasons, at))
		flow(view, CTL_TOP_PLAIN, "%s %s", json_object_iter_key(at),
			ctl_top_view_number(json_number_value(json_object_iter_value(at)), text));
	new_line(view);
}

/* ---- tables ---- */

/* keep: those with the lowest number are left out first where there is no room. */
struct column {
	const char *title;
	size_t width; /* of the first one: any */
	int keep;
};

struct table {
	struct ctl_top_view *view;
	const struct column *columns;
	size_t n;
	size_t widths[CELLS_MAX]; /* 0: left out */
};

static size_t table_width(const struct table *table)
{
	size_t sum = 0;

	for (size_t i = 1; i < table->n; i++)
		sum += table->widths[i] ? table->widths[i] + GAP : 0;
	return sum;
}

static bool leave_one_out(struct table *table)
{
	size_t least = 0;

	for (size_t i = 1; i < table->n; i++)
		if (table->widths[i] &&
			(!least || table->columns[i].keep < table->columns[least].keep))
			least = i;
	table->widths[least] = 0;
	return least > 0;
}

static void table_layout(struct table *table)
{
	size_t room = table->view->columns, name;

	for (size_t i = 1; i < table->n; i++)
		table->widths[i] = table->columns[i].width;
	while (table_width(table) + FIRST_MIN > room && leave_one_out(table))
		;
	name = room > table_width(table) ? room - table_width(table) : room;
	table->widths[0] = name < FIRST_MAX ? name : FIRST_MAX;
}

struct cell {
	char text[CELL_MAX];
	enum ctl_top_style style;
};

/* Names to the left, numbers to the right. */
static void put_cell(const struct table *table, struct ctl_top_line *line, size_t i,
	const char *text, enum ctl_top_style style)
{
	size_t room = table->view->columns, width = width_of(text), cell, end;

	cell = table->widths[i];
	if (!cell)
		return;
	mark(line, CTL_TOP_PLAIN);
	if (i > 0)
		pad(line, room, line->columns + GAP);
	end = line->columns + cell;
	if (i > 0 && width < cell)
		pad(line, room, end - width);
	mark(line, style);
	put(line, end < room ? end : room, text);
	mark(line, CTL_TOP_PLAIN);
	pad(line, room, end);
}

/* Also works out the columns for the rows that follow. The whole line has one style. */
static void table_head(struct table *table)
{
	struct ctl_top_line *line = new_line(table->view);

	table_layout(table);
	for (size_t i = 0; line && i < table->n; i++) {
		put_cell(table, line, i, table->columns[i].title, CTL_TOP_HEADING);
		line->n_marks = 0;
	}
	if (line)
		line->marks[line->n_marks++] = (struct ctl_top_mark){ 0, CTL_TOP_HEADING };
}

static void table_row(const struct table *table, const struct cell *cells)
{
	struct ctl_top_line *line = new_line(table->view);

	for (size_t i = 0; line && i < table->n; i++)
		put_cell(table, line, i, cells[i].text, cells[i].style);
}

__attribute__((format(printf, 2, 3))) static void set(struct cell *cell, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(cell->text, sizeof(cell->text), format, args);
	va_end(args);
	cell->style = CTL_TOP_PLAIN;
}

static void set_number(struct cell *cell, const json_t *object, const char *key)
{
	char text[CTL_TOP_NUMBER_MAX];

	set(cell, "%s", number(object, key, text));
}

static void set_failures(struct cell *cell, const json_t *object)
{
	set_number(cell, object, "failures_per_s");
	if (json_number_value(json_object_get(object, "failures_per_s")) > 0)
		cell->style = CTL_TOP_WARNING;
}

/* ---- order ---- */

static double weight_of(const json_t *row, enum ctl_top_sort sort)
{
	static const char *const keys[] = { [CTL_TOP_BY_LIVE] = "live",
		[CTL_TOP_BY_CONNECTIONS] = "connections_per_s",
		[CTL_TOP_BY_FAILURES] = "failures_per_s" };

	return json_number_value(json_object_get(row, keys[sort]));
}

/* A new list with the greatest first; the same order among equals. NULL without memory. */
static json_t *sorted(const json_t *rows, enum ctl_top_sort sort)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < json_array_size(rows); i++) {
		json_t *row = json_array_get(rows, i);
		size_t at = json_array_size(list);

		while (sort != CTL_TOP_AS_CONFIGURED && at > 0 &&
			weight_of(json_array_get(list, at - 1), sort) < weight_of(row, sort))
			at--;
		json_array_insert(list, at, row);
	}
	return list;
}

static const char *sort_name(enum ctl_top_sort sort)
{
	static const char *const names[CTL_TOP_SORTS] = { "as configured", "live", "connections",
		"failures" };

	return names[sort];
}

/* ---- the tables that there are ---- */

static void listeners(struct ctl_top_view *view, const json_t *rates, enum ctl_top_sort sort)
{
	static const struct column columns[] = { { "LISTENER", 0, 0 }, { "PROTO", 5, 1 },
		{ "LIVE", 6, 6 }, { "CONN/S", 6, 5 }, { "IN BIT/S", 8, 2 }, { "OUT BIT/S", 9, 3 },
		{ "FAIL/S", 6, 4 } };
	struct table table = { view, columns, sizeof(columns) / sizeof(columns[0]), { 0 } };
	json_t *rows = sorted(json_object_get(rates, "listeners"), sort);
	struct cell cells[CELLS_MAX];

	table_head(&table);
	for (size_t i = 0; i < json_array_size(rows); i++) {
		const json_t *row = json_array_get(rows, i);

		set(&cells[0], "%s", text_of(row, "name"));
		set(&cells[1], "%s", text_of(row, "protocol"));
		set_number(&cells[2], row, "live");
		set_number(&cells[3], row, "connections_per_s");
		set_number(&cells[4], row, "bits_in_per_s");
		set_number(&cells[5], row, "bits_out_per_s");
		set_failures(&cells[6], row);
		table_row(&table, cells);
	}
	json_decref(rows);
}

static void set_health(struct cell *cell, const json_t *backend)
{
	if (!is(backend, "up")) {
		set(cell, "DOWN");
		cell->style = CTL_TOP_BAD;
	} else if (is(backend, "circuit_open") || is(backend, "draining")) {
		set(cell, "%s", is(backend, "draining") ? "draining" : "left out");
		cell->style = CTL_TOP_WARNING;
	} else {
		set(cell, "%s", is(backend, "backup") ? "backup" : "up");
		cell->style = CTL_TOP_GOOD;
	}
}

static void backend(const struct table *table, const json_t *row)
{
	const json_t *name = json_object_get(row, "name");
	struct cell cells[CELLS_MAX];

	if (json_is_string(name))
		set(&cells[0], "  %s %s", text_of(row, "address"), json_string_value(name));
	else
		set(&cells[0], "  %s", text_of(row, "address"));
	set_health(&cells[1], row);
	set_number(&cells[2], row, "weight");
	set_number(&cells[3], row, "live");
	set_number(&cells[4], row, "connections_per_s");
	set_failures(&cells[5], row);
	table_row(table, cells);
}

static void pools(struct ctl_top_view *view, const json_t *rates, enum ctl_top_sort sort)
{
	static const struct column columns[] = { { "POOL, BACKEND", 0, 0 }, { "HEALTH", 8, 9 },
		{ "WEIGHT", 6, 2 }, { "LIVE", 6, 5 }, { "CONN/S", 6, 4 }, { "FAIL/S", 6, 3 } };
	struct table table = { view, columns, sizeof(columns) / sizeof(columns[0]), { 0 } };
	const json_t *list = json_object_get(rates, "pools");

	table_head(&table);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *pool = json_array_get(list, i);
		json_t *rows = sorted(json_object_get(pool, "backends"), sort);
		struct cell cells[CELLS_MAX] = { 0 };

		set(&cells[0], "%s", text_of(pool, "name"));
		set(&cells[1], "%s", is(pool, "up") ? "up" : "DOWN");
		cells[0].style = CTL_TOP_BOLD;
		cells[1].style = is(pool, "up") ? CTL_TOP_GOOD : CTL_TOP_BAD;
		table_row(&table, cells);
		for (size_t k = 0; k < json_array_size(rows); k++)
			backend(&table, json_array_get(rows, k));
		json_decref(rows);
	}
}

static void moved(struct ctl_top_view *view, const json_t *rates)
{
	static const struct column columns[] = { { "LIMITS AND DROPS", 0, 0 }, { "/S", 6, 1 },
		{ "SINCE TOP BEGAN", 15, 2 } };
	struct table table = { view, columns, sizeof(columns) / sizeof(columns[0]), { 0 } };
	json_t *all = json_object_get(rates, "moved");
	struct cell cells[CELLS_MAX];

	table_head(&table);
	for (void *at = json_object_iter(all); at; at = json_object_iter_next(all, at)) {
		const json_t *value = json_object_iter_value(at);

		set(&cells[0], "%s", json_object_iter_key(at));
		set_number(&cells[1], value, "per_s");
		set_number(&cells[2], value, "since");
		if (json_number_value(json_object_get(value, "per_s")) > 0)
			cells[1].style = CTL_TOP_WARNING;
		table_row(&table, cells);
	}
	if (json_object_size(all) == 0 && new_line(view))
		flow(view, CTL_TOP_PLAIN, "none has moved");
}

/* ---- the whole ---- */

static void begin(struct ctl_top_view *view, size_t columns)
{
	view->n = view->n_head = 0;
	view->columns = columns < CTL_TOP_COLUMNS_MAX ? columns : CTL_TOP_COLUMNS_MAX;
}

int ctl_top_view_make(
	const json_t *rates, const struct ctl_top_options *options, struct ctl_top_view *ret)
{
	begin(ret, options->columns);
	head_state(ret, rates, options);
	if (rates) {
		head_rates(ret, rates);
		head_failures(ret, rates);
	}
	ret->n_head = ret->n;
	if (rates) {
		listeners(ret, rates, options->sort);
		new_line(ret);
		pools(ret, rates, options->sort);
		new_line(ret);
		moved(ret, rates);
	}
	return ret->lines ? 0 : -ENOMEM;
}

int ctl_top_view_help(size_t columns, struct ctl_top_view *ret)
{
	static const char *const keys[] = { "q            end", "Up, Down     a line",
		"PgUp, PgDn   a page", "Home, End    all the way", "p, space     pause, go on",
		"s            sort: as configured, live, connections, failures",
		"?, h         this, and back" };

	begin(ret, columns);
	flow(ret, CTL_TOP_BOLD, "sixgatectl top");
	new_line(ret);
	ret->n_head = ret->n;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct ctl_top_line *line = new_line(ret);

		if (line)
			put(line, ret->columns, keys[i]);
	}
	return ret->lines ? 0 : -ENOMEM;
}

void ctl_top_view_foot(const struct ctl_top_view *view, const struct ctl_top_options *options,
	size_t first, size_t rows, struct ctl_top_line *ret)
{
	size_t body = view->n - view->n_head, last = first + rows < body ? first + rows : body;
	char text[CELL_MAX];

	memset(ret, 0, sizeof(*ret));
	mark(ret, CTL_TOP_HEADING);
	if (body > rows)
		snprintf(text, sizeof(text),
			"q quit  ? help  p pause  s sort: %s  lines %zu-%zu of %zu",
			sort_name(options->sort), first + 1, last, body);
	else
		snprintf(text, sizeof(text), "q quit  ? help  p pause  s sort: %s",
			sort_name(options->sort));
	put(ret, view->columns, text);
	pad(ret, view->columns, view->columns);
}

void ctl_top_view_clear(struct ctl_top_view *view)
{
	free(view->lines);
	*view = (struct ctl_top_view){ 0 };
}
