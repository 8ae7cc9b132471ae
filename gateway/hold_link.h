/*
 * hold_link - what the holder asks workers, and what they answer: records of fixed size, several to
 * a message, over one SOCK_SEQPACKET socket pair for each worker.
 *
 * The pairs outlive both processes. So a record may be for a predecessor, which "epoch" and "id"
 * tell; and either side may have gone mad, so what comes in is looked at. Both are of one image, so
 * records are structs as they lie in memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sockaddr.h"

#define HOLD_LINK_BATCH 32U

/* To a worker: a client wants to connect. */
struct hold_ask {
	uint64_t seq;	   /* grows from one to the next, over the death of a holder too */
	uint64_t asked_ms; /* monotonic; a worker that finds it long ago need not begin */
	uint32_t id;	   /* of the holder's entry, to be given back with the answer */
	uint32_t epoch;	   /* the holder's */
	uint32_t bind;	   /* index in the map (hold_map.h) */
	struct sockaddr_any client;
	struct sockaddr_any local;
};

enum hold_answer {
	HOLD_ANSWERED, /* the backend has: let the client in, it is awaited */
	HOLD_ORDINARY, /* let it in, it is not awaited */
	HOLD_REFUSED,  /* these four: as the backend gave it */
	HOLD_HOST_UNREACHABLE,
	HOLD_NET_UNREACHABLE,
	HOLD_PROHIBITED,
	HOLD_SILENT, /* drop it */
	HOLD_DONE,   /* one that was awaited has come, or is not awaited any more */
	HOLD_ANSWERS
};

struct hold_reply {
	uint32_t id;
	uint32_t epoch;
	uint32_t answer; /* enum hold_answer */
};

/*
 * n records (up to HOLD_LINK_BATCH) of that size as one message, without waiting. 0 or a negative
 * errno, and none of them has gone: -EAGAIN: the other one does not read.
 */
int hold_link_send(int fd, const void *records, size_t size, size_t n);

/*
 * One message into records, which has room for HOLD_LINK_BATCH of that size; without waiting. How
 * many there are; 0: it was none of ours; -EAGAIN: no message, or another negative errno.
 */
int hold_link_receive(int fd, void *records, size_t size);

/* Whether it can be believed. n_binds: of the map. */
bool hold_link_ask_ok(const struct hold_ask *ask, size_t n_binds);
bool hold_link_reply_ok(const struct hold_reply *reply);

/* What an errno (positive) of the last connect() to a backend is answered by. */
enum hold_answer hold_link_answer_of(int error);
