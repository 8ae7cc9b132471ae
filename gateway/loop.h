/*
 * loop - one thread's events: file descriptors by epoll, deadlines by a timer wheel.
 *
 * A source is embedded in the object that it wakes and must outlive the batch of events in which it
 * is removed: free such objects after loop_run_once() has returned.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "timer.h"

struct loop_source {
	/* events: EPOLL* bits */
	void (*on_event)(struct loop_source *source, uint32_t events);
};

struct loop {
	int epoll_fd;
	uint64_t now_ms; /* monotonic; as of the last wake-up */
	uint64_t now_us;
	struct timer_wheel wheel;
};

/* 0 or a negative errno. */
int loop_init(struct loop *loop);
void loop_close(struct loop *loop);

int loop_add(struct loop *loop, int fd, uint32_t events, struct loop_source *source);
int loop_modify(struct loop *loop, int fd, uint32_t events, struct loop_source *source);

/* Only needed where the descriptor stays open: closing its last copy removes it as well. */
void loop_remove(struct loop *loop, int fd);

/*
 * Waits for events or the next deadline, not at all if may_wait is false; handles one batch. 0 or
 * a negative errno.
 */
int loop_run_once(struct loop *loop, bool may_wait);

static inline void loop_timer_set(struct loop *loop, struct timer *timer, uint64_t due_ms)
{
	timer_set(&loop->wheel, timer, due_ms);
}

static inline void loop_timer_cancel(struct loop *loop, struct timer *timer)
{
	timer_cancel(&loop->wheel, timer);
}
