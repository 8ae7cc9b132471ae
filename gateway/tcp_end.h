/*
 * tcp_end - how a TCP flow ends: its sockets are closed or reset, it is counted and recorded, and
 * the log says, now and then, whom the gateway has turned away.
 *
 * When it is time, is the business of tcp_relay.h.
 */
#pragma once

#include "flow.h"
#include "log.h"
#include "loop.h"
#include "stream.h"
#include "tcp_hold.h"

/* A worker's; all that is pointed to outlives it. After each call the flow is FLOW_DEAD. */
struct tcp_end {
	struct loop *loop;
	struct flow_table *flows;
	struct stream_pool *streams;
	struct tcp_hold *hold;
	struct log_limit log;	      /* no backend */
	struct log_limit refused_log; /* by us */
	struct log_limit header_log;  /* no good header from a proxy */
};

/* Both sides, by an orderly close if it is ACCESS_LOG_CLOSED, or else by a reset. */
void tcp_end_flow(
	struct tcp_end *ends, struct flow *flow, enum access_log_end end, enum access_log_by by);

/* No backend could be reached; error: an errno. The client gets a reset, the log the reason. */
void tcp_end_unconnected(struct tcp_end *ends, struct flow *flow, int error);

/*
 * The configuration has no server, no identity or no place for this client. reason: for the log,
 * with the option that says so.
 */
void tcp_end_refused(
	struct tcp_end *ends, struct flow *flow, enum access_log_end end, const char *reason);

/* A proxy in front of us did not say who its client is, so nobody knows. */
void tcp_end_untold(
	struct tcp_end *ends, struct flow *flow, enum access_log_end end, const char *reason);

/* An operator wants it so. */
void tcp_end_killed(struct tcp_end *ends, struct flow *flow);

/*
 * A client that is not there yet is let in, and served when it comes as any other. Nothing is
 * counted or recorded, as nothing has happened yet.
 */
void tcp_end_waiting(struct tcp_end *ends, struct flow *flow);
