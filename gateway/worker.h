/*
 * worker - a process that serves clients: one event loop, its own flows, no privileges.
 *
 * It is forked by the supervisor and inherits everything that it needs. Over the channel (a
 * SOCK_SEQPACKET socket pair) it gets one-byte messages and says when it is ready.
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

enum worker_message {
	WORKER_READY = 'R',   /* to the supervisor: accepting */
	WORKER_SOCKETS = 'S', /* to the supervisor: more sockets, please; back: here they are */
	/* To the worker, with one end of a channel: hand your flows over (handover.h), and end. */
	WORKER_HANDOVER = 'H',
	/* To a successor, with channels' other ends, maybe none: take over what comes. */
	WORKER_INHERIT = 'I',
	WORKER_KILL = 'K',   /* to the worker: end those flows that are doomed (who.h) */
	WORKER_DRAINS = 'X', /* to the worker: backends or listeners are drained, or no more */
	WORKER_DRAIN = 'D', /* to the worker: accept no more, end when the flows have, or in time */
	WORKER_END = 'E',   /* to the worker: reset all flows and end */
};

struct worker_setup {
	const struct config *config;
	uint16_t index;
	int channel_fd;
	struct stats *stats;
	struct measures *measures;
	struct ring *ring; /* log lines, and access records if log_access */
	int ring_wake_fd;
	bool log_access;
	struct admission_listener *listeners; /* fd, config and addr filled in */
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

/* Serves until told to end; the process's exit status. If the channel closes, it drains. */
int worker_run(const struct worker_setup *setup);
