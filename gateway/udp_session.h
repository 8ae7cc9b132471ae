/*
 * udp_session - the UDP flows of a worker: how they begin, how long they live, how they end.
 *
 * A session is a client's address and port, the address and port that it sends to, and one socket
 * of its own that is connected to its server. What is counted here are datagrams that would have
 * begun a session and could not.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "flow.h"
#include "log.h"
#include "loop.h"
#include "port_pool.h"
#include "session_table.h"
#include "target.h"
#include "udp_batch.h"
#include "udp_ports.h"

/*
 * A bound socket on which clients' datagrams arrive. Every session is in one of its two lists, so
 * the one to make room is found at once.
 */
struct udp_listener {
	struct loop_source source;
	void *owner; /* the udp_relay */
	const struct config_listener *config;
	const struct config_bind *bind;
	size_t index;	/* of config, in the configuration */
	bool contested; /* another listener has a part of the bind: bind_is_meant() decides */
	int fd;		/* non-blocking; shared with the workers of before and after */
	/* What the kernel had dropped on it, for want of room, when last seen (SO_MEMINFO). */
	uint32_t drops;
	struct list_node fresh;	    /* sessions that are not confirmed, the oldest first */
	struct list_node confirmed; /* the others, the longest idle first */
};

/* A worker's; one thread. */
struct udp_sessions {
	struct loop *loop;
	const struct config *config;
	struct stats *stats;
	struct target_set *targets;
	struct flow_table *flows;
	const struct udp_ports *shared_ports;
	struct session_table table;
	struct port_pool *ports; /* one per source address */
	size_t n_ports;
	size_t worker;		/* whose ports these are, of shared_ports */
	size_t descriptors;	/* that flows may hold: connections two, sessions one */
	struct own_address own; /* of IPv6; closed: this kernel has none */
	bool draining;		/* deadlines are short now */
	void (*on_event)(struct loop_source *source, uint32_t events); /* of a session's socket */
	struct log_limit log;
};

/*
 * What is above "table", worker, descriptors and on_event are filled in, and must outlive the
 * sessions. 0; -ENOMEM, or what getrandom(2) says, and then nothing is left of it.
 */
int udp_sessions_init(struct udp_sessions *sessions);
/* Ends all, as ACCESS_LOG_DRAINED. Takes a zeroed one. */
void udp_sessions_destroy(struct udp_sessions *sessions);

/* No new ones; those there are end when they have been silent for a moment. */
void udp_sessions_drain(struct udp_sessions *sessions);

/*
 * The session that the message belongs to, by its sender and where it was sent to; NULL: there is
 * none, or the message is of such as never have one (a multicast address, port 0).
 */
struct flow *udp_session_find(const struct udp_sessions *sessions,
	const struct udp_listener *listener, const struct udp_message *message);

/*
 * A new one for the message, which has none: its server is chosen, its header made, its socket
 * connected and watched; nothing is sent. It may end another session to make room. NULL: there is
 * none, its datagrams are counted as dropped by their reason, and the log says it now and then.
 * ret_refused, always set: nobody is there to serve it, which the client may be told.
 */
struct flow *udp_session_begin(struct udp_sessions *sessions, struct udp_listener *listener,
	const struct udp_message *message, bool *ret_refused);

/*
 * Notes life: datagrams from the client were passed on; or from the server. They put off its end,
 * and by them it becomes confirmed.
 */
void udp_session_sent(struct udp_sessions *sessions, struct flow *flow);
void udp_session_answered(struct udp_sessions *sessions, struct flow *flow);

/* Ends it, as its server is not there (ICMP said so); that counts against the backend's circuit. */
void udp_session_refused(struct udp_sessions *sessions, struct flow *flow);

/*
 * It lives on in another process, which was sent a copy of its socket: nothing is recorded, its
 * port stays in use, and the flow is FLOW_DEAD here.
 */
void udp_session_release(struct udp_sessions *sessions, struct flow *flow);
/* As flow->session.port_pool: its port is none of ours, and goes back to nobody at its end. */
#define UDP_SESSION_NO_POOL UINT16_MAX
/*
 * One that has come from another process: made by flow_new() for its listener, with its socket,
 * ends, backend, header and times. 0; or a negative errno, and then it has ended.
 */
int udp_session_resume(
	struct udp_sessions *sessions, struct udp_listener *listener, struct flow *flow);
/* One that cannot go on before it was resumed: its socket is closed, and it is recorded. */
void udp_session_abort(struct udp_sessions *sessions, struct flow *flow);

/*
 * Ends one that was begun or resumed: counted, recorded, its socket closed; its port rests from now
 * on. It is FLOW_DEAD until flow_table_reap(), as an event of this batch may name it.
 */
void udp_session_end(struct udp_sessions *sessions, struct flow *flow, enum access_log_end end,
	enum access_log_by by);
