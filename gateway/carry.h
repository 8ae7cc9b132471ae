/*
 * carry - takes rates of clients, and who has ended, into an estate and out of it (carried.h).
 *
 * The supervisor's, at the two ends of a succession. Beside the estate's JSON and not in it, as
 * there may be hundreds of thousands of records. Losing some is no failure: a rate begins anew, an
 * old connection is not found.
 */
#pragma once

#include "carried.h"
#include "estate.h"

/*
 * limits and who may be NULL: there is nothing of theirs. ret_fd is in the estate, and to be closed
 * when that is done with. 0; or a negative errno, and ret_fd is untouched.
 */
int carry_bequeath(const struct config *config, const struct client_limits *limits,
	const struct who *who, struct estate *estate, int *ret_fd);
/*
 * Before there are workers. limits and who may be NULL. What there is too much of is left out, and
 * the log says so; without a file in the estate nothing happens.
 */
void carry_inherit(const struct config *config, struct client_limits *limits, struct who *who,
	struct estate *estate);
