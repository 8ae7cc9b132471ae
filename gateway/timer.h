/*
 * timer - deadlines in a hierarchical wheel: set and cancel in constant time.
 *
 * Times are milliseconds of the monotonic clock. A timer fires at or up to two ticks after its
 * deadline, once, and may be set again from its own callback. Deadlines more than a day and a half
 * away are handled, by way of several rounds.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "list.h"

#define TIMER_TICK_MS	 8U
#define TIMER_LEVELS	 4
#define TIMER_LEVEL_BITS 6
#define TIMER_SLOTS	 (1 << TIMER_LEVEL_BITS)

struct timer {
	struct list_node node;
	uint64_t due_tick;
	uint16_t slot; /* where it is: level * TIMER_SLOTS + index */
	void (*on_due)(struct timer *timer);
};

struct timer_wheel {
	uint64_t tick; /* all deadlines up to and with this tick have fired */
	uint64_t occupied[TIMER_LEVELS];
	struct list_node slots[TIMER_LEVELS * TIMER_SLOTS];
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms);

/* Must come before any other use of the timer; it is not set then. */
void timer_init(struct timer *timer, void (*on_due)(struct timer *timer));

/* Sets the timer, or moves it if it is set. A deadline in the past fires at the next tick. */
void timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t due_ms);

/* Harmless if it is not set. */
void timer_cancel(struct timer_wheel *wheel, struct timer *timer);

/* Fires what is due. */
void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms);

/* Milliseconds until timer_wheel_advance() may have something to do; -1 if nothing is set. */
int timer_wheel_wait(const struct timer_wheel *wheel, uint64_t now_ms);
