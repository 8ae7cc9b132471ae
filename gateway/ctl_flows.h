/*
 * ctl_flows - `sixgatectl flows` and `kill-flow`: the result of control_flows.h as lines, once or
 * as it changes.
 *
 * path is the control socket's; results and args are the caller's, but "limit" may be added to
 * args. json: a line of JSON for each thing that is said.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* kill-flow's follow: until the flow has ended. 0, or 1 if it has not in time. */
int ctl_flows_follow_kill(const char *path, const json_t *result, bool json);

/*
 * A ctl_command's print and watch. The latter ends when the gateway has been silent for some ten
 * questions, when it refuses, or when nobody reads what is printed.
 */
int ctl_flows_print(const json_t *result);
int ctl_flows_watch(const char *path, json_t *args, const json_t *result, bool json);
