/*
 * timer - deadlines in a hierarchical wheel: set and cancel in constant time.
 *
 * Times are milliseconds of the monotonic clock. A timer fires at or up to two ticks after its
 * deadline, once, and may be set again from its own callback. Deadlines more than a day and a half
 * away are handled, by way of several rounds. Never before its deadline; later, if
 * timer_wheel_advance() is called later. Of timers of the same tick the order is not to be relied
 * on.
 *
 * One thread, and no memory of its own: a timer is embedded in the object whose it is, and has to
 * be cancelled, or to have fired, before that is freed. A wheel is linked to its timers, and to
 * itself: it must stay where it was initialised. A callback may set and cancel any timer of the
 * wheel.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "list.h"

#define TIMER_TICK_MS	 8U
#define TIMER_LEVELS	 4
#define TIMER_LEVEL_BITS 6
#define TIMER_SLOTS	 (1 << TIMER_LEVEL_BITS)

/* Members are this module's. */
struct timer {
	struct list_node node; /* linked to itself: not set */
	uint64_t due_tick;     /* the first tick that begins behind the deadline */
	uint16_t slot;	       /* where it is: level * TIMER_SLOTS + index; only if it is set */
	/* Called by timer_wheel_advance(); the timer is not set any more. */
	void (*on_due)(struct timer *timer);
};

struct timer_wheel {
	uint64_t tick;			 /* all deadlines up to and with this tick have fired */
	uint64_t occupied[TIMER_LEVELS]; /* a bit for each slot that has a timer */
	struct list_node slots[TIMER_LEVELS * TIMER_SLOTS];
};

/* now_ms: the present; it must not go back in what follows. */
void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms);

/* Must come before any other use of the timer; it is not set then. */
void timer_init(struct timer *timer, void (*on_due)(struct timer *timer));

/* Sets the timer, or moves it if it is set. A deadline in the past fires at the next tick. */
void timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t due_ms);

/* Harmless if it is not set. */
void timer_cancel(struct timer_wheel *wheel, struct timer *timer);

/* Fires what is due, in the order of ticks. */
void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms);

/*
 * Milliseconds until timer_wheel_advance() may have something to do, for epoll_wait(2); -1 if
 * nothing is set. It may be to move timers only, and none fires.
 */
int timer_wheel_wait(const struct timer_wheel *wheel, uint64_t now_ms);
