/*
 * flow - one client's connection (TCP) or session (UDP) through the gateway, and the table of all
 * of a worker's.
 *
 * A connection has two sides, each with its socket and the stream of bytes that is read from it; a
 * session has one socket, towards its server. This module owns flows, their memory and what is left
 * of them when they end: counters and an access record. What happens in between is the business of
 * the data path (tcp_relay.h, udp_relay.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "access_log.h"
#include "client_limits.h"
#include "client_lists.h"
#include "config.h"
#include "drain_state.h"
#include "list.h"
#include "loop.h"
#include "measures.h"
#include "pool.h"
#include "ring.h"
#include "sockaddr.h"
#include "stats.h"
#include "stream.h"
#include "unique_id.h"
#include "who.h"

enum flow_side_id { FLOW_CLIENT, FLOW_BACKEND, FLOW_SIDES };

enum flow_state {
	FLOW_HEADER,	 /* a proxy in front of us has not said who the client is */
	FLOW_CONNECTING, /* the backend has not answered */
	FLOW_WAITING,	 /* it has, and the client, whose SYN was held, is not there yet */
	FLOW_RELAYING,
	FLOW_RESETTING, /* one side is gone; what it sent before still goes out */
	FLOW_DEAD,	/* ended; memory is freed by flow_table_reap() */
};

struct flow_side {
	struct loop_source source;
	struct stream_end end;
	struct stream stream; /* what is read from this side */
	uint64_t acked;	      /* bytes that the peer had acknowledged when last looked at */
	bool fin_sent;	      /* to this side: the other one's end of stream was passed on */
	bool stalled;	      /* the peer lives but keeps its window shut */
};

struct udp_listener;

/* What a UDP flow has; udp_session.c says what it means. */
struct flow_session {
	struct loop_source source;
	struct list_node chain;	  /* in a slot of the session table */
	struct list_node by_idle; /* the longest idle first */
	uint64_t bytes_in, bytes_out;
	uint64_t datagrams_in, datagrams_out;
	struct udp_listener *at; /* where the client's datagrams arrive */
	uint64_t moved_ms;	 /* when it was put at the end of by_idle */
	int fd;			 /* connected to the server; -1: none */
	uint16_t port_pool;	 /* index; where port came from */
	uint16_t last_len;	 /* payload of the latest datagram to the server */
	uint32_t flow_label;	 /* as the client's latest datagram had it, like the next two */
	uint8_t traffic_class;
	uint8_t hop_limit;
	uint8_t header_len;
	uint8_t ask; /* answers to read at once, less one, below UDP_ANSWERS_AT_ONCE: grows while as
			many come */
	bool answered;
	bool confirmed;	 /* the client went on after the server had answered */
	uint8_t *header; /* NULL: none; freed with the flow */
};

/* What a proxy in front of us has said of its client. */
struct flow_told {
	struct sockaddr_any peer;     /* the proxy */
	struct sockaddr_any at;	      /* what it connected to */
	struct sockaddr_any src, dst; /* as its header has them; family 0: it names nobody */
	uint8_t *tlvs;		      /* of its header, to be passed on: of that size in all */
	uint16_t tlvs_len;
	uint8_t unique_id_len; /* 0: none that is passed on */
	uint8_t unique_id[];
};

/* Of a flow that was begun before its client was let in; tcp_hold.c says what it means. */
struct flow_hold {
	uint32_t id, epoch; /* the holder's question */
	uint32_t
		counted; /* one more than the backend, of all pools', that it counts for; 0: none */
	uint8_t answer;	 /* enum hold_answer: what the holder is told at the end */
	bool waits;	 /* for its client; "turn" is in a slot of the table of those */
};

struct flow {
	union {
		struct flow_side side[FLOW_SIDES]; /* TCP */
		struct flow_session session;	   /* UDP */
	};
	struct list_node node; /* among the live or the dead */
	struct list_node turn; /* in a queue of the data path, or unlinked */
	struct timer timer;
	void *owner; /* the data path */
	const struct config_listener *listener;
	const struct config_bind *bind; /* by which the client came */
	uint64_t accepted_us;
	uint64_t connected_us; /* 0: not yet */
	uint64_t active_ms;    /* when bytes last moved; before: when a backend was sought */
	uint64_t counted_in;   /* bytes that the counters have, also those of images before */
	uint64_t counted_out;
	uint64_t reset_ms;	     /* FLOW_RESETTING: when to give up */
	uint64_t unique;	     /* of the table's unique ids; 0: none */
	struct flow_told *told;	     /* NULL: the client came by itself; freed with the flow */
	struct sockaddr_any client;  /* its peer, or whom a proxy in front of us has named */
	struct sockaddr_any local;   /* what that one connected to, likewise */
	struct sockaddr_any backend; /* family 0: none was to be had */
	struct sockaddr_any source;  /* family 0: not known yet */
	struct client_place place;   /* within the limits of its listener and client */
	struct pool *pool;	     /* NULL: the client named the server, or none was chosen */
	uint64_t attempt_ms;	     /* FLOW_CONNECTING: when the backend was tried */
	uint16_t tried[CONFIG_ATTEMPTS_MAX]; /* backends of the pool; the last one is the flow's */
	uint8_t n_tried;
	uint32_t who; /* of table->who; 0: no entry */
	struct flow_hold hold;

	uint8_t state;	   /* enum flow_state */
	uint8_t identity;  /* enum identity: what the server is told of this client */
	uint8_t failed;	   /* FLOW_RESETTING: the enum flow_side_id that is gone */
	uint8_t first_fin; /* enum flow_side_id that closed first */
	uint8_t end;	   /* FLOW_RESETTING: enum access_log_end to be */
	bool guarded;	   /* keepalive is on */
};

/*
 * A worker's; one thread. What follows "stats" is filled in by the worker between flow_table_init()
 * and the first flow, and must outlive the table.
 */
struct flow_table {
	struct slab slab;
	size_t n_sessions; /* of the live flows: UDP ones */
	struct list_node live;
	struct list_node dead;
	struct loop *loop;
	struct stats *stats;
	const struct client_lists *lists;
	const struct drain_state *drains; /* NULL: no listener is ever drained */
	struct client_limits *limits;	  /* NULL: there are none, and flows have no places */
	struct ring *ring;		  /* access records go here; NULL: nowhere */
	int ring_wake_fd;		  /* eventfd of its reader */
	uint16_t worker;
	struct unique_id_source ids;
	struct who_writer who;
	struct measures_writer measures;
};

/* limit: flows at a time. Everything else is as if it were not there: no ring, no limits. */
void flow_table_init(
	struct flow_table *table, struct loop *loop, struct stats *stats, size_t limit);
/* When no flow is live, and the dead have been reaped. */
void flow_table_destroy(struct flow_table *table);

/*
 * A live flow of the listener, zeroed but for its descriptors, which are -1; in FLOW_CONNECTING.
 * NULL: at the limit, no memory.
 */
struct flow *flow_new(struct flow_table *table, const struct config_listener *listener);

/*
 * Live flows; and how many descriptors they may hold. Those that have ended count until
 * flow_table_reap(), as their memory is not to be had before; a session then counts as a
 * connection, which is too much and never too little.
 */
size_t flow_table_live(const struct flow_table *table);
size_t flow_table_descriptors(const struct flow_table *table);

static inline bool flow_is_session(const struct flow *flow)
{
	return flow->listener->protocol == IPPROTO_UDP;
}

/*
 * Counts and records the end; the flow is FLOW_DEAD then. The caller has closed the sockets and
 * dropped the streams.
 */
void flow_end(struct flow_table *table, struct flow *flow, enum access_log_end end,
	enum access_log_by by);

/*
 * Adds to the counters what has moved since it was last done. Of a live flow only within the gate
 * of stats.h.
 */
void flow_count(struct flow_table *table, struct flow *flow);

/* As flow_end(), without a count or a record: the client goes on by another way. */
void flow_discard(struct flow_table *table, struct flow *flow);

/* It has set out for its backend from a source that is known: who_find() finds it from now on. */
void flow_set_out(struct flow_table *table, struct flow *flow);
/* The same for one that did so in another process, of a listener of this configuration. */
void flow_keep_out(struct flow_table *table, struct flow *flow);

/*
 * Takes a place for a flow that has had one in another process, whatever the limits say; of its
 * client only if the table of clients has room. listener: the index of its listener.
 */
void flow_keep_place(struct flow_table *table, struct flow *flow, size_t listener);
/*
 * The proxy (family 0: none) and the name (of that length, 0: none) that it had there. 0, -ENOMEM,
 * or -EBADMSG for a name that is too long.
 */
int flow_keep_told(
	struct flow *flow, const struct sockaddr_any *peer, const uint8_t *id, size_t len);

/*
 * The flow goes to the pool's backend now, as which it was counted by pool_take(); what it had
 * before it gives back. pool NULL: it counts as nobody's.
 */
void flow_set_backend(struct flow *flow, struct pool *pool, uint16_t backend);
/*
 * The flow's backend could not be had, or has answered (for the first time: the flow is connected
 * then): counted, also for its circuit, and said when that opens or its failures end. error: an
 * errno.
 */
void flow_backend_failed(struct flow_table *table, const struct flow *flow, int error);
void flow_backend_answered(struct flow_table *table, struct flow *flow);

/*
 * The name that the flow is told and recorded by: an upstream's, or our own. Its length, 0: it has
 * none.
 */
size_t flow_unique_id(const struct flow_table *table, const struct flow *flow,
	uint8_t buf[ACCESS_LOG_UNIQUE_ID_MAX]);

/* The backend that it counts as, of flow->pool, which is not NULL. */
static inline uint16_t flow_backend(const struct flow *flow)
{
	return flow->tried[flow->n_tried - 1];
}

/* Frees the dead. Not from within an event's callback. */
void flow_table_reap(struct flow_table *table);

static inline enum flow_side_id flow_other(enum flow_side_id id)
{
	return id == FLOW_CLIENT ? FLOW_BACKEND : FLOW_CLIENT;
}
