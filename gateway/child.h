/*
 * child - a process that the supervisor starts, and starts again when it has died: at once if it
 * had lived for long, and with growing delays if it dies again and again.
 *
 * Parent and child speak over a SOCK_SEQPACKET socket pair.
 *
 *   none ──start──► running ──SIGCHLD, by whoever waits──► pid 0 ──replace──► running, or delayed
 *
 * Nothing here waits for a process: the supervisor's handler of SIGCHLD does, sets pid to 0, and
 * asks for another one if there is to be one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "loop.h"

struct child;

/*
 * What it does, in the new process, with its end of the channel; the exit status. It has a copy of
 * all that the supervisor has, the loop's epoll descriptor with it: to let go of that is the first
 * thing to do. It leaves by _exit(), without atexit() or buffers of stdio.
 */
typedef int child_run(struct child *child, int channel_fd);

struct child {
	struct loop_source source; /* of the parent's end */
	struct loop *loop;
	child_run *run;
	void *owner; /* the caller's, like index, ready (until the next start) and deaths */
	struct timer restart;
	pid_t pid;	/* 0: none; set to that by the one who has waited for it */
	int channel_fd; /* the parent's end; -1: closed */
	uint16_t index;
	bool ready;	     /* it has said so */
	uint64_t started_ms; /* of the loop's clock */
	uint32_t backoff_ms; /* before the next start; 0: at once */
	uint64_t deaths;     /* of those before it */
};

/* Not started. on_message: when the channel has something to read, or is closed. */
void child_init(struct child *child, struct loop *loop, child_run *run,
	void (*on_message)(struct loop_source *source, uint32_t events), void *owner);

/*
 * Forks it and takes its channel up; pid must be 0 and the channel closed. 0; or a negative errno,
 * and nothing has changed.
 */
int child_start(struct child *child);

/* The same, again and again until it works. */
void child_start_or_retry(struct child *child);

/* It is gone, pid is 0, and ought to be there. */
void child_replace(struct child *child);

/* Harmless if it is closed. */
void child_close_channel(struct child *child);

/* Says how it ended; what: who it is. */
void child_log_death(const struct child *child, const char *what, int status);
