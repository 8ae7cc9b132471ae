/*
 * ctl_top - "sixgatectl top": what the gateway is doing, again and again, on a terminal or as lines
 * of JSON.
 *
 * It runs until it is told to end (a key, a signal, a reader that is gone): a gateway that does not
 * answer, or is another one now, is shown as such and asked again.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/*
 * For struct ctl_command. args: "interval", a text, seconds with a fraction; it may be missing. An
 * exit status; what is wrong with the arguments or the terminal is said on standard error.
 */
int ctl_top_run(const char *path, const json_t *args, bool json);
