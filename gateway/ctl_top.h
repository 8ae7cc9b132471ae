/*
 * ctl_top - "sixgatectl top": what the gateway is doing, again and again, on a terminal or as lines
 * of JSON.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* For struct ctl_command. args: "interval", a text, seconds; it may be missing. */
int ctl_top_run(const char *path, const json_t *args, bool json);
