/*
 * ctl_bans - `sixgatectl ban`, `unban` and `bans`: their results as lines.
 */
#pragma once

#include <jansson.h>

/* A ctl_command's: 0, or 1 if the table that enforces bans cannot be had. */
int ctl_bans_print_ban(const json_t *result);
int ctl_bans_print_unban(const json_t *result);
int ctl_bans_print(const json_t *result);
