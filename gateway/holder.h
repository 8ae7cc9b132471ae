/*
 * holder - the process that holds clients' SYNs until a backend has answered (listener option
 * "accept = after-backend").
 *
 * It has the packet queue and the table that leads packets there, asks workers, and does as they
 * answer. It keeps CAP_NET_ADMIN, as the kernel takes verdicts of nobody else, and nothing more.
 *
 * It is never needed for a client to get in: whenever it is gone, the kernel lets packets by
 * (the table is its own, and its rules name the queue with bypass), and clients are served the
 * ordinary way. So hold_keeper may kill it at any time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "hold_shared.h"
#include "ring.h"
#include "stats.h"

/* Over the channel (SOCK_SEQPACKET), one byte each unless it says otherwise. */
enum holder_message {
	HOLDER_READY = 'R', /* to the supervisor: clients are held */
	HOLDER_PING = 'P',  /* to the holder, which sends it back */
	HOLDER_GONE = 'G',  /* to the holder: a worker has died; struct holder_gone */
	HOLDER_END = 'E',   /* to the holder: let go of everybody, and end */
};

struct holder_gone {
	char message;
	char unused;
	uint16_t worker;
};

/* The exit status of one that can never work here: it has said why. */
#define HOLDER_UNAVAILABLE 69

/* How long a worker may take to see a question, and a client to come once it was let in. */
#define HOLDER_UNSEEN_MS   500U
#define HOLDER_UNCOMING_MS 6000U

/* All of it is the caller's, and lives as long as the process. */
struct holder_setup {
	const struct config *config;
	size_t n_workers;
	const int *link_fds; /* one end for each worker (hold_link.h) */
	int channel_fd;	     /* to the supervisor */
	uint32_t epoch; /* grows from one holder to the next, so that late answers are told apart */
	struct hold_shared *shared;
	struct stats *stats;
	struct ring *ring; /* log lines */
	int ring_wake_fd;
};

/*
 * Holds until told to end, or until the channel closes; the process's exit status:
 * HOLDER_UNAVAILABLE if it can never work here and should not be started again. Everything is left
 * to the end of the process, which must follow.
 */
int holder_run(const struct holder_setup *setup);
