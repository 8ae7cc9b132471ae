/*
 * config_metrics - the walk through the section "metrics": where the gateway is watched by HTTP.
 */
#pragma once

#include "config.h"
#include "config_tree.h"

/* cfg: the root. Without the section nobody listens. 0; -EINVAL, and the tree knows the mistake. */
int config_metrics_walk(struct config_tree *tree, struct config *config, cfg_t *cfg);
