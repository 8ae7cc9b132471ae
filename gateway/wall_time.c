#include "wall_time.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND_US 1000000U

const char *wall_time_format(uint64_t wall_us, char buf[WALL_TIME_TEXT_MAX])
{
	time_t seconds = (time_t)(wall_us / SECOND_US);
	unsigned ms = (unsigned)(wall_us / 1000U % 1000U);
	char date[32];
	struct tm tm;

	buf[0] = '\0';
	if (gmtime_r(&seconds, &tm) && tm.tm_year + 1900 <= 9999 &&
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) > 0)
		snprintf(buf, WALL_TIME_TEXT_MAX, "%s.%03uZ", date, ms);
	return buf;
}

/* Just so many digits, at *text, which moves on. */
static bool take_number(const char **text, int digits, int min, int max, int *ret_number)
{
	int number = 0;

	for (int i = 0; i < digits; i++, (*text)++) {
		if (**text < '0' || **text > '9')
			return false;
		number = number * 10 + (**text - '0');
	}
	*ret_number = number;
	return number >= min && number <= max;
}

static bool take_char(const char **text, const char *any_of)
{
	if (!**text || !strchr(any_of, **text))
		return false;
	(*text)++;
	return true;
}

/* ".117" or nothing, on top of from_us; the span becomes as long as the last digit is worth. */
static bool take_fraction(const char **text, struct wall_time_span *span)
{
	uint64_t unit_us = SECOND_US, us = 0;

	if (take_char(text, ".")) {
		if (**text < '0' || **text > '9')
			return false;
		for (; **text >= '0' && **text <= '9'; (*text)++) {
			if (unit_us == 1)
				continue; /* finer than anything here */
			unit_us /= 10;
			us += unit_us * (uint64_t)(**text - '0');
		}
	}
	span->from_us += us;
	span->to_us = span->from_us + unit_us - 1;
	return true;
}

/* "Z" or "+01:00": seconds to be taken away. */
static bool take_zone(const char **text, int *ret_seconds)
{
	int hours, minutes, sign = **text == '-' ? -1 : 1;

	*ret_seconds = 0;
	if (take_char(text, "Zz"))
		return true;
	if (!take_char(text, "+-") || !take_number(text, 2, 0, 23, &hours) ||
		!take_char(text, ":") || !take_number(text, 2, 0, 59, &minutes))
		return false;
	*ret_seconds = sign * (hours * 3600 + minutes * 60);
	return true;
}

static bool parse_date(const char *text, struct wall_time_span *span)
{
	struct tm tm = { 0 }, made;
	int zone;
	time_t seconds;

	if (!take_number(&text, 4, 1970, 9999, &tm.tm_year) || !take_char(&text, "-") ||
		!take_number(&text, 2, 1, 12, &tm.tm_mon) || !take_char(&text, "-") ||
		!take_number(&text, 2, 1, 31, &tm.tm_mday) || !take_char(&text, "Tt ") ||
		!take_number(&text, 2, 0, 23, &tm.tm_hour) || !take_char(&text, ":") ||
		!take_number(&text, 2, 0, 59, &tm.tm_min) || !take_char(&text, ":") ||
		!take_number(&text, 2, 0, 59, &tm.tm_sec) || !take_fraction(&text, span) ||
		!take_zone(&text, &zone) || *text)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	made = tm;
	seconds = timegm(&made);
	/* 30 February would have become a day of March. */
	if (made.tm_mday != tm.tm_mday || seconds < zone)
		return false;
	span->from_us += (uint64_t)(seconds - zone) * SECOND_US;
	span->to_us += (uint64_t)(seconds - zone) * SECOND_US;
	return true;
}

/* Digits that make a number up to max, at *text, which moves on; untouched if there is none. */
static bool take_count(const char **text, uint64_t max, uint64_t *ret_number)
{
	uint64_t number = 0;
	const char *p = *text;

	for (; *p >= '0' && *p <= '9' && number <= max; p++)
		number = number * 10 + (uint64_t)(*p - '0');
	if (p == *text || number > max)
		return false;
	*text = p;
	*ret_number = number;
	return true;
}

static bool parse_epoch(const char *text, struct wall_time_span *span)
{
	uint64_t seconds;

	/* The last second of the year 9999. */
	if (!take_count(&text, 253402300799U, &seconds))
		return false;
	span->from_us = seconds * SECOND_US;
	return take_fraction(&text, span) && !*text;
}

/* "5m ago" is the minute whose middle was five minutes ago. */
static bool parse_ago(const char *text, uint64_t now_us, struct wall_time_span *span)
{
	static const struct {
		const char *text;
		uint64_t us;
	} units[] = { { "ms ago", 1000 }, { "s ago", SECOND_US }, { "m ago", 60ULL * SECOND_US },
		{ "h ago", 3600ULL * SECOND_US }, { "d ago", 86400ULL * SECOND_US } };
	uint64_t number;

	if (!take_count(&text, 1000000000, &number))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		const uint64_t half_us = units[i].us / 2;

		if (strcmp(text, units[i].text) != 0 || half_us > now_us ||
			number > (now_us - half_us) / units[i].us)
			continue;
		span->from_us = now_us - number * units[i].us - units[i].us / 2;
		span->to_us = span->from_us + units[i].us - 1;
		return true;
	}
	return false;
}

int wall_time_parse(
	const char *text, uint64_t now_us, struct wall_time_span *ret_span, const char **ret_reason)
{
	struct wall_time_span date = { 0 }, epoch = { 0 }, ago = { 0 };

	if (parse_date(text, &date))
		*ret_span = date;
	else if (parse_epoch(text, &epoch))
		*ret_span = epoch;
	else if (parse_ago(text, now_us, &ago))
		*ret_span = ago;
	else {
		*ret_reason = "write a time like 2026-11-23T05:12:09Z, with Z or the distance from "
			      "UTC, seconds since 1970, or 5m ago";
		return -EINVAL;
	}
	return 0;
}
