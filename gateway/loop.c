#include "loop.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "clock.h"

/*
 * Theory of operation
 *
 * The clock is read once per batch, after waking: all callbacks of a batch see the same time.
 * Events come before deadlines, so that what arrived in time counts as in time. A callback may
 * remove any source, but another event of the same batch may still name it; its memory must stay
 * until the batch is over.
 *
 * How long to wait is worked out by the time of the last wake-up: a deadline may so be late by as
 * long as the batch before it took, which saves a look at the clock for every wait.
 */
/* Enough to spread the cost of a wait; few enough that deadlines are not late. */
#define BATCH 256

static void loop_update_clock(struct loop *loop)
{
	loop->now_us = clock_monotonic_us();
	loop->now_ms = loop->now_us / 1000;
}

int loop_init(struct loop *loop)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return -errno;
	loop->epoll_fd = fd;
	loop_update_clock(loop);
	timer_wheel_init(&loop->wheel, loop->now_ms);
	return 0;
}

void loop_close(struct loop *loop)
{
	close(loop->epoll_fd);
	loop->epoll_fd = -1;
}

static int loop_control(
	struct loop *loop, int op, int fd, uint32_t events, struct loop_source *source)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	assert(op == EPOLL_CTL_DEL || (source && source->on_event));
	return epoll_ctl(loop->epoll_fd, op, fd, &event) < 0 ? -errno : 0;
}

int loop_add(struct loop *loop, int fd, uint32_t events, struct loop_source *source)
{
	return loop_control(loop, EPOLL_CTL_ADD, fd, events, source);
}

int loop_modify(struct loop *loop, int fd, uint32_t events, struct loop_source *source)
{
	return loop_control(loop, EPOLL_CTL_MOD, fd, events, source);
}

void loop_remove(struct loop *loop, int fd)
{
	(void)loop_control(loop, EPOLL_CTL_DEL, fd, 0, NULL);
}

int loop_run_once(struct loop *loop, bool may_wait)
{
	struct epoll_event events[BATCH];
	int wait = may_wait ? timer_wheel_wait(&loop->wheel, loop->now_ms) : 0;
	int n = epoll_wait(loop->epoll_fd, events, BATCH, wait);

	if (n < 0 && errno != EINTR)
		return -errno;
	loop_update_clock(loop);
	for (int i = 0; i < n; i++) {
		struct loop_source *source = events[i].data.ptr;

		source->on_event(source, events[i].events);
	}
	timer_wheel_advance(&loop->wheel, loop->now_ms);
	return 0;
}
