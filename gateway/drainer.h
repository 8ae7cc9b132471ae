/*
 * drainer - in a worker: ends the flows of a backend or listener that is drained by order, when its
 * deadline has come.
 *
 * Those that come later all the same, from a worker of an earlier image or as they were begun just
 * before, are ended within a second.
 *
 * It reads what the supervisor has written into shared memory, and is told over the worker's
 * channel when that has changed; it decides nothing itself. New clients are not its concern: those
 * are kept away by pool (backends), guard and tcp_admit (listeners).
 */
#pragma once

#include "config.h"
#include "drain_state.h"
#include "flow.h"
#include "loop.h"
#include "pool_state.h"
#include "tcp_relay.h"
#include "udp_relay.h"

struct drainer {
	struct loop *loop;
	const struct config *config;
	const struct pool_state *pools;
	const struct drain_state *drains;
	struct flow_table *flows;
	struct tcp_relay *tcp;
	struct udp_relay *udp; /* may be unused: without UDP listeners there are no sessions */
	struct timer timer;    /* the next deadline; while one has passed, every second */
};

/* What is above timer is filled in, and outlives it. Does what is due already. */
void drainer_init(struct drainer *drainer);

/* There are other drains or deadlines: does what is due, and sees to the rest. */
void drainer_look(struct drainer *drainer);
