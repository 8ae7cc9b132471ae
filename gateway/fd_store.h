/*
 * fd_store - descriptors that the service manager keeps for us (sd_notify(3), FDSTORE=1), and those
 * that it gives us at the start (sd_listen_fds(3)).
 *
 * What is kept is an estate (estate.h): should the supervisor be killed, the one that the manager
 * starts in its place gets it, sockets, workers' channels and all. Sockets that a socket unit has
 * opened become an estate of sockets.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "estate.h"

struct fd_store {
	char **names; /* of what is kept */
	size_t n_names;
};

/* Whether there is a manager that could keep anything. */
bool fd_store_is_there(void);

/*
 * Has this estate kept in the place of the last one. 0 or a negative errno; without a manager
 * nothing is done.
 */
int fd_store_keep(struct fd_store *store, const struct estate *estate);
/*
 * Nothing is kept any more. Takes a zeroed one. 0 or a negative errno: the manager does not hear,
 * and what it may still keep can be forgotten later.
 */
int fd_store_forget(struct fd_store *store);
/* Whether an estate is kept. */
bool fd_store_is_filled(const struct fd_store *store);

/*
 * Which names are kept: from image to image, and from fd_store_take() to whoever goes on with the
 * estate. 0 or a negative errno.
 */
int fd_store_bequeath(const struct fd_store *store, struct estate *estate);
int fd_store_inherit(struct fd_store *store, const struct estate *estate);

/* Frees the memory; what is kept, is kept. */
void fd_store_clear(struct fd_store *store);

/*
 * What the manager has given us: an estate that was kept, sockets, or both; NULL: nothing. 0 or a
 * negative errno. Descriptors that are neither are closed.
 */
int fd_store_take(struct estate **ret_estate);
