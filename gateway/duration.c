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

	for (; *p >= '0' && *p <= '9'; p++)
		if (number <= UINT32_MAX)
			number = number * 10 + (uint64_t)(*p - '0');
	if (p == text)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(p, units[i].unit) == 0) {
			if (number > UINT32_MAX)
				return -ERANGE;
			*ret_ms = number * units[i].ms;
			return 0;
		}
	return -EINVAL;
}

int duration_parse(const char *text, uint32_t *ret_ms)
{
	uint64_t ms;
	int err = duration_parse_long(text, &ms);

	if (!err && ms > UINT32_MAX)
		err = -ERANGE;
	if (err)
		return err;
	*ret_ms = (uint32_t)ms;
	return 0;
}
