/*
 * observer - the process that is looked at: it answers HTTP at the addresses of the section
 * "metrics", and knows nothing but what the supervisor tells it.
 *
 * It has no capability, no right to open anything (sandbox.h), and the sockets that the supervisor
 * made; these outlive it, and the image. Dead, it is replaced like any other child.
 *
 * A process of its own, as it talks to strangers by a library that parses HTTP, and makes pages
 * that take a while: neither is for the process that keeps the others going.
 */
#pragma once

#include <stddef.h>

#include "config.h"
#include "ring.h"

enum observer_message {
	/* To the supervisor: "status", please. Back: here it is, as JSON in a file beside this. */
	OBSERVER_STATUS = 'S',
};

/* All of it is the caller's, and outlives observer_run(). */
struct observer_setup {
	const struct config *config;
	const int *listen_fds; /* of config->metrics.listen, nonblocking; -1: not to be had */
	int channel_fd;	       /* to the supervisor (channel.h) */
	int history_fd;	       /* of history.h; -1: there is none to be had */
	struct ring *ring;     /* log lines */
	int ring_wake_fd;
};

/*
 * In the observer's process, once: gives up rights for good, answers until the channel closes, and
 * for a moment more those who are here. The process's exit status.
 */
int observer_run(const struct observer_setup *setup);
