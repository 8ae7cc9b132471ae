/*
 * fd_given - descriptors that the service manager gives us at the start (sd_listen_fds(3)): an
 * estate that fd_store.h had kept, sockets that a socket unit has opened, or both.
 */
#pragma once

#include <stddef.h>

#include "estate.h"

/*
 * NULL: nothing was given. 0 or a negative errno. Sockets that no estate names become part of it
 * under the names that socket_set.h would have given them; all other descriptors are closed.
 */
int fd_given_take(struct estate **ret_estate);
/* The same of these n descriptors, which are the estate's from now on. NULL without memory. */
struct estate *fd_given_sort(char *const *names, const int *fds, size_t n);
