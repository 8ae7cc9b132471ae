/*
 * worker - a process that serves clients: one event loop, its own flows, no privileges.
 *
 * It is forked by the supervisor and inherits everything that it needs. Over the channel (a
 * SOCK_SEQPACKET socket pair) it gets one-byte messages and says when it is ready. A message of
 * another release that is not known here is passed over, and descriptors beside it are closed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "admission.h"
#include "config.h"
#include "hold_shared.h"
#include "ring.h"
#include "stats.h"
#include "udp_relay.h"

/*
 * What is said over the channel: one byte, so that a message is there whole or not at all. The
 * values are spoken between releases (a predecessor is told by the next image), so none may change
 * its meaning.
 */
enum worker_message {
	WORKER_READY = 'R',   /* to the supervisor: accepting */
	WORKER_SOCKETS = 'S', /* to the supervisor: more sockets, please; back: here they are */
	/* To the worker, with one end of a channel: hand your flows over (handover.h), and end. */
	WORKER_HANDOVER = 'H',
	/*
	 * To the worker, with an empty anonymous file: have a uint64_t in it, in the machine's
	 * order, that says how many flows you have, until you end.
	 */
	WORKER_FLOWS = 'F',
	/* To a successor, with channels' other ends, maybe none: take over what comes. */
	WORKER_INHERIT = 'I',
	WORKER_KILL = 'K',   /* to the worker: end those flows that are doomed (who.h) */
	WORKER_DRAINS = 'X', /* to the worker: backends or listeners are drained, or no more */
	WORKER_DRAIN = 'D', /* to the worker: accept no more, end when the flows have, or in time */
	WORKER_END = 'E',   /* to the worker: reset all flows and end */
};

/*
 * Made by the supervisor's side of the fork; it and all that it names must outlive worker_run().
 * What is shared memory here has a row, a block or a ring of this worker's own, by index, of which
 * it is the only writer while it lives.
 */
struct worker_setup {
	const struct config *config;
	uint16_t index; /* below config's number of workers; kept by whoever replaces this one */
	int channel_fd; /* to the supervisor; closed by the end of the process only */
	struct stats *stats;
	struct measures *measures;
	struct ring *ring; /* log lines, and access records if log_access */
	int ring_wake_fd;  /* eventfd of the logger */
	bool log_access;
	/* Fd, config and addr filled in. None in a trial, which serves nobody. */
	struct admission_listener *listeners;
	size_t n_listeners;
	struct udp_listener *udp; /* the same of UDP listeners */
	size_t n_udp;
	struct udp_shared udp_shared; /* for these */
	struct pool_state *pools;
	const struct drain_state *drains;
	bool succeeds;		      /* others have the datagrams until WORKER_INHERIT says more */
	struct client_limits *limits; /* NULL: there are none */
	struct who *who;	      /* NULL: it is switched off */
	const struct client_lists *lists;
	int hold_fd; /* to the holder; -1: there is none, and nothing is shared with it */
	struct hold_shared *hold_shared;
};

/*
 * In the worker's process, once. Gives up rights for good, serves until told to end, and comes back
 * with the process's exit status: EXIT_FAILURE if it could not start or its event loop failed, for
 * which the log has the reason. If the channel closes, it drains: who serves still serves to the
 * end of its flows when the supervisor has been killed.
 */
int worker_run(const struct worker_setup *setup);
