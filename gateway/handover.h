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
 *
 * Both ends are workers, in their own loop and without a call that waits. They may be of different
 * releases: what is in a message is flow_wire's concern, and a message that the taker cannot read
 * costs that flow and no other.
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
	struct timer retry; /* ends "waiting" where no event does */
	int fd;		    /* -1: there is nobody to give to (any more) */
	uint32_t credits;   /* flows that the taker has room for */
	bool waiting;	    /* for room in the channel */
	bool udp_left;	    /* datagrams are the taker's */
	uint64_t given;	    /* flows, for the log */
	uint8_t *buf;	    /* FLOW_WIRE_MAX bytes; NULL: there is nobody to give to */
};

/*
 * Begins to give to whoever is at the other end of fd, which is the giver's from now on, whatever
 * comes of it. giver need not be initialised. 0; or a negative errno (-ENOMEM, or of epoll): fd is
 * closed, nothing was given, and the giver is one that has ended. The first flows leave with
 * handover_give_more(), once credits have come.
 */
int handover_give(struct handover_giver *giver, struct loop *loop, struct tcp_relay *tcp,
	struct udp_relay *udp, int fd);
/*
 * Called between batches of events: what can leave now, leaves. sessions_may_come: others still
 * give some to us, so that we have not left the datagrams yet. Flows that leave are freed; no
 * pointer to a flow may be kept across it. A taker that is gone ends the giving, and what has not
 * been sent stays and is served here.
 */
void handover_give_more(struct handover_giver *giver, bool sessions_may_come);
/* Closes the channel, which is the end for the taker too. Takes one that never began (fd -1). */
void handover_give_end(struct handover_giver *giver);

struct handover_received;

struct handover_taker {
	struct loop *loop;
	struct tcp_relay *tcp;
	struct udp_relay *udp;		      /* NULL: no UDP listeners */
	struct tcp_handover_retired *retired; /* what flows of an earlier configuration belong to */
	size_t (*room)(void *userdata);	      /* for how many more flows */
	/* The giver receives no more datagrams, or is gone: once, from the loop or from the end. */
	void (*on_datagrams)(void *userdata);
	void *userdata;
	struct loop_source source;
	struct log_limit log;
	int fd;		      /* -1: nobody gives (any more) */
	uint32_t outstanding; /* flows that may come yet */
	bool datagrams_left;
	uint64_t taken, lost;	       /* flows, for the log */
	struct handover_received *got; /* the message at hand; NULL: nobody gives */
};

/*
 * Members up to userdata are set, the others zero. fd is the taker's from now on, whatever comes of
 * it. 0 or a negative errno: fd is closed, the giver keeps its flows, and on_datagrams is not
 * called.
 */
int handover_take(struct handover_taker *taker, int fd);
/* Takes no more; what is still in the channel is lost with it. Harmless a second time. */
void handover_take_end(struct handover_taker *taker);
