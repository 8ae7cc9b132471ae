/*
 * config_told - the walk through what a listener is told by proxies in front of it (its section
 * "accept-proxy"): builds the part of the configuration that this is about.
 */
#pragma once

#include "config.h"
#include "config_tree.h"

/* Behind protocol and identity. 0; -EINVAL, and the tree knows the mistake; -ENOMEM. */
int config_told_walk(struct config_tree *tree, struct config_listener *listener, cfg_t *cfg);
