/*
 * config_resolve - reads the section "resolve": which DNS servers are asked for the addresses of
 * backends that are names, how often and how patiently.
 *
 * What the numbers mean is resolver.h's (intervals, hold) and dns.h's (servers, timeout, attempts)
 * business; here they are only kept within bounds.
 */
#pragma once

#include "config.h"
#include "config_tree.h"

/*
 * The section's options into config->resolve, which has its defaults. 0, -ENOMEM, or -EINVAL and
 * the reason in tree->error.
 */
int config_resolve_walk(struct config_tree *tree, struct config *config, cfg_t *cfg);
