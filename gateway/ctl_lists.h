/*
 * ctl_lists - `sixgatectl reload-lists`: its result as lines.
 */
#pragma once

#include <jansson.h>

/* A ctl_command's: 0. */
int ctl_lists_print(const json_t *result);
