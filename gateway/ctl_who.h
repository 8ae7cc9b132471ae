/*
 * ctl_who - `sixgatectl who`: the result of control_who.h as lines.
 */
#pragma once

#include <jansson.h>

/* A ctl_command's: 0, or 1 if nobody is known. */
int ctl_who_print(const json_t *result);
