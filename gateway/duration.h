/*
 * duration - lengths of time as people write them: "500ms", "5s", "10m", "1h", "30d".
 */
#pragma once

#include <stdint.h>

/* 0; or -EINVAL for anything that is not a whole number with a unit, or does not fit. */
int duration_parse(const char *text, uint32_t *ret_ms);
/* The same for what may be longer than 49 days. */
int duration_parse_long(const char *text, uint64_t *ret_ms);
