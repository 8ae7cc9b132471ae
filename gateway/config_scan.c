#include "config_scan.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 16
#define KEYS_MAX  64 /* options in the sections that are open; no more are known */
#define WORD_MAX  16

struct scanner {
	struct config_scan *scan;
	const char *p, *end;
	int line;
	bool after_equals;   /* an opening brace begins a list, not a section */
	char last[WORD_MAX]; /* the last word or title, and the one before */
	char before[WORD_MAX];
	struct {
		int line;
		size_t n_keys; /* as it was outside */
	} open[DEPTH_MAX];
	size_t depth;
	char keys[KEYS_MAX][WORD_MAX];
	size_t n_keys;
};

void config_scan_destroy(struct config_scan *scan)
{
	free(scan->sections);
	*scan = (struct config_scan){ 0 };
}

int config_scan_line(const struct config_scan *scan, const char *keyword, size_t nth)
{
	for (size_t i = 0; i < scan->n_sections; i++)
		if (strcmp(scan->sections[i].keyword, keyword) == 0 && nth-- == 0)
			return scan->sections[i].line;
	return 0;
}

static void remember_word(struct scanner *s, const char *word, size_t len)
{
	memcpy(s->before, s->last, sizeof(s->before));
	snprintf(
		s->last, sizeof(s->last), "%.*s", (int)(len < WORD_MAX ? len : WORD_MAX - 1), word);
	s->after_equals = false;
}

static char next(struct scanner *s)
{
	if (*s->p == '\n')
		s->line++;
	return *s->p++;
}

/* Behind the opening mark. False: the text ends first. */
static bool skip_string(struct scanner *s, char mark)
{
	while (s->p < s->end) {
		char c = next(s);

		if (c == mark)
			return true;
		if (c == '\\' && s->p < s->end)
			next(s);
	}
	return false;
}

static void skip_line(struct scanner *s)
{
	while (s->p < s->end && *s->p != '\n')
		s->p++;
}

/* Behind the slash and star. False: the text ends first. */
static bool skip_comment(struct scanner *s)
{
	while (s->p < s->end) {
		char c = next(s);

		if (c == '*' && s->p < s->end && *s->p == '/') {
			s->p++;
			return true;
		}
	}
	return false;
}

static bool is_titled(const char *word)
{
	return strcmp(word, "listener") == 0 || strcmp(word, "pool") == 0 ||
	       strcmp(word, "backend") == 0;
}

static int add_section(struct scanner *s)
{
	struct config_scan *scan = s->scan;
	struct config_scan_section *section;

	if (scan->n_sections == scan->n_allocated) {
		size_t n = scan->n_allocated ? 2 * scan->n_allocated : 16;

		section = reallocarray(scan->sections, n, sizeof(*section));
		if (!section)
			return -ENOMEM;
		scan->sections = section;
		scan->n_allocated = n;
	}
	section = &scan->sections[scan->n_sections++];
	memcpy(section->keyword, is_titled(s->before) ? s->before : s->last, sizeof(s->last));
	section->line = s->line;
	return 0;
}

static int open_brace(struct scanner *s, enum config_scan_flaw *ret_flaw)
{
	if (s->depth == DEPTH_MAX) {
		*ret_flaw = CONFIG_SCAN_TOO_DEEP;
		return 0;
	}
	s->open[s->depth].line = s->line;
	s->open[s->depth++].n_keys = s->n_keys;
	if (s->after_equals) {
		s->after_equals = false;
		return 0;
	}
	return add_section(s);
}

/* An equals sign behind s->last. */
static void equals(struct scanner *s, enum config_scan_flaw *ret_flaw)
{
	size_t i = s->depth ? s->open[s->depth - 1].n_keys : 0;

	if (s->after_equals)
		return; /* two signs: the parser's to refuse */
	s->after_equals = true;
	for (; i < s->n_keys; i++)
		if (strcmp(s->keys[i], s->last) == 0)
			*ret_flaw = CONFIG_SCAN_TWICE;
	if (s->n_keys < KEYS_MAX)
		memcpy(s->keys[s->n_keys++], s->last, WORD_MAX);
}

static void close_brace(struct scanner *s, enum config_scan_flaw *ret_flaw)
{
	if (s->depth == 0)
		*ret_flaw = CONFIG_SCAN_STRAY_BRACE;
	else
		s->n_keys = s->open[--s->depth].n_keys;
}

/* One token. 0 or -ENOMEM. */
static int scan_token(struct scanner *s, enum config_scan_flaw *ret_flaw)
{
	static const char breaks[] = " \t\r\n\v\f\"'#{}()=+,";
	int start_line = s->line;
	const char *start = s->p;
	char c = next(s);

	if (c == '#' || (c == '/' && s->p < s->end && *s->p == '/')) {
		skip_line(s);
	} else if (c == '/' && s->p < s->end && *s->p == '*') {
		s->p++;
		if (!skip_comment(s)) {
			*ret_flaw = CONFIG_SCAN_OPEN_COMMENT;
			s->line = start_line;
		}
	} else if (c == '"' || c == '\'') {
		if (!skip_string(s, c)) {
			*ret_flaw = CONFIG_SCAN_OPEN_STRING;
			s->line = start_line;
		} else {
			remember_word(s, start + 1, (size_t)(s->p - start) - 2);
		}
	} else if (c == '{') {
		return open_brace(s, ret_flaw);
	} else if (c == '}') {
		close_brace(s, ret_flaw);
	} else if (c == '=') {
		equals(s, ret_flaw);
	} else if (!strchr(breaks, c)) {
		while (s->p < s->end && *s->p && !strchr(breaks, *s->p))
			s->p++;
		remember_word(s, start, (size_t)(s->p - start));
	}
	return 0;
}

int config_scan_run(struct config_scan *scan, const char *text, size_t len,
	enum config_scan_flaw *ret_flaw, int *ret_line)
{
	struct scanner s = { .scan = scan, .p = text, .end = text + len, .line = 1 };
	enum config_scan_flaw flaw = CONFIG_SCAN_FINE;
	int err;

	while (s.p < s.end && flaw == CONFIG_SCAN_FINE) {
		err = scan_token(&s, &flaw);
		if (err)
			return err;
	}
	if (flaw == CONFIG_SCAN_FINE && s.depth > 0) {
		flaw = CONFIG_SCAN_OPEN_BRACE;
		s.line = s.open[s.depth - 1].line;
	}
	*ret_flaw = flaw;
	*ret_line = s.line;
	return 0;
}
