/*
 * tcp_relay - the data path in user space: connects a client to a backend, tells the backend who
 * the client is, and passes on bytes, ends of stream and resets until both are done.
 *
 * The backend's first bytes are the header, complete, in one send. A connection whose identity
 * cannot be delivered is reset, never passed on. Where a proxy in front of us is to say who the
 * client is, that comes first, and nothing else happens before.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "admission.h"
#include "config.h"
#include "flow.h"
#include "loop.h"
#include "stats.h"
#include "stream.h"
#include "target.h"
#include "tcp_end.h"
#include "tcp_hold.h"
#include "tcp_pass.h"

/*
 * A worker's; one thread. It must not move: flows and callbacks point to it. Times are milliseconds
 * of the loop's clock.
 */
struct tcp_relay {
	struct loop *loop;
	const struct config *config;
	struct stats *stats;
	struct target_set *targets;
	struct flow_table *flows;
	struct stream_pool streams;
	struct tcp_hold hold;
	size_t hold_room; /* flows that may still be begun for clients that are not there */
	bool hold_ended;  /* by tcp_relay_stop_holding(): hold_room stays 0 */
	struct tcp_end ends;
	struct tcp_pass pass;
	struct log_limit left_out_log;
};

/* Of what all flows of the worker share; beyond them flows go on, more slowly. */
struct tcp_relay_limits {
	size_t buffers; /* STREAM_BUFFER_SIZE each */
	size_t pipes;	/* two descriptors each */
};

/*
 * What is named here must outlive the relay. 0; -ENOMEM, or what watching hold's link says; then
 * nothing is left of it.
 */
int tcp_relay_init(struct tcp_relay *relay, struct loop *loop, const struct config *config,
	struct target_set *targets, struct flow_table *flows, const struct tcp_relay_limits *limits,
	const struct tcp_hold_setup *hold);

/* Resets what still lives. */
void tcp_relay_destroy(struct tcp_relay *relay);

/*
 * A client that was accepted (an admission_take), and a socket for its backend. Both are the
 * relay's from now on, whatever comes of it. 0: a flow has begun, or has been turned away and
 * recorded; -ENOMEM: there was no memory for one, and both are closed.
 */
int tcp_relay_take(void *relay, const struct admission_listener *listener, int client_fd,
	const struct sockaddr_any *client, int backend_fd);

/*
 * A relaying flow leaves for another process, which has been sent copies of its sockets and all
 * that is known of it: nothing is said on the wire, counted or recorded. The flow is FLOW_DEAD
 * here.
 */
void tcp_relay_release(struct tcp_relay *relay, struct flow *flow);
/*
 * A flow that has come from another process: made by flow_new() for its listener, with its sockets,
 * streams, ends and times; its owner, events and timer are set here. 0; or a negative errno, and
 * then it has been reset.
 */
int tcp_relay_resume(struct tcp_relay *relay, struct flow *flow);
/* One that cannot go on before it was resumed: reset. */
void tcp_relay_abort(struct tcp_relay *relay, struct flow *flow);

/*
 * Called between batches of events: goes on with flows that had to let others come first, and sends
 * what there is to say to the holder.
 */
void tcp_relay_turns(struct tcp_relay *relay);

/* Whether tcp_relay_turns() has work, so that the loop must not wait. */
bool tcp_relay_busy(const struct tcp_relay *relay);

/* Called between batches of events: how many more connections there may be. */
void tcp_relay_set_room(struct tcp_relay *relay, size_t room);

/* From now on nobody is waited for: who is on the way is let in as any other. */
void tcp_relay_stop_holding(struct tcp_relay *relay);

/* Ends all TCP flows, by reset, as ACCESS_LOG_DRAINED. */
void tcp_relay_end_all(struct tcp_relay *relay);
