/*
 * wall_time - times of the day as people and programs write them: RFC 3339. Microseconds since
 * 1970, UTC.
 */
#pragma once

#include <stdint.h>

/* "2026-11-23T05:12:09.117Z" into buf, which is returned; "" for a time that has no such form. */
#define WALL_TIME_TEXT_MAX 64
const char *wall_time_format(uint64_t wall_us, char buf[WALL_TIME_TEXT_MAX]);

/* A time is as long as it was written exactly: 05:12:09 is a second, 05:12:09.117 a millisecond. */
struct wall_time_span {
	uint64_t from_us, to_us; /* both belong to it */
};

/*
 * "2026-11-23T05:12:09.117Z", "2026-11-23 06:12:09+01:00"; seconds since 1970, "1795497129.117"; or
 * "5m ago", the minute around that, with the units ms, s, m, h and d. now_us: for the last one. 0;
 * or -EINVAL and, in ret_reason, a static sentence that says what would be right.
 */
int wall_time_parse(const char *text, uint64_t now_us, struct wall_time_span *ret_span,
	const char **ret_reason);
