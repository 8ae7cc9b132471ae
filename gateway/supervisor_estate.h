/*
 * supervisor_estate - what the supervisor leaves to the next image of itself, and what it has from
 * the one before (the format: estate.h).
 *
 * For the supervisor's own process only.
 */
#pragma once

#include <stdbool.h>

#include "supervisor_state.h"

/*
 * A successor_setup's bequeath: puts into the estate what the next image is to have. With all:
 * processes, shared memory and verdicts as well; without, for a trial, the sockets alone, of which
 * their names are enough. Descriptors stay ours. 0 or a negative errno; the estate is not whole
 * then and of no use.
 */
int supervisor_estate_bequeath(void *supervisor, bool all, struct estate *estate);

/*
 * Gives the service manager, if it has a store, all of it, so that the next process goes on with
 * these workers should this one be killed. It is called again whenever what is there has changed.
 * A failure is only said: the gateway serves on without.
 */
void supervisor_estate_keep(struct supervisor *supervisor);

/*
 * First thing of a start: takes what concerns the image before and the way back to it, and tells
 * its holder to leave, as two cannot have the same clients. 0, also without an estate; or a
 * negative errno.
 */
int supervisor_estate_inherit(struct supervisor *supervisor);

/*
 * Once all workers are ready: those of before hand their flows over to ours. What nobody has taken
 * of the estate by now is closed.
 */
void supervisor_estate_take_over(struct supervisor *supervisor);
