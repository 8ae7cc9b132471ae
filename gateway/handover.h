/*
 * handover - live flows on their way from one worker to its successor, over a socket pair of
 * theirs (AF_UNIX, SOCK_SEQPACKET) that the supervisor has made.
 *
 * Messages: to the taker, a flow (flow_wire.h) with its descriptors, or "6GUD": all datagrams that
 * come from now on are yours. To the giver, "6GCR" and a number (4, big endian): so many more flows
 * are welcome. The channel's end is the end of it, whoever closes it.
 *
 * A flow that was sent is the taker's, and one that was not is the giver's: there is nothing in
 * between. While its flows leave, the giver serves those that have not left.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "loop.h"
#include "tcp_handover.h"
#include "udp_handover.h"

struct handover_giver {
	struct loop *loop;
	struct tcp_relay *tcp;
	struct udp_relay *udp; /* NULL: no UDP listeners */
	struct loop_source source;
	struct timer retry;
	int fd;		  /* -1: there is nobody to give to (any more) */
	uint32_t credits; /* flows that the taker has room for */
	bool waiting;	  /* for room in the channel */
	bool udp_left;	  /* datagrams are the taker's */
	uint64_t given;
	uint8_t *buf;
};

/* Begins to give to whoever is at the other end of fd, which is the giver's from now on. */
int handover_give(struct handover_giver *giver, struct loop *loop, struct tcp_relay *tcp,
	struct udp_relay *udp, int fd);
/*
 * Called between batches of events: what can leave now, leaves. sessions_may_come: others still
 * give some to us, so that we have not left the datagrams yet.
 */
void handover_give_more(struct handover_giver *giver, bool sessions_may_come);
/* Takes one that never began (fd -1). */
void handover_give_end(struct handover_giver *giver);

struct handover_received;

struct handover_taker {
	struct loop *loop;
	struct tcp_relay *tcp;
	struct udp_relay *udp; /* NULL: no UDP listeners */
	struct tcp_handover_retired *retired;
	size_t (*room)(void *userdata);	      /* for how many more flows */
	void (*on_datagrams)(void *userdata); /* the giver receives no more; once */
	void *userdata;
	struct loop_source source;
	struct log_limit log;
	int fd;		      /* -1: nobody gives (any more) */
	uint32_t outstanding; /* flows that may come yet */
	bool datagrams_left;
	uint64_t taken, lost;
	struct handover_received *got;
};

/* Members up to userdata are set. fd is the taker's from now on. 0 or a negative errno. */
int handover_take(struct handover_taker *taker, int fd);
void handover_take_end(struct handover_taker *taker);
