#include "wall_time.h"

#include <stdio.h>
#include <time.h>

const char *wall_time_format(uint64_t wall_us, char buf[WALL_TIME_TEXT_MAX])
{
	time_t seconds = (time_t)(wall_us / 1000000U);
	unsigned ms = (unsigned)(wall_us / 1000U % 1000U);
	char date[32];
	struct tm tm;

	buf[0] = '\0';
	if (gmtime_r(&seconds, &tm) && tm.tm_year + 1900 <= 9999 &&
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) > 0)
		snprintf(buf, WALL_TIME_TEXT_MAX, "%s.%03uZ", date, ms);
	return buf;
}
