/*
 * ctl_pools - `sixgatectl pools`: pools and their servers as a table.
 *
 * result is an answer of the gateway's, maybe of another release: a number that it lacks is "-".
 */
#pragma once

#include <jansson.h>

/* A ctl_command's: 0, or 1 if a pool is down. */
int ctl_pools_print(const json_t *result);
