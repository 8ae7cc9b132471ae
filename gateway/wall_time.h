/*
 * wall_time - times of the day as people and programs write them: RFC 3339. Microseconds since
 * 1970, UTC; up to the year 9999. Plain functions: the zone of this machine does not matter, and no
 * clock is looked at.
 */
#pragma once

#include <stdint.h>

/*
 * "2026-11-23T05:12:09.117Z" into buf, which is returned; "" for a time that has no such form. Cut
 * off at the millisecond, and not rounded.
 */
#define WALL_TIME_TEXT_MAX 64
const char *wall_time_format(uint64_t wall_us, char buf[WALL_TIME_TEXT_MAX]);

/*
 * A time is as long as it was written exactly: 05:12:09 is a second, 05:12:09.117 a millisecond.
 * Who asks what was "at" a time means all of it.
 */
struct wall_time_span {
	uint64_t from_us, to_us; /* both belong to it */
};

/*
 * "2026-11-23T05:12:09.117Z", "2026-11-23 06:12:09+01:00"; seconds since 1970, "1795497129.117"; or
 * "5m ago", the minute around that, with the units ms, s, m, h and d. now_us: for the last one. 0;
 * or -EINVAL and, in ret_reason, a static sentence that says what would be right; ret_span is
 * untouched then. Digits beyond the microsecond are read over. Nothing before 1970, no second 60
 * (the kernel's clock has none), and no date without a zone, which would mean another time to each.
 */
int wall_time_parse(const char *text, uint64_t now_us, struct wall_time_span *ret_span,
	const char **ret_reason);
