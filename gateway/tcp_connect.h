/*
 * tcp_connect - a flow's way to its backend: the socket, the source address, the deadlines.
 *
 * Which backend that is, and what becomes of the flow, is the business of tcp_relay.h. Nothing here
 * waits: connect(2) is begun, and the socket becomes writable, or has an error, when it is over.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "flow.h"
#include "loop.h"

/*
 * Sets out for flow->backend, from one source address of the pool after the other until one has a
 * free port, and watches the socket for events. It takes the descriptor that the flow has for its
 * first attempt, and makes a new one for each later one (n_tried says which it is). 0, and
 * flow->source is known; -EADDRNOTAVAIL: no source address has a free port towards that backend;
 * -ECONNREFUSED also for a port of this machine that met itself; or what socket(2), bind(2) and
 * connect(2) say. Whatever it is, the flow has a descriptor, which may be -1, to be closed by its
 * end.
 */
int tcp_connect_start(struct loop *loop, struct flow *flow, uint32_t events);

/* In milliseconds of the loop's clock: for all attempts, and for the one that runs. */
uint64_t tcp_connect_total_deadline(const struct flow *flow);
uint64_t tcp_connect_attempt_deadline(const struct flow *flow);

/* Errors that another backend may not have. What is wrong with us is wrong there, too. */
bool tcp_connect_worth_another(int error);

/* The socket's pending error, which this clears; 0 if none. */
int tcp_connect_take_error(int fd);
