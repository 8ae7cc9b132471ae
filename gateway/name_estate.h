/*
 * name_estate - where the backends that are names are, from image to image (estate.h): a pool need
 * not wait for DNS again.
 *
 * An address goes by pool, name and port. The first answer puts right what has changed meanwhile.
 *
 * In the estate it is a text for each name: "at POOL HOST PORT" has "192.0.2.1 192.0.2.2 ", every
 * address with a blank behind it, or "" if there are none. Releases read each other's.
 *
 * Called by the supervisor, which alone writes where backends are.
 */
#pragma once

#include "config.h"
#include "estate.h"
#include "pool_state.h"

/* 0, or a negative errno, see estate_add_text(). A name too long for an estate is left out. */
int name_estate_bequeath(
	const struct config *config, const struct pool_state *state, struct estate *estate);
/*
 * Before anybody looks at the state: there are no workers yet, and nobody has asked DNS. What is no
 * address of a server, is in the pool already, or finds no slot any more is passed over; a name
 * that the estate does not know stays without addresses.
 */
void name_estate_inherit(
	const struct config *config, struct pool_state *state, const struct estate *estate);
