/*
 * config_told - the walk through what goes from proxy to proxy: the sections "accept-proxy" and
 * "tlv" of a listener, and whether the header that comes of them is one that the servers take.
 */
#pragma once

#include "config.h"
#include "config_tree.h"

/*
 * Behind pool, binds, protocol and identity of the listener, whose section is cfg. 0; -EINVAL, and
 * the tree knows the mistake; -ENOMEM.
 */
int config_told_walk(struct config_tree *tree, const struct config *config,
	struct config_listener *listener, cfg_t *cfg);
