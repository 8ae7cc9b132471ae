#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_scan.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Scans a copy of exactly the text's length, so that a sanitizer sees any step beyond it. */
static enum config_scan_flaw scan_text(struct config_scan *scan, const char *text, int *ret_line)
{
	enum config_scan_flaw flaw = CONFIG_SCAN_TOO_DEEP;
	size_t len = strlen(text);
	char *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	*scan = (struct config_scan){ 0 };
	*ret_line = -1;
	assert_int_equal(config_scan_run(scan, copy, len, &flaw, ret_line), 0);
	assert_memory_equal(text, copy, len);
	free(copy);
	return flaw;
}

static void test_flaws(void **state)
{
	static const struct {
		const char *text;
		enum config_scan_flaw flaw;
		int line;
	} cases[] = {
		{ "a {\n b {\n }\n", CONFIG_SCAN_OPEN_BRACE, 1 },
		{ "a {\n b {\n c {\n}\n", CONFIG_SCAN_OPEN_BRACE, 2 },
		{ "\n\nlist = {\n1,\n2\n", CONFIG_SCAN_OPEN_BRACE, 3 },
		{ "{", CONFIG_SCAN_OPEN_BRACE, 1 },
		{ "}", CONFIG_SCAN_STRAY_BRACE, 1 },
		{ "a { }\n\n}\n", CONFIG_SCAN_STRAY_BRACE, 3 },
		{ "a = \"\n\n}\n", CONFIG_SCAN_OPEN_STRING, 1 },
		{ "\na = '\n", CONFIG_SCAN_OPEN_STRING, 2 },
		{ "a = \"b'\n", CONFIG_SCAN_OPEN_STRING, 1 },
		{ "\"", CONFIG_SCAN_OPEN_STRING, 1 },
		{ "\na = \"b\n c = \"d\"\n", CONFIG_SCAN_LONG_STRING, 2 },
		{ "a = 'b\n'\n", CONFIG_SCAN_LONG_STRING, 1 },
		{ "\na = 1;\n", CONFIG_SCAN_SEMICOLON, 2 },
		{ "a = 'b';\n", CONFIG_SCAN_SEMICOLON, 1 },
		{ "a = \xe2\x80\x9c", CONFIG_SCAN_CURLY_QUOTE, 1 },
		{ "a = b\xe2\x80\x99", CONFIG_SCAN_CURLY_QUOTE, 1 },
		{ "a = \xc2\xabx", CONFIG_SCAN_CURLY_QUOTE, 1 },
		{ "a = 1\n/* b\n\n", CONFIG_SCAN_OPEN_COMMENT, 2 },
		{ "/*", CONFIG_SCAN_OPEN_COMMENT, 1 },
		{ "/*/", CONFIG_SCAN_OPEN_COMMENT, 1 },
		{ "/* *", CONFIG_SCAN_OPEN_COMMENT, 1 },
		{ "{{{{{{{{{{{{{{{{\n{", CONFIG_SCAN_TOO_DEEP, 2 },
		{ "a = 1\na = 2\n", CONFIG_SCAN_TWICE, 2 },
		{ "a = 1\nb = 2\n\na += 3\n", CONFIG_SCAN_TWICE, 4 },
		{ "a = { 1, 2 }\na = 3\n", CONFIG_SCAN_TWICE, 2 },
		{ "s { a = 1 }\na = 1\ns2 {\n a = 1\n a = 1\n}\n", CONFIG_SCAN_TWICE, 5 },
		{ "s { a = 1\n t { a = 1 }\n a = 1 }", CONFIG_SCAN_TWICE, 3 },
		{ "listener l {\n timeouts { }\n timeouts { }\n}\n", CONFIG_SCAN_TWICE, 3 },
		{ "timeouts {\n}\ntimeouts = 1\n", CONFIG_SCAN_TWICE, 3 },
		{ "a = *:80\n", CONFIG_SCAN_UNQUOTED, 1 },
		{ "\na = b*c\n", CONFIG_SCAN_UNQUOTED, 2 },
		{ "a = /var/log/c++\n", CONFIG_SCAN_UNQUOTED, 1 },
		{ "a = 1+1\n", CONFIG_SCAN_UNQUOTED, 1 },
		{ "a = 1 +", CONFIG_SCAN_UNQUOTED, 1 },
		{ "a = 1\nb = \"${c\"\nd = \"}\"\n", CONFIG_SCAN_VARIABLE, 2 },
		{ "a = \"b\nc${d\n}\"\n", CONFIG_SCAN_VARIABLE, 2 },
		{ "a = ${b\n}\n", CONFIG_SCAN_VARIABLE, 1 },
		{ "a = ${", CONFIG_SCAN_VARIABLE, 1 },
		{ "a = b${C}", CONFIG_SCAN_VARIABLE, 1 },
		{ "a = \"${", CONFIG_SCAN_VARIABLE, 1 },
		{ "\n\"${}pool\" x { }", CONFIG_SCAN_VARIABLE, 2 },
		{ "${}pool x { }", CONFIG_SCAN_VARIABLE, 1 },
		{ "a = \"b\\\"\n", CONFIG_SCAN_BACKSLASH, 1 },
		{ "a = \"b\\", CONFIG_SCAN_BACKSLASH, 1 },
		{ "\n\"\\x70ool\" x { }", CONFIG_SCAN_BACKSLASH, 2 },
		{ "\n'po\\\nol' x { }", CONFIG_SCAN_BACKSLASH, 2 },
		{ "\n\npo\\\nol x { }", CONFIG_SCAN_BACKSLASH, 3 },
		{ "\\", CONFIG_SCAN_BACKSLASH, 1 },
		/* a comment only begins between words */
		{ "a = b/* c */\n", CONFIG_SCAN_UNQUOTED, 1 },
		/* the first flaw is told */
		{ "a = 1\na = 2 }\n\"", CONFIG_SCAN_TWICE, 2 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config_scan scan;
		enum config_scan_flaw flaw;
		int line;

		flaw = scan_text(&scan, cases[i].text, &line);
		config_scan_destroy(&scan);
		if (flaw != cases[i].flaw || line != cases[i].line)
			fail_msg("flaw %d in line %d of: %s", flaw, line, cases[i].text);
	}
}

static void test_fine(void **state)
{
	static const char *const cases[] = { "", "\n", " \t\r\n\v\f", "a = 1", "a=1 b=2", "a {}",
		"a { b { } }", "a = { }", "a = { \"{\", '}', 3 }",
		/* braces and marks within strings and comments */
		"a = \"}\"", "a = '{'", "a = \"'\" b = '\"'", "# \\ ${", "/* \\ ${ */",
		"\xef\xbb\xbf", "\xef\xbb\xbf\n", "# } \" '", "// } \" '", "/* } \" ' */", "/***/",
		"/**/ a = 1", "a = 1 # a = 2", "a = 1 // a = 2\n", "a = 1 /* a = 2 */",
		"a = \"# /* //\"", "a = \"*\" b = '+'", "# *+", "/*+*/", "a = http://b",
		/* the same option in another section, or as a value */
		"s { a = 1 } t { a = 1 } a = 1", "a = a b = a c = { a, b }", "a = 1 s { a = 1 }",
		"listener a { x = 1 } listener b { x = 1 }", "backend a { } backend b { }",
		"pool timeouts { } listener timeouts { } timeouts { }", "a = timeouts timeouts { }",
		"a += 1", "{{{{{{{{{{{{{{{{}}}}}}}}}}}}}}}}" /* the greatest depth */,
		/* what only the parser judges */
		"a = = 1", "= 1 = 2", "= = =", "a b c", "( ) ,", "listener { } listener { }",
		/* no variable */
		"a = '${B'", "a = $", "a = $B", "a = \"$\" b = \"{\"", "a $ {}",
		/* what only stands for itself */
		"a = 'b' /* ;\n ; */ # ;", "a = 'b;' c = \"\xe2\x80\x9c\"", "a = \xe2\x80",
		"a = \xe2\x80\xa6 b = \xc2\xb5 c = \xc2" };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config_scan scan;
		enum config_scan_flaw flaw;
		int line;

		flaw = scan_text(&scan, cases[i], &line);
		config_scan_destroy(&scan);
		if (flaw != CONFIG_SCAN_FINE)
			fail_msg("flaw %d in line %d of: %s", flaw, line, cases[i]);
	}
}

static void test_section_lines(void **state)
{
	static const char text[] = "# listener \"x\" {\n"
				   "pool \"a\" {\n"
				   "  backend \"192.0.2.1:80\" { }\n"
				   "  backend 192.0.2.2:80 {\n"
				   "    weight = 3 } backend '192.0.2.3:80' {}\n"
				   "}\n"
				   "/* pool \"y\" {\n"
				   "*/ pool\n"
				   "b\n"
				   "{ source = { pool, \"listener {\" } }\n"
				   "listener web { bind = { 1,\n"
				   "2 }\n"
				   "  timeouts {\n"
				   "    idle = 1s\n"
				   "  }\n"
				   "}\n"
				   "workers = 1 /* one\n"
				   "two\n"
				   "three */\n"
				   "listener 'two' {}\n";
	static const struct {
		const char *keyword;
		size_t nth;
		int line;
	} expected[] = {
		{ "pool", 0, 2 },
		{ "pool", 1, 10 },
		{ "pool", 2, 0 },
		{ "backend", 0, 3 },
		{ "backend", 1, 4 },
		{ "backend", 2, 5 },
		{ "backend", 3, 0 },
		{ "listener", 0, 11 },
		{ "listener", 1, 20 },
		{ "listener", 2, 0 },
		{ "timeouts", 0, 13 },
		{ "timeouts", 1, 0 },
		{ "source", 0, 0 },
		{ "", 0, 0 },
	};
	struct config_scan scan;
	int line;

	(void)state;
	assert_int_equal(scan_text(&scan, text, &line), CONFIG_SCAN_FINE);
	for (size_t i = 0; i < COUNT(expected); i++)
		assert_int_equal(config_scan_line(&scan, expected[i].keyword, expected[i].nth),
			expected[i].line);
	assert_int_equal(scan.n_sections, 8);
	config_scan_destroy(&scan);
}

/* A keyword that is the title or the value of something else makes no section of its name. */
static void test_keywords_as_names(void **state)
{
	static const char text[] = "pool backend { }\n"
				   "pool \"pool\" { }\n"
				   "listener pool {\n"
				   "  pool = \"pool\"\n"
				   "  timeouts { }\n"
				   "}\n"
				   "listener l {\n"
				   "  bind = { \"pool\", \"backend\" }\n"
				   "  timeouts { }\n"
				   "}\n"
				   "pool p { }\n";
	struct config_scan scan;
	int line;

	(void)state;
	assert_int_equal(scan_text(&scan, text, &line), CONFIG_SCAN_FINE);
	assert_int_equal(config_scan_line(&scan, "pool", 0), 1);
	assert_int_equal(config_scan_line(&scan, "pool", 1), 2);
	assert_int_equal(config_scan_line(&scan, "pool", 2), 11);
	assert_int_equal(config_scan_line(&scan, "backend", 0), 0);
	assert_int_equal(config_scan_line(&scan, "listener", 0), 3);
	assert_int_equal(config_scan_line(&scan, "listener", 1), 7);
	assert_int_equal(config_scan_line(&scan, "timeouts", 0), 5);
	assert_int_equal(config_scan_line(&scan, "timeouts", 1), 9);
	config_scan_destroy(&scan);
}

static void test_comments_go(void **state)
{
	static const char text[] = "a = 1 # b\n"
				   "// c\n"
				   "b = \"# // /* */\" /* d\n"
				   " e */c='/**/'\n"
				   "# f";
	static const char bare[] = "a = 1    \n"
				   "    \n"
				   "b = \"# // /* */\"     \n"
				   "     c='/**/'\n"
				   "   ";
	struct config_scan scan;
	int line;

	(void)state;
	assert_int_equal(scan_text(&scan, text, &line), CONFIG_SCAN_FINE);
	assert_int_equal(sizeof(text), sizeof(bare));
	assert_memory_equal(scan.bare, bare, sizeof(bare) - 1);
	config_scan_destroy(&scan);
}

/* As many sections as there may be, and one more; options without a limit. */
static void test_many(void **state)
{
	enum { N = CONFIG_SECTIONS_MAX };
	char *text = malloc((size_t)N * 64);
	struct config_scan scan;
	size_t len = 0;
	int line;

	(void)state;
	assert_non_null(text);
	for (int i = 0; i < N; i++)
		len += (size_t)sprintf(
			text + len, "o%d = 1\nbackend \"%d\" { weight = 1 }\n", i, i);
	assert_int_equal(scan_text(&scan, text, &line), CONFIG_SCAN_FINE);
	assert_int_equal(scan.n_sections, N);
	assert_int_equal(config_scan_line(&scan, "backend", 0), 2);
	assert_int_equal(config_scan_line(&scan, "backend", N - 1), 2 * N);
	config_scan_destroy(&scan);
	strcpy(text + len, "\na = { 1 } b { }");
	assert_int_equal(scan_text(&scan, text, &line), CONFIG_SCAN_TOO_MANY);
	assert_int_equal(line, 2 * N + 2);
	config_scan_destroy(&scan);
	free(text);
}

static void test_long_words(void **state)
{
	char text[400];
	struct config_scan scan;
	int line;

	(void)state;
	snprintf(text, sizeof(text), "%0150d { }\npool %0150d { }\n", 1, 2);
	assert_int_equal(scan_text(&scan, text, &line), CONFIG_SCAN_FINE);
	assert_int_equal(config_scan_line(&scan, "000000000000000", 0), 1);
	assert_int_equal(config_scan_line(&scan, "pool", 0), 2);
	config_scan_destroy(&scan);
	config_scan_destroy(&scan);
	assert_int_equal(config_scan_line(&scan, "pool", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flaws),
		cmocka_unit_test(test_fine),
		cmocka_unit_test(test_section_lines),
		cmocka_unit_test(test_keywords_as_names),
		cmocka_unit_test(test_comments_go),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_long_words),
	};

	return cmocka_run_group_tests_name("config_scan", tests, NULL, NULL);
}
