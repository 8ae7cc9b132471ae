/*
 * config_resolve - reads the section "resolve".
 */
#pragma once

#include "config.h"
#include "config_tree.h"

/* The section's options into config->resolve. 0, -ENOMEM, or -EINVAL and the reason in tree->error.
 */
int config_resolve_walk(struct config_tree *tree, struct config *config, cfg_t *cfg);
