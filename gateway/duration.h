/*
 * duration - lengths of time as people write them: "500ms", "5s", "10m", "1h", "30d".
 *
 * A number of decimal digits and one unit, nothing between or around them. No fraction, no sign, no
 * sum of several: what can be written in one way only is read in one way only.
 */
#pragma once

#include <stdint.h>

/*
 * Milliseconds. 0; -ERANGE for what does not fit, -EINVAL for anything else; ret_ms is untouched
 * then.
 */
int duration_parse(const char *text, uint32_t *ret_ms);
/* The same for what may be longer than 49 days. */
int duration_parse_long(const char *text, uint64_t *ret_ms);
