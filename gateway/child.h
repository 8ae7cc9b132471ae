/*
 * child - a process that the supervisor starts, and starts again when it has died: at once if it
 * had lived for long, and with growing delays if it dies again and again.
 *
 * Parent and child speak over a SOCK_SEQPACKET socket pair.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "loop.h"

struct child;

/* What it does, in the new process, with its end of the channel; the exit status. */
typedef int child_run(struct child *child, int channel_fd);

struct child {
	struct loop_source source; /* of the parent's end */
	struct loop *loop;
	child_run *run;
	void *owner;
	struct timer restart;
	pid_t pid; /* 0: none */
	int channel_fd;
	uint16_t index;
	bool ready;
	uint64_t started_ms;
	uint32_t backoff_ms;
	uint64_t deaths; /* of those before it */
};

/* Not started. on_message: when the channel has something to read, or is closed. */
void child_init(struct child *child, struct loop *loop, child_run *run,
	void (*on_message)(struct loop_source *source, uint32_t events), void *owner);

/* Forks it and takes its channel up. 0 or a negative errno. */
int child_start(struct child *child);

/* The same, again and again until it works. */
void child_start_or_retry(struct child *child);

/* It is gone, pid is 0, and ought to be there. */
void child_replace(struct child *child);

/* Harmless if it is closed. */
void child_close_channel(struct child *child);

/* Says how it ended; what: who it is. */
void child_log_death(const struct child *child, const char *what, int status);
