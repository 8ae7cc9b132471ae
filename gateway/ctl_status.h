/*
 * ctl_status - `sixgatectl status`: the result of status.h as lines.
 */
#pragma once

#include <jansson.h>

/* A ctl_command's: 0, or 1 if a worker or a pool is not up. */
int ctl_status_print(const json_t *result);
