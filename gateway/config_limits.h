/*
 * config_limits - reads who a listener's clients may be and what they may have: its sections
 * "clients", "connections" and "sessions".
 */
#pragma once

#include "config.h"
#include "config_tree.h"

/*
 * The sections of cfg into the listener, whose protocol is known. 0, -ENOMEM, or -EINVAL and the
 * reason in tree->error.
 */
int config_limits_walk(struct config_tree *tree, struct config_listener *listener, cfg_t *cfg);
