/*
 * config_check - reads the section "check" of a pool.
 *
 * What is read here is asked by checker.h, and sent by check_probe.h, which trust it: whatever
 * could not be sent, or could never pass, is refused here, where there is a line to name.
 */
#pragma once

#include "config.h"
#include "config_tree.h"

/*
 * The section's options into pool->check, which has its defaults, once; the pool has its backends
 * already. 0, -ENOMEM, or -EINVAL and the reason in tree->error. Texts that were copied before a
 * failure are config_free()'s.
 */
int config_check_walk(struct config_tree *tree, struct config_pool *pool, cfg_t *cfg);
