/*
 * admission - accepts clients, as long as there is room for all that a flow needs.
 *
 * For every client there is a socket towards a backend before it is accepted, so that nobody is let
 * in whom we cannot serve. When descriptors, memory or max-flows run out, accepting pauses: clients
 * wait in the kernel's accept queue, live flows are not touched, and nothing spins. It goes on when
 * a flow has ended, or after a try every ADMISSION_RETRY_MS.
 *
 * A worker's, for TCP. It knows nothing of flows: whoever takes clients says how many there is room
 * for.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "broker.h"
#include "config.h"
#include "log.h"
#include "loop.h"
#include "measures.h"
#include "stats.h"

#define ADMISSION_RETRY_MS 100U

struct admission;

struct admission_listener {
	struct loop_source source;
	struct admission *admission;
	const struct config_listener *config;
	const struct config_bind *bind;
	bool contested;	  /* see bind_is_contested() */
	bool transparent; /* flows take sockets of the broker's stock */
	bool starved;	  /* not watched, as the stock is empty */
	int fd;
	unsigned batch; /* clients to accept per wake-up: grows while it is used up */
};

/*
 * Takes over both descriptors, whatever comes of it: client_fd nonblocking, backend_fd an
 * unconnected IPv4 socket, IP_TRANSPARENT if the listener is. client: as accept(2) has it, see
 * admission_ends(). 0; or -ENOMEM, and accepting pauses.
 */
typedef int admission_take(void *userdata, const struct admission_listener *listener, int client_fd,
	const struct sockaddr_any *client, int backend_fd);

struct admission {
	struct loop *loop;
	struct broker_stock *stock; /* may be empty; somebody else fills it */
	struct stats *stats;
	const struct measures_writer *measures; /* NULL, or set after admission_init() */
	admission_take *take;
	void *userdata;
	struct admission_listener *listeners;
	size_t n_listeners;
	size_t room;	    /* clients that may still be accepted */
	int spare_fd;	    /* the next client's backend socket, or -1 */
	bool paused;	    /* no listening socket is watched */
	bool closed;	    /* for good: they are not even open */
	struct timer retry; /* set while paused */
	struct log_limit log;
};

/*
 * listeners: fd, config, bind, contested and transparent are filled in; the rest is set here. They,
 * and all else, must outlive it; the fds are admission's from now on. There is no room before the
 * first admission_update(). 0 or a negative errno.
 */
int admission_init(struct admission *admission, struct loop *loop, struct stats *stats,
	struct broker_stock *stock, struct admission_listener *listeners, size_t n,
	admission_take *take, void *userdata);

/*
 * The two ends of an accepted client's connection: client, as accept() has it, loses its v4-mapped
 * form. 0 or a negative errno.
 */
int admission_ends(const struct admission_listener *listener, int client_fd,
	struct sockaddr_any *client, struct sockaddr_any *ret_local);

/* There are sockets in the stock again. */
void admission_restocked(struct admission *admission);

/* Called after each batch of events with the number of clients that there is room for now. */
void admission_update(struct admission *admission, size_t room);

/* Accepts no more, and leaves those who wait to another process that has the sockets. */
void admission_leave(struct admission *admission);

/* Accepts those who wait in the queues, then closes this process's listening sockets for good. */
void admission_close(struct admission *admission);

void admission_destroy(struct admission *admission);
