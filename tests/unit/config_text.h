/*
 * config_text - configurations as text, for the tests of those who read them.
 */
#pragma once

#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_file.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The error is what follows "t.conf:". */
struct broken {
	const char *text, *error;
};

/* Parses a copy of exactly the text's length, so that a sanitizer sees any step beyond it. */
static inline int parse_len(const char *text, size_t len, struct config **ret_config, char *error)
{
	char *copy = malloc(len ? len : 1);
	int err;

	assert_non_null(copy);
	memcpy(copy, text, len);
	memset(error, 'x', CONFIG_ERROR_MAX);
	*ret_config = NULL;
	err = config_file_parse("t.conf", copy, len, ret_config, error);
	free(copy);
	return err;
}

static inline struct config *parsed(const char *text)
{
	char error[CONFIG_ERROR_MAX];
	struct config *config;

	if (parse_len(text, strlen(text), &config, error) != 0)
		fail_msg("%s\nrefused: %s", text, error);
	assert_string_equal(error, "");
	assert_non_null(config);
	return config;
}

static inline void check_broken(const struct broken *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char error[CONFIG_ERROR_MAX], expected[CONFIG_ERROR_MAX];
		struct config *config;
		int err = parse_len(cases[i].text, strlen(cases[i].text), &config, error);

		snprintf(expected, sizeof(expected), "t.conf:%s", cases[i].error);
		if (err != -EINVAL || config)
			fail_msg("%d for: %s", err, cases[i].text);
		if (strcmp(error, expected) != 0)
			fail_msg("%s\n%s\n%s", cases[i].text, error, expected);
	}
}
