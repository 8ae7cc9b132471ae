/*
 * tcp_relay - the data path in user space: connects a client to a backend, tells the backend who
 * the client is, and passes on bytes, ends of stream and resets until both are done.
 *
 * The backend's first bytes are the header, complete, in one send. A connection whose identity
 * cannot be delivered is reset, never passed on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "admission.h"
#include "config.h"
#include "flow.h"
#include "loop.h"
#include "own_address.h"
#include "pool.h"
#include "stats.h"
#include "stream.h"

struct tcp_relay {
	struct loop *loop;
	const struct config *config;
	struct stats *stats;
	struct flow_table flows;
	struct stream_pool streams;
	struct pool *pools; /* one per config->pools */
	size_t n_pools;
	struct list_node turns; /* flows that have more to do at once */
	struct log_limit log;
	uint64_t misses_said; /* reads without a buffer and bulk without a pipe, as last logged */
	struct log_limit misses_log;
	struct log_limit refused_log;
	struct own_address own; /* open if a listener has embedded destinations */
};

struct tcp_relay_limits {
	size_t flows;
	size_t buffers;
	size_t pipes;
};

/* 0 or -ENOMEM. config and stats must outlive the relay. */
int tcp_relay_init(struct tcp_relay *relay, struct loop *loop, const struct config *config,
	struct stats *stats, const struct tcp_relay_limits *limits);

/* Resets what still lives. */
void tcp_relay_destroy(struct tcp_relay *relay);

/* A client that was accepted (an admission_take). */
int tcp_relay_take(void *relay, const struct admission_listener *listener, int client_fd,
	const struct sockaddr_any *client, int backend_fd);

/* Called between batches of events: goes on with flows that had to let others come first. */
void tcp_relay_turns(struct tcp_relay *relay);

/* Whether tcp_relay_turns() has work, so that the loop must not wait. */
bool tcp_relay_busy(const struct tcp_relay *relay);

size_t tcp_relay_live(const struct tcp_relay *relay);

/* Ends all flows, by reset. */
void tcp_relay_end_all(struct tcp_relay *relay);
