/*
 * ctl_reload - `sixgatectl reload`: waits until a successor serves, or until it is clear that there
 * will be none (successor.h).
 *
 * The answer to the command says only that the trial has begun; the rest is asked for again and
 * again, also by way of the successor, which has the same socket by then.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* A ctl_command's. */
int ctl_reload_follow(const char *path, const json_t *result, bool json);
