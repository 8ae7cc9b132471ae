/*
 * ctl_flows - `sixgatectl flows` and `kill-flow`: the result of control_flows.h as lines, once or
 * as it changes.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* kill-flow's follow: until the flow has ended. 0, or 1 if it has not in time. */
int ctl_flows_follow_kill(const char *path, const json_t *result, bool json);

/* A ctl_command's print and watch. */
int ctl_flows_print(const json_t *result);
int ctl_flows_watch(const char *path, json_t *args, const json_t *result, bool json);
