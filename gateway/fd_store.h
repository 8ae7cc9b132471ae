/*
 * fd_store - descriptors that the service manager keeps for us (sd_notify(3), FDSTORE=1).
 *
 * What is kept is an estate (estate.h): should the supervisor be killed, the one that the manager
 * starts in its place gets it (fd_given.h), sockets, workers' channels and all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "estate.h"
#include "fd_identity.h"

/* Under which names an estate may be; while one replaces the other there are two. */
#define FD_STORE_ESTATE	    "estate"
#define FD_STORE_ESTATE_NEW "estate-new"
/* A number that each estate that is kept has, and the one after it a higher one. */
#define FD_STORE_GENERATION "store generation"
/* Texts of an estate that was taken: names in the store, and as many identities, "-": unknown. */
#define FD_STORE_GIVEN	     "given"
#define FD_STORE_GIVEN_WHICH "given which"

bool fd_store_is_estate(const char *name);
/* Of a descriptor's name, as an estate in the store has it; -1: another name. */
int fd_store_number(const char *name);

struct fd_store_one {
	char *name;
	int number; /* fd_store_number() */
	bool known; /* what it is */
	bool wanted;
	struct fd_identity identity;
};

struct fd_store {
	struct fd_store_one *all; /* what is kept; of two estates the newer one comes last */
	size_t n;
	int64_t generation; /* of the next estate */
};

/* Whether there is a manager that could keep anything. */
bool fd_store_is_there(void);

/*
 * Has this estate kept in the place of the last one. It can only be freed then, as it has the
 * store's numbers. 0 or a negative errno; without a manager nothing is done.
 */
int fd_store_keep(struct fd_store *store, struct estate *estate);
/*
 * Nothing is kept any more. Takes a zeroed one. 0 or a negative errno: the manager does not hear,
 * and what it may still keep can be forgotten later.
 */
int fd_store_forget(struct fd_store *store);
/* Whether an estate is kept. */
bool fd_store_is_filled(const struct fd_store *store);

/*
 * What is kept: from image to image, and from fd_given_take() to whoever goes on with the estate,
 * before anything is taken out of it. 0 or a negative errno.
 */
int fd_store_bequeath(const struct fd_store *store, struct estate *estate);
int fd_store_inherit(struct fd_store *store, const struct estate *estate);

/* Frees the memory; what is kept, is kept. */
void fd_store_clear(struct fd_store *store);
