#include "ctl_top.h"

#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <ncurses.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "ctl_client.h"
#include "ctl_poll.h"
#include "ctl_top_rates.h"
#include "ctl_top_view.h"
#include "wall_time.h"

/*
 * Theory of operation
 *
 * One question is under way at a time, and keys are heard meanwhile: a gateway that is stopped does
 * not stop its onlooker. The next is due an interval after the last one was, not after its answer.
 * Who has not answered for PATIENCE_MS is said to be away, and asked anew. The two last answers
 * make the rates, which make the lines, which are put on the screen from the first that is to be
 * seen.
 *
 * The screen is drawn anew as a whole when anything is new; curses sends only what differs. Without
 * colours health is told by bold and reverse, and by its words in any case.
 */
#define INTERVAL_MIN 0.1
#define INTERVAL_MAX 3600.0
#define PATIENCE_MS  3000U

struct top {
	const char *path;
	uint64_t interval_ms;
	struct ctl_poll question;
	uint64_t due_ms, asked_ms;
	json_t *first, *before, *now; /* answers; NULL: not yet */
	uint64_t before_ms, now_ms;   /* when those two came */
	json_t *rates;		      /* of these; NULL: none yet */
	char trouble[96];	      /* "": the gateway answers */
	/* of the terminal */
	struct ctl_top_view view;
	struct ctl_top_options options;
	size_t scrolled; /* lines of the body above the screen */
	bool help, colours, done;
};

/* ---- asking ---- */

static uint64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000U + (uint64_t)ts.tv_nsec / 1000000U;
}

static void set_trouble(struct top *top, int err)
{
	const char *why = strerror(-err);

	if (err == -ENOENT || err == -ECONNREFUSED)
		why = "no gateway runs there";
	else if (err == -EPROTO)
		why = "it has no room for us, or speaks otherwise";
	else if (err == -ETIMEDOUT || err == -EAGAIN)
		why = "it is busy, or stopped";
	snprintf(top->trouble, sizeof(top->trouble), "%s", why);
}

/* A reload keeps process and totals; with another process the totals have begun at 0. */
static bool same_gateway(const json_t *before, const json_t *now)
{
	return json_equal(json_object_get(before, "pid"), json_object_get(now, "pid"));
}

static void forget(json_t **answer)
{
	json_decref(*answer);
	*answer = NULL;
}

/* Takes the answer over. */
static void take(struct top *top, json_t *answer)
{
	top->trouble[0] = 0;
	if (top->now && !same_gateway(top->now, answer)) {
		forget(&top->first);
		forget(&top->now);
	}
	forget(&top->before);
	top->before = top->now;
	top->before_ms = top->now_ms;
	top->now = answer;
	top->now_ms = clock_ms();
	if (!top->first)
		top->first = json_incref(answer);
	json_decref(top->rates);
	top->rates = ctl_top_rates(
		top->first, top->before, top->now, (double)(top->now_ms - top->before_ms) / 1000.0);
}

/* Whether there is something new: it cannot be asked. */
static bool ask(struct top *top)
{
	int err = ctl_poll_ask(&top->question, top->path, "status");

	top->asked_ms = clock_ms();
	/* What was missed is not made up for. */
	while (top->due_ms <= top->asked_ms)
		top->due_ms += top->interval_ms;
	if (err)
		set_trouble(top, err);
	return err < 0;
}

/* True: there is something new. */
static bool hear(struct top *top)
{
	json_t *answer = NULL;
	int err;

	if (top->question.fd < 0)
		return false;
	err = ctl_poll_read(&top->question, &answer);
	if (!err)
		take(top, answer);
	else if (err == -EAGAIN && clock_ms() - top->asked_ms < PATIENCE_MS)
		return false;
	else
		set_trouble(top, err);
	if (err)
		ctl_poll_end(&top->question);
	return true;
}

/* Until something comes, or the next question is due. */
static void wait_for(const struct top *top, bool keys)
{
	struct pollfd files[] = { { keys ? STDIN_FILENO : -1, POLLIN, 0 },
		{ top->question.fd, POLLIN, 0 } };
	uint64_t until = top->question.fd < 0 ? top->due_ms : top->asked_ms + PATIENCE_MS;
	uint64_t time = clock_ms();

	(void)poll(files, 2, until > time ? (int)(until - time) : 0);
}

static bool is_due(const struct top *top)
{
	return top->question.fd < 0 && clock_ms() >= top->due_ms;
}

/* ---- lines of JSON ---- */

static int print_line(struct top *top)
{
	struct timespec ts;
	char text[WALL_TIME_TEXT_MAX];
	json_t *line = top->trouble[0] ? json_pack("{s:s}", "error", top->trouble)
				       : json_incref(top->rates);

	clock_gettime(CLOCK_REALTIME, &ts);
	wall_time_format((uint64_t)ts.tv_sec * 1000000U + (uint64_t)ts.tv_nsec / 1000U, text);
	json_object_set_new(line, "time", json_string(text));
	if (json_dumpf(line, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) == 0)
		putchar('\n');
	json_decref(line);
	return fflush(stdout) == 0 ? 0 : -EIO;
}

/* An answer alone has no rates: the first line comes with the second. */
static int run_json(struct top *top)
{
	for (;;) {
		bool news = is_due(top) && ask(top);

		news = hear(top) || news;
		if (news && (top->before || top->trouble[0]) && print_line(top) < 0)
			return EX_IOERR;
		wait_for(top, false);
	}
}

/* ---- the screen ---- */

static void use_style(const struct top *top, enum ctl_top_style style)
{
	static const attr_t plain[CTL_TOP_STYLES] = { [CTL_TOP_BOLD] = A_BOLD,
		[CTL_TOP_HEADING] = A_REVERSE,
		[CTL_TOP_WARNING] = A_BOLD,
		[CTL_TOP_BAD] = A_BOLD | A_REVERSE };

	if (top->colours && style >= CTL_TOP_GOOD)
		attr_set(style == CTL_TOP_GOOD ? A_NORMAL : A_BOLD, (short)style, NULL);
	else
		attr_set(plain[style], 0, NULL);
}

static void draw_line(const struct top *top, int row, const struct ctl_top_line *line)
{
	move(row, 0);
	for (size_t i = 0; i < line->n_marks; i++) {
		size_t from = line->marks[i].from;
		size_t to = i + 1 < line->n_marks ? line->marks[i + 1].from : line->bytes;

		use_style(top, line->marks[i].style);
		if (to > from)
			addnstr(line->text + from, (int)(to - from));
	}
	if (line->n_marks == 0)
		addstr(line->text);
	use_style(top, CTL_TOP_PLAIN);
}

static size_t body_rows(const struct top *top)
{
	size_t used = top->view.n_head + 1, rows = LINES > 0 ? (size_t)LINES : 0;

	return rows > used ? rows - used : 0;
}

static void keep_in_body(struct top *top)
{
	size_t body = top->view.n - top->view.n_head, rows = body_rows(top);

	if (top->scrolled + rows > body)
		top->scrolled = body > rows ? body - rows : 0;
}

static int make_view(struct top *top)
{
	top->options.columns = COLS > 0 ? (size_t)COLS : 0;
	top->options.trouble = top->trouble[0] ? top->trouble : NULL;
	if (top->help)
		return ctl_top_view_help(top->options.columns, &top->view);
	return ctl_top_view_make(top->rates, &top->options, &top->view);
}

static void draw(struct top *top)
{
	struct ctl_top_line foot;
	int rows = LINES - 1;

	if (make_view(top) < 0)
		return;
	keep_in_body(top);
	erase();
	for (int row = 0; row < rows; row++) {
		size_t line = (size_t)row;

		if (line >= top->view.n_head)
			line += top->scrolled;
		if (line < top->view.n)
			draw_line(top, row, &top->view.lines[line]);
	}
	ctl_top_view_foot(&top->view, &top->options, top->scrolled, body_rows(top), &foot);
	/* The last cell is left alone: to write it scrolls some terminals. */
	if (rows >= 0)
		draw_line(top, rows, &foot);
	refresh();
}

static void scroll_by(struct top *top, long lines)
{
	if (lines < 0 && top->scrolled < (size_t)-lines)
		top->scrolled = 0;
	else
		top->scrolled = (size_t)((long)top->scrolled + lines);
}

static void on_key(struct top *top, int key)
{
	long page = (long)body_rows(top);

	switch (key) {
	case 'q':
	case 'Q':
		top->done = true;
		break;
	case KEY_UP:
		scroll_by(top, -1);
		break;
	case KEY_DOWN:
		scroll_by(top, 1);
		break;
	case KEY_PPAGE:
		scroll_by(top, -page);
		break;
	case KEY_NPAGE:
		scroll_by(top, page);
		break;
	case KEY_HOME:
		top->scrolled = 0;
		break;
	case KEY_END:
		scroll_by(top, (long)top->view.n);
		break;
	case 'p':
	case ' ':
		top->options.paused = !top->options.paused;
		break;
	case 's':
		top->options.sort = (top->options.sort + 1) % CTL_TOP_SORTS;
		break;
	case '?':
	case 'h':
		top->help = !top->help;
		top->scrolled = 0;
		break;
	default: /* KEY_RESIZE among them */
		break;
	}
}

/* True: something has been pressed, or the size is another. */
static bool hear_keys(struct top *top)
{
	bool any = false;
	int key;

	while ((key = getch()) != ERR) {
		on_key(top, key);
		any = true;
	}
	return any;
}

static void begin_colours(struct top *top)
{
	top->colours = has_colors() && start_color() == OK;
	if (!top->colours)
		return;
	use_default_colors();
	init_pair(CTL_TOP_GOOD, COLOR_GREEN, -1);
	init_pair(CTL_TOP_WARNING, COLOR_YELLOW, -1);
	init_pair(CTL_TOP_BAD, COLOR_RED, -1);
}

/* getch() says the same of a terminal that is gone and of one where nothing was pressed. */
static bool terminal_is_gone(void)
{
	struct pollfd file = { STDIN_FILENO, POLLIN, 0 };

	return poll(&file, 1, 0) > 0 && (file.revents & (POLLHUP | POLLERR));
}

static int run_screen(struct top *top)
{
	SCREEN *screen = newterm(NULL, stdout, stdin);

	if (!screen) {
		fputs("sixgatectl: TERM names no terminal that is known: set it, or use --json\n",
			stderr);
		return EX_USAGE;
	}
	cbreak();
	noecho();
	nodelay(stdscr, TRUE);
	keypad(stdscr, TRUE);
	/* Milliseconds after which an escape is a key alone, and not the beginning of one. */
	set_escdelay(50);
	(void)curs_set(0);
	begin_colours(top);
	draw(top);
	while (!top->done && !terminal_is_gone()) {
		bool news = false;

		if (is_due(top) && top->options.paused)
			top->due_ms = clock_ms() + top->interval_ms;
		else if (is_due(top))
			news = ask(top);
		news = hear(top) || news;
		if (hear_keys(top) || news)
			draw(top);
		if (!top->done)
			wait_for(top, true);
	}
	endwin();
	delscreen(screen);
	return EXIT_SUCCESS;
}

/* ---- start ---- */

static int parse_interval(const json_t *args, uint64_t *ret_ms)
{
	const char *text = json_string_value(json_object_get(args, "interval"));
	double seconds = 1.0;
	char *end = NULL;

	if (text) {
		seconds = strtod(text, &end);
		if (end == text || *end || !(seconds >= INTERVAL_MIN && seconds <= INTERVAL_MAX))
			return -EINVAL;
	}
	*ret_ms = (uint64_t)lround(seconds * 1000);
	return 0;
}

int ctl_top_run(const char *path, const json_t *args, bool json)
{
	struct top top = { .path = path, .question = CTL_POLL_INIT };
	int status;

	if (parse_interval(args, &top.interval_ms) < 0) {
		fprintf(stderr, "sixgatectl: --interval is a number of seconds from %.1f to %.0f\n",
			INTERVAL_MIN, INTERVAL_MAX);
		return EX_USAGE;
	}
	if (!json && !(isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))) {
		fputs("sixgatectl: top needs a terminal: use top --json, or status\n", stderr);
		return EX_USAGE;
	}
	setlocale(LC_CTYPE, "");
	top.due_ms = clock_ms();
	status = json ? run_json(&top) : run_screen(&top);
	ctl_poll_end(&top.question);
	ctl_top_view_clear(&top.view);
	json_decref(top.rates);
	json_decref(top.first);
	json_decref(top.before);
	json_decref(top.now);
	return status;
}
