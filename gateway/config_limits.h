/*
 * config_limits - reads who a listener's clients may be and what they may have: its sections
 * "clients", "connections" and "sessions".
 *
 * Paths of lists are only noted here: list_keeper.h reads the files, now and whenever they change,
 * so that what is wrong in one is told with its own line.
 */
#pragma once

#include "config.h"
#include "config_tree.h"

/*
 * The sections of cfg, which is the listener's own, into the listener, whose protocol is known: it
 * says which of "connections" and "sessions" there may be, and has set the defaults that stay where
 * nothing is written. 0, -ENOMEM, or -EINVAL and the reason in tree->error.
 */
int config_limits_walk(struct config_tree *tree, struct config_listener *listener, cfg_t *cfg);
