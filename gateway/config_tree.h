/*
 * config_tree - the text of a configuration file as a tree of strings that know their lines.
 *
 * Syntax and names of options are judged here; what the values mean, by the one who walks the tree.
 * The tree's nodes are libconfuse's, to be read with cfg_size(), cfg_getnstr() and the like. A name
 * that the schema (config_tree.c) does not have must not be asked for.
 */
#pragma once

#include <confuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config_scan.h"

/* Which option stands in which line; n_noted of them. */
struct config_tree_noted;

struct config_tree {
	const char
		*name; /* of the file; with error and its size set by the caller, the rest zero */
	char *error;   /* "name:line: sentence"; empty: nothing was wrong so far */
	size_t error_size;
	cfg_t *root;		 /* NULL until the text was parsed */
	struct config_scan scan; /* for the lines of sections */
	struct config_tree_noted *noted;
	size_t n_noted;
};

/*
 * text: len bytes, which are not needed any more when it returns. 0; -EINVAL and the first mistake
 * in error; -ENOMEM. The caller destroys the tree either way. Not twice at once in one thread.
 */
int config_tree_parse(struct config_tree *tree, const char *text, size_t len);
void config_tree_destroy(struct config_tree *tree);

/*
 * Say what is wrong in a line, or, with 0, in none, unless something is already: -EINVAL, which the
 * walk may return in turn. What a terminal would obey has become question marks.
 */
__attribute__((format(printf, 3, 4))) int config_tree_fail(
	struct config_tree *tree, int line, const char *format, ...);
/*
 * err and reason as the functions of config.h have them: -ENOMEM is passed on and says nothing, of
 * the value of the option "what" the reason is told.
 */
int config_tree_refused(struct config_tree *tree, int line, int err, const char *what,
	const char *value, const char *reason);

/* The line, from 1, of the option's nth value (from 0); where its section ends, if not given. */
int config_tree_line_of_nth(
	const struct config_tree *tree, cfg_t *cfg, const char *name, unsigned nth);
int config_tree_line_of(const struct config_tree *tree, cfg_t *cfg, const char *name);

/* The option's (first) text, which is the tree's; NULL if it was not given. */
const char *config_tree_text_of(cfg_t *cfg, const char *name);

/*
 * The value of an option. 0, also if it was not given, and then the output is untouched; or
 * -EINVAL and the reason in error.
 */
int config_tree_get_number(struct config_tree *tree, cfg_t *cfg, const char *name, uint32_t min,
	uint32_t max, uint32_t *ret_number);

/* A whole number with a unit (duration.h), within bounds that may be in other units. */
struct config_tree_range {
	uint32_t min_ms, max_ms;
	const char *text; /* the range, as the message has it */
};
int config_tree_get_duration(struct config_tree *tree, cfg_t *cfg, const char *name,
	const struct config_tree_range *range, uint32_t *ret_ms);

/* "yes" or "no". */
int config_tree_get_bool(struct config_tree *tree, cfg_t *cfg, const char *name, bool *ret_value);

/*
 * A text of min to max bytes in memory that the caller frees; "%0d" and the like stand for one byte
 * each. The same, and -ENOMEM.
 */
int config_tree_get_bytes(struct config_tree *tree, cfg_t *cfg, const char *name, size_t min,
	size_t max, char **ret_bytes, size_t *ret_len);

/* The index of the option's word among n, of which NULL is none; reason says which there are. */
int config_tree_get_word(struct config_tree *tree, cfg_t *cfg, const char *name,
	const char *const *words, size_t n, const char *reason, unsigned *ret_word);
