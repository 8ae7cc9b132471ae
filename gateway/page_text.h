/*
 * page_text - text that grows, with what HTML needs: escapes, and numbers for people.
 *
 * Without memory nothing more is added, and page_text_take() says so: nobody else needs to look.
 *
 * Who writes: text of ours by add and addf, whose arguments are not escaped and so must be numbers
 * or ours, too; everything that others have written, the configuration included, by escape or name.
 */
#pragma once

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Instead of a number. */
#define PAGE_TEXT_UNKNOWN ((double)NAN)

/* Zeroed it is empty. To be given back by page_text_take() or page_text_drop(). */
struct page_text {
	char *data; /* len bytes and a NUL; NULL: nothing was added yet */
	size_t len, room;
	bool failed; /* for want of memory; stays so */
};

/* As they are: for text of our own. */
void page_text_add(struct page_text *text, const char *html);
__attribute__((format(printf, 2, 3))) void page_text_addf(
	struct page_text *text, const char *format, ...);

/* Anybody's text, as text of an element or of a quoted attribute. What cannot be seen is U+FFFD.
 * NULL is "-". */
void page_text_escape(struct page_text *text, const char *any);
/* A name from the configuration: escaped, and a direction of writing of its own. */
void page_text_name(struct page_text *text, const char *any);

/* "812", "12.3 k"; "3.4 MB/s"; "850 µs", "1.2 ms"; "3 d 4 h". Not a number: "–". */
void page_text_count(struct page_text *text, double n);
void page_text_bytes(struct page_text *text, double bytes_per_s);
void page_text_seconds(struct page_text *text, double seconds);
void page_text_duration(struct page_text *text, double seconds);
/* The time of day in UTC: "05:12" or "05:12:09". */
void page_text_clock(struct page_text *text, int64_t time_s, bool with_seconds);

/* The text, which is the caller's, with a NUL behind it. 0 or -ENOMEM; text is empty then. */
int page_text_take(struct page_text *text, char **ret_data, size_t *ret_len);

/* Throws it away. */
void page_text_drop(struct page_text *text);
