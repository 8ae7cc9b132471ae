#include "config_scan.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Theory of operation
 *
 * One pass, token by token, with the last two words in mind: in front of a brace they are a keyword
 * and perhaps a title, in front of an equals sign an option; behind one they are values, and a
 * brace opens a list. "keys" is a stack of the options of all sections that are open: each brace
 * notes how high it was, and closing it takes it down to there. So an option that is given twice in
 * its section is found without a tree.
 *
 * It must never see a section where libconfuse sees none, or the other way round, as lines go by
 * their number. Where the two would differ, the text is refused here.
 */
#define DEPTH_MAX 16
#define KEYS_MAX  64 /* options in the sections that are open; no more are known */
#define WORD_MAX  16

static const char breaks[] = " \t\r\n\"'#{}()=+,*"; /* no word has any of these */

struct scanner {
	struct config_scan *scan;
	const char *text, *p, *end;
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
	free(scan->bare);
	*scan = (struct config_scan){ 0 };
}

int config_scan_line(const struct config_scan *scan, const char *keyword, size_t nth)
{
	for (size_t i = 0; i < scan->n_sections; i++)
		if (strcmp(scan->sections[i].keyword, keyword) == 0 && nth-- == 0)
			return scan->sections[i].line;
	return 0;
}

/* No word stands right before what comes next. */
static void forget_words(struct scanner *s)
{
	s->last[0] = s->before[0] = '\0';
	s->after_equals = false;
}

static void remember_word(struct scanner *s, const char *word, size_t len)
{
	if (s->after_equals) { /* a value, which is neither keyword nor title */
		forget_words(s);
		return;
	}
	memcpy(s->before, s->last, sizeof(s->before));
	snprintf(
		s->last, sizeof(s->last), "%.*s", (int)(len < WORD_MAX ? len : WORD_MAX - 1), word);
}

static char next(struct scanner *s)
{
	assert(s->p < s->end);
	if (*s->p == '\n')
		s->line++;
	return *s->p++;
}

/* What the character just read must not be, or not in front of the next one. */
static enum config_scan_flaw judge(const struct scanner *s, char c)
{
	if (c == '\\')
		return CONFIG_SCAN_BACKSLASH;
	if (c == '$' && s->p < s->end && *s->p == '{')
		return CONFIG_SCAN_VARIABLE;
	return CONFIG_SCAN_FINE;
}

/* The same of a word, which is not in quotation marks. */
static enum config_scan_flaw judge_bare(const struct scanner *s, char c)
{
	size_t left = (size_t)(s->end - s->p);

	if (c == ';')
		return CONFIG_SCAN_SEMICOLON;
	/* U+2018 to U+201F, and the guillemets U+00AB and U+00BB */
	if (c == '\xe2' && left >= 2 && s->p[0] == '\x80' &&
		((unsigned char)s->p[1] & 0xf8) == 0x98)
		return CONFIG_SCAN_CURLY_QUOTE;
	if (c == '\xc2' && left >= 1 && (s->p[0] == '\xab' || s->p[0] == '\xbb'))
		return CONFIG_SCAN_CURLY_QUOTE;
	return judge(s, c);
}

/* Behind the opening mark. Within single ones libconfuse leaves variables alone. */
static enum config_scan_flaw skip_string(struct scanner *s, char mark)
{
	int line = s->line;

	while (s->p < s->end) {
		char c = next(s);
		enum config_scan_flaw flaw = judge(s, c);

		if (c == mark)
			return s->line == line ? CONFIG_SCAN_FINE : CONFIG_SCAN_LONG_STRING;
		if (flaw == CONFIG_SCAN_BACKSLASH || (flaw && mark == '"'))
			return flaw;
	}
	return CONFIG_SCAN_OPEN_STRING;
}

/* Behind the first character c, up to what cannot be in a word. */
static enum config_scan_flaw skip_word(struct scanner *s, char c)
{
	enum config_scan_flaw flaw = judge_bare(s, c);

	while (!flaw && s->p < s->end && *s->p && !strchr(breaks, *s->p)) {
		c = next(s);
		flaw = judge_bare(s, c);
	}
	return flaw;
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

/* From start to here. */
static void blank_comment(struct scanner *s, const char *start)
{
	for (const char *p = start; p < s->p; p++)
		if (*p != '\n')
			s->scan->bare[p - s->text] = ' ';
}

static bool is_titled(const char *word)
{
	return strcmp(word, "listener") == 0 || strcmp(word, "pool") == 0 ||
	       strcmp(word, "backend") == 0;
}

/* s->last is an option, or a section that there is one of. */
static void note_key(struct scanner *s, enum config_scan_flaw *ret_flaw)
{
	size_t i = s->depth ? s->open[s->depth - 1].n_keys : 0;

	for (; i < s->n_keys; i++)
		if (strcmp(s->keys[i], s->last) == 0)
			*ret_flaw = CONFIG_SCAN_TWICE;
	if (s->n_keys < KEYS_MAX)
		memcpy(s->keys[s->n_keys++], s->last, WORD_MAX);
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
	int err = 0;

	if (s->depth == DEPTH_MAX) {
		*ret_flaw = CONFIG_SCAN_TOO_DEEP;
		return 0;
	}
	if (!s->after_equals) {
		if (s->scan->n_sections == CONFIG_SECTIONS_MAX) {
			*ret_flaw = CONFIG_SCAN_TOO_MANY;
			return 0;
		}
		if (s->last[0] && !is_titled(s->last) && !is_titled(s->before))
			note_key(s, ret_flaw);
		err = add_section(s);
	}
	s->open[s->depth].line = s->line;
	s->open[s->depth++].n_keys = s->n_keys;
	forget_words(s);
	return err;
}

/* An equals sign behind s->last. */
static void equals(struct scanner *s, enum config_scan_flaw *ret_flaw)
{
	if (s->after_equals || !s->last[0])
		return; /* no option in front: the parser's to refuse */
	note_key(s, ret_flaw);
	s->after_equals = true;
}

static void close_brace(struct scanner *s, enum config_scan_flaw *ret_flaw)
{
	if (s->depth == 0)
		*ret_flaw = CONFIG_SCAN_STRAY_BRACE;
	else
		s->n_keys = s->open[--s->depth].n_keys;
	forget_words(s);
}

/* One token. 0 or -ENOMEM. */
static int scan_token(struct scanner *s, enum config_scan_flaw *ret_flaw)
{
	int start_line = s->line;
	const char *start = s->p;
	char c = next(s);

	if (c == '#' || (c == '/' && s->p < s->end && *s->p == '/')) {
		skip_line(s);
		blank_comment(s, start);
	} else if (c == '/' && s->p < s->end && *s->p == '*') {
		s->p++;
		if (!skip_comment(s)) {
			*ret_flaw = CONFIG_SCAN_OPEN_COMMENT;
			s->line = start_line;
		}
		blank_comment(s, start);
	} else if (c == '"' || c == '\'') {
		*ret_flaw = skip_string(s, c);
		if (*ret_flaw == CONFIG_SCAN_FINE)
			remember_word(s, start + 1, (size_t)(s->p - start) - 2);
		else if (*ret_flaw == CONFIG_SCAN_OPEN_STRING ||
			 *ret_flaw == CONFIG_SCAN_LONG_STRING)
			s->line = start_line;
	} else if (c == '{') {
		return open_brace(s, ret_flaw);
	} else if (c == '}') {
		close_brace(s, ret_flaw);
	} else if (c == '=') {
		equals(s, ret_flaw);
	} else if (c == '*' || (c == '+' && (s->p == s->end || *s->p != '='))) {
		*ret_flaw = CONFIG_SCAN_UNQUOTED;
	} else if (!strchr(breaks, c)) {
		*ret_flaw = skip_word(s, c);
		remember_word(s, start, (size_t)(s->p - start));
	}
	return 0;
}

int config_scan_run(struct config_scan *scan, const char *text, size_t len,
	enum config_scan_flaw *ret_flaw, int *ret_line)
{
	struct scanner s = {
		.scan = scan,
		.text = text,
		.p = text,
		.end = text + len,
		.line = 1,
	};
	enum config_scan_flaw flaw = CONFIG_SCAN_FINE;
	int err;

	scan->bare = malloc(len ? len : 1);
	if (!scan->bare)
		return -ENOMEM;
	memcpy(scan->bare, text, len);
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
		memset(scan->bare, ' ', 3);
		s.p += 3;
	}
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
