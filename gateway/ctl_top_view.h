/*
 * ctl_top_view - the screen of "sixgatectl top" as lines of text, without a terminal.
 *
 * Lines are UTF-8, at most as many columns wide as wanted, and each of their characters takes one
 * column: what a terminal would obey, or draws otherwise, is a question mark. The first lines are
 * the head, which stays; the rest may be scrolled.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define CTL_TOP_COLUMNS_MAX 300
#define CTL_TOP_TEXT_MAX    (4 * CTL_TOP_COLUMNS_MAX + 1) /* bytes of a line */
#define CTL_TOP_MARKS_MAX   16

enum ctl_top_style {
	CTL_TOP_PLAIN,
	CTL_TOP_BOLD,	 /* a title */
	CTL_TOP_HEADING, /* of a table */
	CTL_TOP_GOOD,
	CTL_TOP_WARNING,
	CTL_TOP_BAD,
	CTL_TOP_STYLES
};

/* From byte `from` on, up to the next mark. The first begins at 0. */
struct ctl_top_mark {
	size_t from;
	enum ctl_top_style style;
};

struct ctl_top_line {
	char text[CTL_TOP_TEXT_MAX]; /* ends with a NUL */
	size_t bytes, columns;	     /* of the text: how long, how wide */
	struct ctl_top_mark marks[CTL_TOP_MARKS_MAX];
	size_t n_marks; /* 0: all of it is plain */
};

enum ctl_top_sort {
	CTL_TOP_AS_CONFIGURED,
	CTL_TOP_BY_LIVE,
	CTL_TOP_BY_CONNECTIONS,
	CTL_TOP_BY_FAILURES,
	CTL_TOP_SORTS
};

struct ctl_top_options {
	size_t columns; /* more than CTL_TOP_COLUMNS_MAX are not used */
	enum ctl_top_sort sort;
	bool paused;
	const char *trouble; /* why the gateway does not answer; NULL: it does */
};

/* Zeroed it is empty. Kept from one view to the next, as its memory is used again. */
struct ctl_top_view {
	struct ctl_top_line *lines;
	size_t n, room; /* lines; places for them */
	size_t n_head;	/* of n */
	size_t columns; /* that lines may have at most */
};

/*
 * rates: what ctl_top_rates() has made; NULL: nothing is known yet. ret, which may hold an earlier
 * view, is written anew. 0 or -ENOMEM; ret is empty then. If there was memory for some lines only,
 * the rest is missing.
 */
int ctl_top_view_make(
	const json_t *rates, const struct ctl_top_options *options, struct ctl_top_view *ret);
/* The keys; as above. */
int ctl_top_view_help(size_t columns, struct ctl_top_view *ret);
/* The last line of the screen: which lines of the body are shown, and the keys. */
void ctl_top_view_foot(const struct ctl_top_view *view, const struct ctl_top_options *options,
	size_t first, size_t rows, struct ctl_top_line *ret);
/* Takes a zeroed one. */
void ctl_top_view_clear(struct ctl_top_view *view);

/* A number in 6 columns at most, with k, M, G, T, P for thousands: "12.3M". */
#define CTL_TOP_NUMBER_MAX 32
const char *ctl_top_view_number(double value, char buf[CTL_TOP_NUMBER_MAX]);
