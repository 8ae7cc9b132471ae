/*
 * ctl_flows - `sixgatectl flows`: the result of control_flows.h as lines, once or as it changes.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* A ctl_command's print and watch. */
int ctl_flows_print(const json_t *result);
int ctl_flows_watch(const char *path, json_t *args, const json_t *result, bool json);
