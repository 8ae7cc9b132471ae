/*
 * tcp_pass - a TCP flow whose backend has answered: passes on bytes, ends of stream and resets
 * between its two sides until both are done, and watches for those that are silent for too long.
 *
 * It deals with FLOW_RELAYING and FLOW_RESETTING. How a flow gets there is the business of
 * tcp_relay.h. Any of these calls may end the flow: it is FLOW_DEAD then, and stays in memory until
 * flow_table_reap().
 */
#pragma once

#include <stdbool.h>

#include "flow.h"
#include "log.h"
#include "loop.h"
#include "stream.h"
#include "tcp_end.h"

/* A worker's; one thread. All that is pointed to outlives it. */
struct tcp_pass {
	struct loop *loop;
	struct stats *stats;
	struct stream_pool *streams;
	struct tcp_end *ends;
	struct list_node turns; /* flows, by their "turn", that have more to do at once */
	uint64_t misses_said;	/* reads without a buffer and bulk without a pipe, as last logged */
	struct log_limit misses_log;
};

void tcp_pass_init(struct tcp_pass *pass, struct loop *loop, struct stats *stats,
	struct stream_pool *streams, struct tcp_end *ends);

/* The flow is FLOW_RELAYING from now on; its active_ms is set. Nothing is passed on yet. */
void tcp_pass_begin(struct tcp_pass *pass, struct flow *flow);

/* Does what can be done with what its ends are ready for. Nothing in any other state. */
void tcp_pass_serve(struct tcp_pass *pass, struct flow *flow);

/*
 * A side of a flow that is FLOW_RELAYING is gone. What it had sent still goes out; what was meant
 * for it is lost. end: what will be recorded.
 */
void tcp_pass_side_failed(
	struct tcp_pass *pass, struct flow *flow, enum flow_side_id id, enum access_log_end end);

/* The flow's timer, in either state. */
void tcp_pass_due(struct tcp_pass *pass, struct flow *flow);

/* Between batches of events: goes on with those that had to let others come first. */
void tcp_pass_turns(struct tcp_pass *pass);

/* Whether tcp_pass_turns() has work, so that the loop must not wait. */
bool tcp_pass_busy(const struct tcp_pass *pass);
