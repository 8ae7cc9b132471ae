/*
 * ring_log - log lines of a process that must not wait for a stuck terminal: they go through its
 * ring to the logger's process.
 */
#pragma once

#include "ring.h"

struct ring_log {
	struct ring *ring;
	int wake_fd; /* eventfd of the logger */
};

/* Log lines of this process go there from now on; it must stay where it is, as must the ring. */
void ring_log_use(struct ring_log *log);
