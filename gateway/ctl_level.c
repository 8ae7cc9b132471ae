#include "ctl_level.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl_client.h"

int ctl_level_print(const json_t *result)
{
	char level[CTL_TEXT_MAX], before[CTL_TEXT_MAX], configured[CTL_TEXT_MAX];

	ctl_text(result, "level", level);
	ctl_text(result, "before", before);
	ctl_text(result, "configured", configured);
	printf("%s", level);
	if (strcmp(before, level) != 0)
		printf(", was %s", before);
	if (strcmp(configured, level) != 0)
		printf("; until the next reload or start: the configuration says %s", configured);
	putchar('\n');
	return EXIT_SUCCESS;
}
