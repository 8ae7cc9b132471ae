/*
 * socket_set - all sockets on which clients arrive: for each bind address a row of them
 * (SO_REUSEPORT), which are shared out among the workers.
 *
 * They are opened once and stay open as long as the gateway accepts, whatever becomes of the
 * workers, and of the image that opened them: a later one gets them with its estate. Of an address
 * that is not named any more, but is among those of a bind that is, they are kept: clients are
 * about to be accepted there.
 *
 * Opened, bequeathed and destroyed by the supervisor; a worker gets copies with the fork, asks for
 * its own and closes the others'.
 */
#pragma once

#include <stddef.h>

#include "admission.h"
#include "config.h"
#include "estate.h"
#include "socket_name.h"
#include "udp_session.h"

struct socket_set_one {
	size_t listener;		/* index, in the configuration */
	const struct config_bind *bind; /* the configuration's */
	struct socket_name name; /* as what it was bound: the same, or narrower if it was kept */
	bool kept;		 /* bind does not name its address, but has it */
	size_t owner;		 /* index of a worker */
	size_t place;		 /* in the order of the configuration */
	int fd;			 /* -1: closed */
};

/* Where a worker's sockets begin. */
struct socket_set_first {
	size_t tcp, udp;
};

struct socket_set {
	size_t n_workers;
	struct socket_set_one *all;
	size_t n_all;
	struct admission_listener *sockets; /* of TCP: those of a worker one after another */
	size_t n_sockets;
	struct udp_listener *udp; /* the same */
	size_t n_udp;
	struct socket_set_first *first; /* of each worker, and the end: n_workers + 1 */
	bool inherited;			/* while it is opened: the row before was */
};

#define SOCKET_SET_ERROR_MAX 256

/*
 * estate: what was left is taken out of it; NULL: nothing was. config must outlive the set. 0; or a
 * negative errno, and in error what could not be opened and what to do about it. set is closed and
 * zeroed then, with what was taken out of the estate: the way back has copies of its own.
 */
int socket_set_open(struct socket_set *set, const struct config *config, size_t n_workers,
	struct estate *estate, char error[SOCKET_SET_ERROR_MAX]);
/*
 * Whether that would do, without opening anything for long; addresses that the network is yet to
 * bring may be missing. Of a trial: estate has names, whose descriptors are another process's, and
 * nothing is taken out of it. 0; or a negative errno and error, as above.
 */
int socket_set_try(
	const struct config *config, struct estate *estate, char error[SOCKET_SET_ERROR_MAX]);

/*
 * Into the estate for the next image: each socket by its name, and whose it is. They stay open, and
 * the set's. 0, or a negative errno.
 */
int socket_set_bequeath(const struct socket_set *set, struct estate *estate);

/* One worker's sockets, ret_n of them, which may be 0; good as long as the set. */
struct admission_listener *socket_set_tcp(
	const struct socket_set *set, size_t worker, size_t *ret_n);
struct udp_listener *socket_set_udp(const struct socket_set *set, size_t worker, size_t *ret_n);

/*
 * Closes all but one worker's; keep == n_workers: all of them. A child closes its copies, and the
 * sockets live on; the supervisor does it when it drains, and they end with the workers'. Those of
 * the arrays above are not looked at any more. Takes a zeroed set.
 */
void socket_set_close_others(struct socket_set *set, size_t keep);

/* Closes what is open and frees the memory. */
void socket_set_destroy(struct socket_set *set);
