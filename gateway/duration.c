#include "duration.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

int duration_parse_long(const char *text, uint64_t *ret_ms)
{
	static const struct {
		const char *unit;
		uint32_t ms;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 },
		{ "d", 86400000 } };
	uint64_t number = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++) {
		number = number * 10 + (uint64_t)(*p - '0');
		if (number > UINT32_MAX)
			return -EINVAL;
	}
	if (p == text)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(p, units[i].unit) == 0) {
			*ret_ms = number * units[i].ms;
			return 0;
		}
	return -EINVAL;
}

int duration_parse(const char *text, uint32_t *ret_ms)
{
	uint64_t ms;

	if (duration_parse_long(text, &ms) < 0 || ms > UINT32_MAX)
		return -EINVAL;
	*ret_ms = (uint32_t)ms;
	return 0;
}
