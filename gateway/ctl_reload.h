/*
 * ctl_reload - `sixgatectl reload`: waits until a successor serves, or until it is clear that there
 * will be none (successor.h).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* A ctl_command's. */
int ctl_reload_follow(const char *path, const json_t *result, bool json);
