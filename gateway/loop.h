/*
 * loop - one thread's events: file descriptors by epoll, deadlines by a timer wheel.
 *
 * A source is embedded in the object that it wakes and must outlive the batch of events in which it
 * is removed: free such objects after loop_run_once() has returned. For the same reason a callback
 * may be called once more, in that batch, for a source that is removed already: it has to look
 * whether there is still anything to do.
 *
 * Each process that serves anything has one loop, and nothing that it calls may wait.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "timer.h"

struct loop_source {
	/* events: EPOLL* bits; EPOLLERR and EPOLLHUP come unasked, epoll_ctl(2) */
	void (*on_event)(struct loop_source *source, uint32_t events);
};

struct loop {
	int epoll_fd;
	uint64_t now_ms; /* monotonic; as of the last wake-up: all callbacks of a batch see the same
			  */
	uint64_t now_us; /* the same moment */
	struct timer_wheel wheel;
};

/* 0 or a negative errno. */
int loop_init(struct loop *loop);
void loop_close(struct loop *loop);

/*
 * events: EPOLLIN, EPOLLOUT, EPOLLET ... The descriptor stays the caller's, and so does the source.
 * 0 or a negative errno of epoll_ctl(2): -EEXIST, -ENOENT: our own mistake; -ENOMEM, -ENOSPC.
 */
int loop_add(struct loop *loop, int fd, uint32_t events, struct loop_source *source);
int loop_modify(struct loop *loop, int fd, uint32_t events, struct loop_source *source);

/* Only needed where the descriptor stays open: closing its last copy removes it as well. */
void loop_remove(struct loop *loop, int fd);

/*
 * Waits for events or the next deadline, not at all if may_wait is false; handles one batch, events
 * first and then what is due. 0, also if a signal came instead; or a negative errno.
 */
int loop_run_once(struct loop *loop, bool may_wait);

/* timer.h's; due_ms is of the same clock as now_ms. */
static inline void loop_timer_set(struct loop *loop, struct timer *timer, uint64_t due_ms)
{
	timer_set(&loop->wheel, timer, due_ms);
}

static inline void loop_timer_cancel(struct loop *loop, struct timer *timer)
{
	timer_cancel(&loop->wheel, timer);
}
