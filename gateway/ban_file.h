/*
 * ban_file - bans as the text of a file: no file, only bytes.
 *
 * One JSON object a line. The first says what this is; from then on each is one change, so that a
 * change is one line more:
 *
 *   {"sixgate":"bans","version":1}
 *   {"ban":"2001:db8:1::/64","until_ms":1764040000000,"reason":"ssh"}
 *   {"unban":"2001:db8:1::/64"}
 *
 * until_ms counts from 1970 by the wall clock; without it, for ever. A last line without its
 * newline was cut off, and counts as not written.
 */
#pragma once

#include <stddef.h>

#include "ban_list.h"

/* What was wrong with a text. */
struct ban_file_flaws {
	size_t n;	    /* lines; 0: all was well */
	size_t line;	    /* the first of them, counted from 1 */
	const char *reason; /* what is wrong there, static */
	size_t n_lines;	    /* in all */
};

/*
 * Adds what the text tells to the list; len bytes, no NUL is needed. What makes no sense is passed
 * over and told in ret_flaws, so that one bad line does not let in all who are banned in the
 * others. Bans that have ended are added, too, and expire as any other. 0; or -ENOMEM, ret_flaws is
 * untouched then, and the list has what came before.
 */
int ban_file_parse(const char *text, size_t len, struct ban_list *list, uint64_t now_ms,
	struct ban_file_flaws *ret_flaws);

/*
 * Lines with their newline, to be freed; NULL: no memory. What is written can be read by
 * ban_file_parse(), and says the same.
 */
char *ban_file_head(void);
char *ban_file_ban(const struct ban *ban);
/* The same with a reason of its own. */
char *ban_file_ban_of(const struct ban *ban, const char *reason);
char *ban_file_unban(const struct ban *ban);
