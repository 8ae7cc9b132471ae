/*
 * config_scan - where the sections of a configuration file begin, and whether all are closed.
 *
 * libconfuse knows the line it is at, but loses count at every comment, does not know where a
 * section began, is vague about a file that ends too early, drops some characters without a word,
 * and lets the second of two values win. This is a first look at the text that answers just that:
 * it tells strings, comments, words and braces apart, and judges nothing else.
 *
 * Escape sequences and environment variables are refused: libconfuse replaces them in keywords too,
 * and then the two would not see the same sections. No option needs either.
 *
 * Plain functions over bytes, which need not be text, nor end in a NUL; tests/fuzz has a target.
 */
#pragma once

#include <stddef.h>

/* In all. What libconfuse does for each takes longer the more there are. */
#define CONFIG_SECTIONS_MAX 4096

struct config_scan_section {
	char keyword[16]; /* "listener", "pool", "backend", ...; cut to fit */
	int line;
};

/* Starts as all zero. */
struct config_scan {
	struct config_scan_section *sections; /* in the order of the file */
	size_t n_sections;
	size_t n_allocated; /* places in sections */
	char *bare;	    /* the text, as long as it was, with spaces in place of comments */
};

enum config_scan_flaw {
	CONFIG_SCAN_FINE,
	CONFIG_SCAN_OPEN_BRACE,	  /* never closed */
	CONFIG_SCAN_STRAY_BRACE,  /* closes nothing */
	CONFIG_SCAN_OPEN_STRING,  /* a quotation mark without its twin */
	CONFIG_SCAN_LONG_STRING,  /* one that goes on in the next line */
	CONFIG_SCAN_OPEN_COMMENT, /* no end of comment */
	CONFIG_SCAN_TOO_DEEP,
	CONFIG_SCAN_TOO_MANY,	 /* sections */
	CONFIG_SCAN_TWICE,	 /* an option given before in its section */
	CONFIG_SCAN_BACKSLASH,	 /* anywhere but in a comment */
	CONFIG_SCAN_VARIABLE,	 /* a "${" that libconfuse would replace */
	CONFIG_SCAN_UNQUOTED,	 /* a character that only a string can have */
	CONFIG_SCAN_SEMICOLON,	 /* outside of strings */
	CONFIG_SCAN_CURLY_QUOTE, /* a typographic quotation mark outside of strings, in UTF-8 */
};

/*
 * 0 or -ENOMEM. ret_flaw tells the first flaw and ret_line its line, for an open one that of its
 * beginning. The caller destroys the scan either way.
 */
int config_scan_run(struct config_scan *scan, const char *text, size_t len,
	enum config_scan_flaw *ret_flaw, int *ret_line);

void config_scan_destroy(struct config_scan *scan);

/* The line of the nth section (from 0) of that keyword; 0 if there is none. */
int config_scan_line(const struct config_scan *scan, const char *keyword, size_t nth);
