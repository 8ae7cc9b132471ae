/*
 * carry - takes rates of clients, and who has ended, into an estate and out of it (carried.h).
 */
#pragma once

#include "carried.h"
#include "estate.h"

/*
 * limits and who may be NULL. ret_fd is in the estate, and to be closed when that is done with.
 * 0 or a negative errno.
 */
int carry_bequeath(const struct config *config, const struct client_limits *limits,
	const struct who *who, struct estate *estate, int *ret_fd);
/* Before there are workers. What there is too much of is left out. */
void carry_inherit(const struct config *config, struct client_limits *limits, struct who *who,
	struct estate *estate);
