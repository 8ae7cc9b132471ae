/*
 * wall_time - times of the day as people and programs write them: RFC 3339. Microseconds since
 * 1970, UTC.
 */
#pragma once

#include <stdint.h>

/* "2026-11-23T05:12:09.117Z" into buf, which is returned; "" for a time that has no such form. */
#define WALL_TIME_TEXT_MAX 64
const char *wall_time_format(uint64_t wall_us, char buf[WALL_TIME_TEXT_MAX]);
