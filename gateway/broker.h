/*
 * broker - sockets that only a privileged process can make, handed to workers that have no rights.
 *
 * A worker whose listeners are transparent keeps a stock of IPv4 sockets that may be bound to any
 * address (IP_TRANSPARENT). It asks for more over its channel before the stock is empty; the
 * supervisor makes a batch and passes it with SCM_RIGHTS. The supervisor makes this one kind of
 * socket, and only if the configuration has use for it.
 *
 * Why a stock and not a question for each connection: the answer would be a round trip through two
 * processes in front of each connect(). Why the supervisor does not bind them as well: then it
 * would act on addresses that a worker, which talks to strangers, names.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define BROKER_BATCH 32U
/* The most that a stock holds: a batch may arrive while the one before is not used up. */
#define BROKER_STOCK_MAX (2 * BROKER_BATCH)

/* ---- in the supervisor ---- */

/* Whether we may make such sockets: 0 or -EPERM, or another negative errno. */
int broker_probe(void);

/*
 * Sends the one-byte message with up to BROKER_BATCH sockets; fewer, even none, if no more are to
 * be had. 0 or a negative errno.
 */
int broker_send(int channel_fd, char message);

/* ---- in a worker ---- */

/* All zero at first. Used from the end, so that what is left over stays in front. */
struct broker_stock {
	int fds[BROKER_STOCK_MAX]; /* n of them: TCP, IPv4, nonblocking, IP_TRANSPARENT, not bound
				    */
	size_t n;
	bool asked; /* a batch is on its way; set and cleared by the worker */
};

/* A batch has come; what is more than it holds is closed. */
void broker_stock_add(struct broker_stock *stock, const int *fds, size_t n);

/* Whether it is time to ask for more. */
bool broker_is_low(const struct broker_stock *stock);

/* A socket that the caller owns from now on; -1: none is left. */
int broker_take(struct broker_stock *stock);

/* Closes what is left. */
void broker_stock_clear(struct broker_stock *stock);
