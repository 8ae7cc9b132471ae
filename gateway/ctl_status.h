/*
 * ctl_status - `sixgatectl status`: the result of status.h as lines.
 *
 * For people; scripts have --json, or the exit status. Counters that are 0 are left out. What an
 * answer lacks, as it is of another release, is 0 or "-".
 */
#pragma once

#include <jansson.h>

/* A ctl_command's: 0, or 1 if a worker or a pool is not up. */
int ctl_status_print(const json_t *result);
