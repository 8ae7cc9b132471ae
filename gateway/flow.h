/*
 * flow - one client's connection through the gateway, and the table of all of a worker's.
 *
 * A flow has two sides, each with its socket and the stream of bytes that is read from it. This
 * module owns flows, their memory and what is left of them when they end: counters and an access
 * record. What happens in between is the data path's business (tcp_relay.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "access_log.h"
#include "config.h"
#include "list.h"
#include "loop.h"
#include "pool.h"
#include "ring.h"
#include "sockaddr.h"
#include "stats.h"
#include "stream.h"

enum flow_side_id { FLOW_CLIENT, FLOW_BACKEND, FLOW_SIDES };

enum flow_state {
	FLOW_CONNECTING, /* the backend has not answered */
	FLOW_RELAYING,
	FLOW_RESETTING, /* one side is gone; what it sent before still goes out */
	FLOW_DEAD,	/* ended; memory is freed by flow_table_reap() */
};

struct flow_side {
	struct loop_source source;
	struct stream_end end;
	struct stream stream; /* what is read from this side */
	uint64_t acked;	      /* bytes that the peer had acknowledged when last looked at */
	bool fin_sent;
	bool stalled; /* the peer lives but keeps its window shut */
};

struct flow {
	struct flow_side side[FLOW_SIDES];
	struct list_node node; /* among the live or the dead */
	struct list_node turn; /* in a queue of the data path, or unlinked */
	struct timer timer;
	void *owner; /* the data path */
	const struct config_listener *listener;
	uint64_t accepted_us;
	uint64_t connected_us; /* 0: not yet */
	uint64_t active_ms;    /* when bytes last moved */
	uint64_t reset_ms;     /* FLOW_RESETTING: when to give up */
	struct sockaddr_any client;
	struct sockaddr_any local;
	struct sockaddr_any backend; /* family 0: none was to be had */
	struct sockaddr_any source;  /* family 0: not known yet */
	uint8_t state;		     /* enum flow_state */
	uint8_t identity;	     /* enum identity: what the server is told of this client */
	uint8_t failed;		     /* FLOW_RESETTING: the enum flow_side_id that is gone */
	uint8_t first_fin;	     /* enum flow_side_id that closed first */
	uint8_t end;		     /* FLOW_RESETTING: enum access_log_end to be */
	bool guarded;		     /* keepalive is on */
};

struct flow_table {
	struct slab slab;
	struct list_node live;
	struct list_node dead;
	struct loop *loop;
	struct stats *stats;
	struct ring *ring; /* access records go here; NULL: nowhere */
	int ring_wake_fd;  /* eventfd of its reader */
	uint16_t worker;
};

/* limit: flows at a time. */
void flow_table_init(
	struct flow_table *table, struct loop *loop, struct stats *stats, size_t limit);
void flow_table_destroy(struct flow_table *table);

/* A zeroed live flow in FLOW_CONNECTING with both descriptors -1; NULL: at the limit, no memory. */
struct flow *flow_new(struct flow_table *table);

/*
 * Counts and records the end; the flow is FLOW_DEAD then. The caller has closed the sockets and
 * dropped the streams.
 */
void flow_end(struct flow_table *table, struct flow *flow, enum access_log_end end,
	enum access_log_by by);

/* Frees the dead. Not from within an event's callback. */
void flow_table_reap(struct flow_table *table);

static inline enum flow_side_id flow_other(enum flow_side_id id)
{
	return id == FLOW_CLIENT ? FLOW_BACKEND : FLOW_CLIENT;
}
