/*
 * socket_set - all sockets on which clients arrive: one per bind address and worker.
 *
 * They are opened once and stay open as long as the gateway accepts, whatever becomes of the
 * workers.
 */
#pragma once

#include <stddef.h>

#include "admission.h"
#include "config.h"
#include "udp_session.h"

struct socket_set {
	size_t n_workers;
	size_t n_binds;			    /* of all TCP listeners */
	struct admission_listener *sockets; /* n_workers rows of n_binds */
	size_t n_udp;			    /* binds of all UDP listeners */
	struct udp_listener *udp;	    /* n_workers rows of n_udp */
};

#define SOCKET_SET_ERROR_MAX 256

/* 0; or a negative errno, and in error what could not be opened and what to do about it. */
int socket_set_open(struct socket_set *set, const struct config *config, size_t n_workers,
	char error[SOCKET_SET_ERROR_MAX]);

/* The n_binds sockets of one worker, and its n_udp ones. */
struct admission_listener *socket_set_row(const struct socket_set *set, size_t worker);
struct udp_listener *socket_set_udp_row(const struct socket_set *set, size_t worker);

/* Closes all but one worker's; keep == n_workers: all of them. */
void socket_set_close_others(struct socket_set *set, size_t keep);

/* Closes what is open and frees the memory. */
void socket_set_destroy(struct socket_set *set);
