/*
 * ctl_level - `sixgatectl log-level`: the result of control_level.h as a line.
 */
#pragma once

#include <jansson.h>

/* A ctl_command's. */
int ctl_level_print(const json_t *result);
