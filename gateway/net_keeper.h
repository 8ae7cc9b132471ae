/*
 * net_keeper - the supervisor's hand on the kernel's network configuration.
 *
 * It makes what the configuration wants (net_wanted.h), puts back what somebody else has changed,
 * and takes it away at the end. One gateway in a network namespace may do so.
 *
 * For the supervisor's process alone. Start and end wait for the kernel and, for LOCK_WAIT_MS, for
 * another program's lock; in between a look waits for the kernel only.
 */
#pragma once

#include <net_apply.h>
#include <net_watch.h>
#include <stdbool.h>

#include "config.h"
#include "log.h"
#include "loop.h"

/* Zeroed: it was not started. It must not move. Times are milliseconds of the loop's clock. */
struct net_keeper {
	const struct config *config;
	struct loop *loop;
	struct net_wanted wanted;
	struct net_channels channels;
	struct net_watch watch;
	struct loop_source route_source;
	struct loop_source nft_source;
	struct timer timer;  /* the next look */
	uint64_t due_ms;     /* when that is */
	int owner_fd;	     /* says in this namespace that we are the one; -1: not active */
	uint32_t backoff_ms; /* 0: nobody insists */
	uint32_t retry_ms;   /* 0: the last look went well */
	unsigned repairs;    /* in the window since window_ms */
	uint64_t window_ms;
	bool was_blocked; /* an interface was missing when last looked */
	struct log_limit log;
};

/*
 * Makes what is wanted, or nothing of it: 0, or a negative errno after a line in the log that says
 * what to do. Does not look at the kernel if the configuration wants nothing and no earlier run has
 * left anything.
 */
int net_keeper_start(struct net_keeper *keeper, struct loop *loop, const struct config *config);

/*
 * Takes away what is ours, unless the configuration says "keep". Takes a keeper that is zeroed, or
 * did not start.
 */
void net_keeper_stop(struct net_keeper *keeper);

/* In a child: lets go of the descriptors and leaves the network alone. */
void net_keeper_abandon(struct net_keeper *keeper);
