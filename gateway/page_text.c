#include "page_text.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* For len bytes more and a NUL. By doubling, so that a page costs few copies of itself. */
static bool make_room(struct page_text *text, size_t len)
{
	size_t room = text->room ? text->room : 4096;
	char *bigger;

	while (room < text->len + len + 1)
		room *= 2;
	if (text->failed || room == text->room)
		return !text->failed;
	bigger = realloc(text->data, room);
	if (!bigger) {
		text->failed = true;
		return false;
	}
	text->data = bigger;
	text->room = room;
	return true;
}

static void add_bytes(struct page_text *text, const char *bytes, size_t len)
{
	if (!make_room(text, len))
		return;
	memcpy(text->data + text->len, bytes, len);
	text->len += len;
	text->data[text->len] = '\0';
}

void page_text_add(struct page_text *text, const char *html)
{
	add_bytes(text, html, strlen(html));
}

/* Formatted twice: the first time only to know how long it is. */
void page_text_addf(struct page_text *text, const char *format, ...)
{
	va_list args, again;
	int len;

	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	if (len >= 0 && make_room(text, (size_t)len)) {
		vsnprintf(text->data + text->len, (size_t)len + 1, format, again);
		text->len += (size_t)len;
	}
	va_end(again);
	va_end(args);
}

/*
 * Bytes of 0x80 and more are left alone: what comes out of JSON is UTF-8, and so are the events of
 * a history. Both quotation marks are escaped, so that it fits into either kind of attribute.
 */
void page_text_escape(struct page_text *text, const char *any)
{
	for (const char *c = any ? any : "-"; *c; c++) {
		if (*c == '&')
			page_text_add(text, "&amp;");
		else if (*c == '<')
			page_text_add(text, "&lt;");
		else if (*c == '>')
			page_text_add(text, "&gt;");
		else if (*c == '"')
			page_text_add(text, "&quot;");
		else if (*c == '\'')
			page_text_add(text, "&#39;");
		else if ((unsigned char)*c < 0x20 || *c == 0x7f)
			page_text_add(text, "\xef\xbf\xbd");
		else
			add_bytes(text, c, 1);
	}
}

void page_text_name(struct page_text *text, const char *any)
{
	page_text_add(text, "<bdi>");
	page_text_escape(text, any);
	page_text_add(text, "</bdi>");
}

/* Three digits that say something. Bounds are where rounding would make a digit more: "10.00". */
static void add_digits(struct page_text *text, double n)
{
	page_text_addf(text, "%.*f",
		n < 9.995 && n != floor(n)   ? 2
		: n < 99.95 && n != floor(n) ? 1
					     : 0,
		n);
}

static void add_scaled(struct page_text *text, double n, const char *unit)
{
	static const char *const prefixes[] = { "", "k", "M", "G", "T", "P" };
	size_t i = 0;

	if (!isfinite(n)) {
		page_text_add(text, "–");
		return;
	}
	for (; n >= 999.5 && i + 1 < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		n /= 1000;
	add_digits(text, n);
	if (prefixes[i][0] || unit[0])
		page_text_addf(text, "\u00a0%s%s", prefixes[i], unit);
}

/* Thousands are still told one by one, as "1,234": who counts clients wants to know. */
void page_text_count(struct page_text *text, double n)
{
	if (n >= 999.5 && n < 9999.5)
		page_text_addf(text, "%.0f,%03.0f", floor(round(n) / 1000), fmod(round(n), 1000));
	else
		add_scaled(text, n, "");
}

void page_text_bytes(struct page_text *text, double bytes_per_s)
{
	add_scaled(text, bytes_per_s, "B/s");
}

void page_text_seconds(struct page_text *text, double seconds)
{
	if (!isfinite(seconds)) {
		page_text_add(text, "–");
		return;
	}
	add_digits(text, seconds < 0.9995e-3 ? seconds * 1e6
			 : seconds < 0.9995  ? seconds * 1e3
					     : seconds);
	page_text_add(text, seconds == 0	  ? "\u00a0s"
			    : seconds < 0.9995e-3 ? "\u00a0µs"
			    : seconds < 0.9995	  ? "\u00a0ms"
						  : "\u00a0s");
}

void page_text_duration(struct page_text *text, double seconds)
{
	unsigned long s = seconds > 0 && seconds < 1e12 ? (unsigned long)seconds : 0;

	if (s >= 86400)
		page_text_addf(text, "%lu\u00a0d %lu\u00a0h", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		page_text_addf(text, "%lu\u00a0h %lu\u00a0min", s / 3600, s / 60 % 60);
	else if (s >= 60)
		page_text_addf(text, "%lu\u00a0min %lu\u00a0s", s / 60, s % 60);
	else
		page_text_addf(text, "%lu\u00a0s", s);
}

void page_text_clock(struct page_text *text, int64_t time_s, bool with_seconds)
{
	char buf[16] = "–";
	time_t time = (time_t)time_s;
	struct tm tm;

	if (gmtime_r(&time, &tm))
		strftime(buf, sizeof(buf), with_seconds ? "%H:%M:%S" : "%H:%M", &tm);
	page_text_add(text, buf);
}

int page_text_take(struct page_text *text, char **ret_data, size_t *ret_len)
{
	int err = text->failed || !make_room(text, 0) ? -ENOMEM : 0;

	if (err) {
		page_text_drop(text);
		return err;
	}
	text->data[text->len] = '\0';
	*ret_data = text->data;
	*ret_len = text->len;
	*text = (struct page_text){ 0 };
	return 0;
}

void page_text_drop(struct page_text *text)
{
	free(text->data);
	*text = (struct page_text){ 0 };
}
