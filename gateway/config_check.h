/*
 * config_check - reads the section "check" of a pool.
 */
#pragma once

#include "config.h"
#include "config_tree.h"

/*
 * The section's options into pool->check; the pool has its backends already. 0, -ENOMEM, or -EINVAL
 * and the reason in tree->error.
 */
int config_check_walk(struct config_tree *tree, struct config_pool *pool, cfg_t *cfg);
