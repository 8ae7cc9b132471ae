/*
 * stats - counters, one block per worker in memory shared with the supervisor; and one each for the
 * holder and for what earlier images have counted (shared.h).
 *
 * One writer (the worker) and any number of readers; a reader sums the blocks. Counters only grow,
 * over the death of a worker too: its successor goes on with the same block. Gauges go up and down
 * and are cleared when a successor starts.
 *
 * What is counted of a live flow is also noted with the flow, which may go on in the next image. So
 * that the two agree, nothing more of live flows is counted here once the next image is told the
 * sums: the gate is closed then.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum stats_counter {
	STATS_ACCEPTED,
	STATS_BYTES_IN,	     /* from clients */
	STATS_BYTES_OUT,     /* to clients */
	STATS_HEADERS,	     /* PROXY headers handed to the kernel, whole */
	STATS_HEADERS_READ,  /* ... that proxies in front of us have sent */
	STATS_TLVS_LEFT_OUT, /* of these, as there was no room for them in ours */
	STATS_ENDED_CLOSED,  /* flows, by how they ended; the order of enum access_log_end */
	STATS_ENDED_RESET,
	STATS_ENDED_REFUSED,
	STATS_ENDED_UNREACHABLE,
	STATS_ENDED_CONNECT_TIMEOUT,
	STATS_ENDED_IDLE_TIMEOUT,
	STATS_ENDED_HALF_CLOSED_TIMEOUT,
	STATS_ENDED_DEAD_PEER,
	STATS_ENDED_NO_SOURCE_PORT,
	STATS_ENDED_NOT_ALLOWED,
	STATS_ENDED_BAD_HEADER,
	STATS_ENDED_HEADER_TIMEOUT,
	STATS_ENDED_DENIED,
	STATS_ENDED_BANNED,
	STATS_ENDED_OVER_LIMIT,
	STATS_ENDED_UNANSWERED,
	STATS_ENDED_EVICTED,
	STATS_ENDED_UNCLAIMED,
	STATS_ENDED_KILLED,
	STATS_ENDED_DRAINED,
	STATS_ENDED_ERROR,
	STATS_PAUSED_LIMIT,	   /* times that accepting stopped at max-flows */
	STATS_PAUSED_FILES,	   /* ... for want of descriptors or memory */
	STATS_BUFFER_MISSES,	   /* reads that went without a buffer, as all were held */
	STATS_PIPE_MISSES,	   /* bulk went through a buffer, as no pipe was free */
	STATS_BULK_ENTERED,	   /* a direction went over to splice */
	STATS_STARVED,		   /* clients waited for a socket with IP_TRANSPARENT */
	STATS_LIMIT_FULL,	   /* connections reset: the listener has all that it may */
	STATS_LIMIT_CLIENT_FULL,   /* ... this client has */
	STATS_LIMIT_ADDRESS_FULL,  /* ... this address has */
	STATS_LIMIT_RATE,	   /* ... too many at once */
	STATS_LIMIT_CLIENT_RATE,   /* ... too many of this client at once */
	STATS_LIMIT_ADDRESS_RATE,  /* ... too many of this address at once */
	STATS_LIMIT_POOL_FULL,	   /* ... the pool has all that it may */
	STATS_LIMIT_BACKENDS_FULL, /* ... its servers have */
	STATS_LIMIT_UNTRACKED,	   /* let in without a client's limits, as the table was full */
	STATS_RETRIED,		   /* connections that went on to another backend */
	STATS_CIRCUIT_OPENED,	   /* times that a backend was left out for its failures */
	STATS_HOLD_HELD,	   /* clients whose first packet was held, however long */
	STATS_HOLD_CLAIMED,	   /* clients that found their backend connection waiting */
	STATS_HOLD_UNHELD,	   /* clients accepted at such listeners without one */
	STATS_HOLD_REFUSED,	   /* told what the backend had told us */
	STATS_HOLD_SILENT,	   /* left alone, as the backend was silent */
	STATS_HOLD_REPEATED,	 /* SYNs that came again while the first was held, or on its way */
	STATS_HOLD_FULL,	 /* not held: as many as may were; ... */
	STATS_HOLD_BACKEND_FULL, /* ... for that backend */
	STATS_HOLD_CLIENT_FULL,	 /* ... of that client */
	STATS_HOLD_UNANSWERED,	 /* ... the worker did not answer */
	STATS_HOLD_UNREADABLE,	 /* ... the packet could not be read */
	STATS_DATAGRAMS_IN,	 /* handed on to servers */
	STATS_DATAGRAMS_OUT,	 /* handed on to clients */
	STATS_DROPPED_QUEUE,	 /* by the kernel, as a socket's receive buffer was full */
	STATS_DROPPED_FULL,	 /* datagrams that would have begun a session: no room for more */
	STATS_DROPPED_CLIENT_FULL,   /* ... no room for more of this client */
	STATS_DROPPED_ADDRESS_FULL,  /* ... no room for more of this address */
	STATS_DROPPED_RATE,	     /* ... too many at once */
	STATS_DROPPED_CLIENT_RATE,   /* ... too many of this client at once */
	STATS_DROPPED_ADDRESS_RATE,  /* ... too many of this address at once */
	STATS_DROPPED_POOL_FULL,     /* ... no room for more in the pool */
	STATS_DROPPED_BACKENDS_FULL, /* ... or at its servers */
	STATS_DROPPED_DENIED,	     /* ... the listener's lists do not let the client in */
	STATS_DROPPED_BANNED,	     /* ... the client is banned */
	STATS_DROPPED_BUSY,	     /* ... sessions that there are come first */
	STATS_DROPPED_PORTS,	     /* ... no source port is free and rested */
	STATS_DROPPED_DRAINING,	     /* ... the gateway stops, or the listener is drained */
	STATS_DROPPED_REFUSED,	     /* ... no server, or not allowed */
	STATS_DROPPED_OVERSIZE,	     /* larger than the way takes */
	STATS_DROPPED_INVALID,	     /* nobody could answer it: port 0, broadcast */
	STATS_DROPPED_SEND,	     /* the kernel did not take it: no buffer, no route */
	STATS_DROPPED_STRANGER,	     /* came to a server's socket from somebody else */
	STATS_ICMP_SENT,	     /* errors told to UDP clients */
	STATS_ICMP_LIMITED,	     /* errors not told, as there were too many */
	STATS_WHO_OVERWRITTEN,	     /* entries of "who", before their time was over */
	STATS_WHO_UNTRACKED,	     /* flows without an entry, as all are live */
	STATS_LIVE_FLOWS,	     /* gauge */
	STATS_COUNT
};

/* Who changes it: a worker between the first two, the supervisor between the first and the last. */
enum stats_gate {
	STATS_GATE_OPEN,
	STATS_GATE_PASSING, /* the worker counts just now */
	STATS_GATE_CLOSED,
};

struct stats {
	uint64_t value[STATS_COUNT];
	uint32_t gate; /* enum stats_gate */
};

/* n zeroed blocks in shared memory, made before the workers fork; NULL without memory. */
struct stats *stats_create(size_t n);
/* In this process; others still have theirs. Takes NULL. */
void stats_destroy(struct stats *stats, size_t n);

/* What a new worker does to the block of its predecessor, which may have died in its gate. */
void stats_clear_gauges(struct stats *stats);

/* Whether live flows may be counted now; if so, stats_leave() follows, and soon. Never waits. */
bool stats_enter(struct stats *stats);
void stats_leave(struct stats *stats);
/*
 * Closes the gates of n blocks, and waits for workers that count just now, but not for long: one
 * that is stopped is left alone. The blocks may be summed for another image then.
 */
void stats_close(struct stats *stats, size_t n);
/* They go on, as there is no other image after all. */
void stats_reopen(struct stats *stats, size_t n);

/* Of n blocks, as they are while it looks. */
uint64_t stats_sum(const struct stats *stats, size_t n, enum stats_counter counter);

/* The counter's name in logs: lower case, underscores. */
const char *stats_name(enum stats_counter counter);

/*
 * By the block's writer alone: nobody else adds, so no instruction has to lock the bus; the store
 * is atomic only so that readers never see half of a number.
 */
static inline void stats_add(struct stats *stats, enum stats_counter counter, uint64_t n)
{
	uint64_t *value = &stats->value[counter];

	__atomic_store_n(value, *value + n, __ATOMIC_RELAXED);
}

/* One less. */
static inline void stats_drop(struct stats *stats, enum stats_counter gauge)
{
	stats_add(stats, gauge, (uint64_t)-1);
}
