/*
 * config_hold - the walk through what holds clients back until a backend has answered: a listener's
 * option "accept" and the section "hold".
 */
#pragma once

#include "config.h"
#include "config_tree.h"

/* Behind binds, servers, identity and accept-proxy. 0; -EINVAL, and the tree knows the mistake. */
int config_hold_walk_listener(
	struct config_tree *tree, struct config_listener *listener, cfg_t *cfg);

/* The section, for all listeners; cfg: the root. */
int config_hold_walk(struct config_tree *tree, struct config *config, cfg_t *cfg);
