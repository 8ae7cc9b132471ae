/*
 * name_estate - where the backends that are names are, from image to image (estate.h): a pool need
 * not wait for DNS again.
 *
 * An address goes by pool, name and port. The first answer puts right what has changed meanwhile.
 */
#pragma once

#include "config.h"
#include "estate.h"
#include "pool_state.h"

/* 0 or a negative errno. */
int name_estate_bequeath(
	const struct config *config, const struct pool_state *state, struct estate *estate);
/* Before anybody looks at the state. What is no address of a server is passed over. */
void name_estate_inherit(
	const struct config *config, struct pool_state *state, const struct estate *estate);
