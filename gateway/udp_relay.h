/*
 * udp_relay - the data path for datagrams in user space: every datagram of a client goes to a
 * server with the header in front of it, every answer goes back bare, from just the address and
 * port that the client sent to.
 *
 * A datagram is passed on whole or not at all, never under another's name. What is not passed on is
 * counted by its reason (stats.h, STATS_DROPPED_*). DSCP and ECN are carried both ways.
 */
#pragma once

#include <stddef.h>

#include "icmp_socket.h"
#include "log.h"
#include "udp_batch.h"
#include "udp_session.h"
#include "udp_shared.h"

struct udp_newcomer;

/*
 * A worker's; one thread. Both batches are made once, so that nothing allocates per datagram;
 * theory at the top of udp_relay.c.
 */
struct udp_relay {
	struct udp_sessions sessions;
	struct icmp_sender icmp;
	struct udp_batch in, back; /* of clients, and of servers */
	struct udp_newcomer
		*newcomers; /* a ring of messages that wait for their session to begin */
	size_t newcomers_head, n_newcomers;
	size_t back_used; /* messages of back that wait in answers; the next go behind them */
	struct udp_answers answers;
	struct udp_listener *listeners;
	size_t n_listeners;
	struct timer drops_timer;
	struct log_limit drops_log, failed_log;
};

/*
 * setup: what udp_sessions_init() wants. listeners: config, bind, index, contested and fd are
 * filled in, the rest is set here; udp_relay_destroy() closes them. 0 or a negative errno. What is
 * named here must outlive the relay, which must not move.
 */
int udp_relay_init(struct udp_relay *relay, const struct udp_sessions *setup,
	const struct udp_shared *shared, struct udp_listener *listeners, size_t n_listeners);

/* Receives from now on. 0 or a negative errno. */
int udp_relay_start(struct udp_relay *relay);
/*
 * Receives no more: what comes waits in the sockets, for another process. Sessions go on. What was
 * received already is passed on or dropped before it returns.
 */
void udp_relay_leave(struct udp_relay *relay);

/* Ends what still lives. Takes a zeroed one. */
void udp_relay_destroy(struct udp_relay *relay);

/* Called after each batch of events: begins sessions, sends the answers that have been gathered. */
void udp_relay_turn(struct udp_relay *relay);

/* Whether udp_relay_turn() has work, so that the loop must not wait. */
bool udp_relay_busy(const struct udp_relay *relay);

/* No new sessions; those there are end when they have been silent for a moment. */
void udp_relay_drain(struct udp_relay *relay);
