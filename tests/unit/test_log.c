#include "unit.h"

#include <string.h>

#include "log.h"

static char last[512];
static unsigned lines;

static void sink(void *userdata, enum log_level level, const char *line, size_t len)
{
	(void)userdata;
	(void)level;
	assert_int_equal(strlen(line), len);
	strcpy(last, line);
	lines++;
}

static void test_level(void **state)
{
	(void)state;
	log_set_sink(sink, NULL);
	log_set_level(LOG_LEVEL_WARNING);
	lines = 0;
	log_info("no");
	assert_int_equal(lines, 0);
	log_error("yes %d", 7);
	assert_int_equal(lines, 1);
	assert_string_equal(last, "yes 7");
	log_set_sink(NULL, NULL);
}

/* The level of a word, whoever has written that. */
static void test_shared_level(void **state)
{
	uint32_t word = 99;

	(void)state;
	log_set_sink(sink, NULL);
	log_set_level(LOG_LEVEL_WARNING);
	log_share_level(&word);
	assert_int_equal(word, LOG_LEVEL_WARNING);
	lines = 0;
	log_debug("no");
	assert_int_equal(lines, 0);
	word = LOG_LEVEL_DEBUG;
	log_debug("yes");
	assert_int_equal(lines, 1);
	assert_true(log_wants(LOG_LEVEL_DEBUG));
	word = 12345;
	assert_int_equal(log_get_level(), LOG_LEVEL_DEBUG);
	log_set_level(LOG_LEVEL_ERROR);
	assert_int_equal(word, LOG_LEVEL_ERROR);
	assert_false(log_wants(LOG_LEVEL_WARNING));
	word = LOG_LEVEL_INFO;
	log_share_level(NULL);
	assert_int_equal(log_get_level(), LOG_LEVEL_INFO);
	word = LOG_LEVEL_DEBUG;
	assert_int_equal(log_get_level(), LOG_LEVEL_INFO);
	log_set_sink(NULL, NULL);
}

/* A name from outside cannot forge a line or a terminal's escape sequence. */
static void test_control_characters_and_length(void **state)
{
	char text[1000];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	log_set_sink(sink, NULL);
	log_set_level(LOG_LEVEL_INFO);
	log_info("a\nb\033[31m");
	assert_string_equal(last, "a b [31m");
	log_info("%s", text);
	assert_int_equal(strlen(last), LOG_LINE_MAX - 1);
	log_set_sink(NULL, NULL);
}

static void test_limit(void **state)
{
	struct log_limit limit = { 0 };
	unsigned suppressed = 99, allowed = 0;

	(void)state;
	for (int i = 0; i < 100; i++)
		allowed += log_allowed(&limit, 1000, &suppressed);
	assert_int_equal(allowed, LOG_LIMIT_BURST);
	assert_true(log_allowed(&limit, 1000 + LOG_LIMIT_MS, &suppressed));
	assert_int_equal(suppressed, 100 - LOG_LIMIT_BURST);
	assert_true(log_allowed(&limit, 1001 + LOG_LIMIT_MS, &suppressed));
	assert_int_equal(suppressed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_level),
		cmocka_unit_test(test_shared_level),
		cmocka_unit_test(test_control_characters_and_length),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
