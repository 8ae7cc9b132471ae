#include "timer.h"

#include <assert.h>
#include <limits.h>

/*
 * Theory of operation
 *
 * Level 0 has one slot per tick, each level above one slot per turn of the level below. A timer
 * goes into the lowest level whose range reaches its deadline. Whenever the wheel enters a new slot
 * of a higher level, that slot's timers are put in again and so sink lower ("cascade"); at level 0
 * they fire. A bit per slot tells which are occupied, so that long idle stretches are skipped.
 *
 * The slot of the present tick is never put into, as it may have been fired already: so what is due
 * now or before is due at the next tick, and a timer that sinks at the very tick at which it is due
 * is a tick late. One beyond the range of the highest level is put as far as that reaches, and put
 * in again from there.
 */
#define SLOT_MASK ((uint64_t)TIMER_SLOTS - 1)
#define RANGE_MAX (((uint64_t)1 << (TIMER_LEVELS * TIMER_LEVEL_BITS)) - 1)

static_assert(TIMER_SLOTS == 64, "one word of occupied bits per level");

static unsigned level_shift(unsigned level)
{
	return level * TIMER_LEVEL_BITS;
}

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms)
{
	*wheel = (struct timer_wheel){ .tick = now_ms / TIMER_TICK_MS };
	for (int i = 0; i < TIMER_LEVELS * TIMER_SLOTS; i++)
		list_init(&wheel->slots[i]);
}

void timer_init(struct timer *timer, void (*on_due)(struct timer *timer))
{
	*timer = (struct timer){ .on_due = on_due };
	list_init(&timer->node);
}

static void wheel_put(struct timer_wheel *wheel, struct timer *timer)
{
	uint64_t tick = timer->due_tick;
	uint64_t distance;
	unsigned level = 0;
	uint64_t index;

	if (tick <= wheel->tick)
		tick = wheel->tick + 1;
	if (tick - wheel->tick > RANGE_MAX)
		tick = wheel->tick + RANGE_MAX;
	distance = tick - wheel->tick;
	while (distance >> level_shift(level + 1))
		level++;
	assert(level < TIMER_LEVELS);
	index = (tick >> level_shift(level)) & SLOT_MASK;
	timer->slot = (uint16_t)(level * TIMER_SLOTS + index);
	list_append(&wheel->slots[timer->slot], &timer->node);
	wheel->occupied[level] |= (uint64_t)1 << index;
}

void timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t due_ms)
{
	timer_cancel(wheel, timer);
	timer->due_tick = due_ms / TIMER_TICK_MS + 1;
	wheel_put(wheel, timer);
}

void timer_cancel(struct timer_wheel *wheel, struct timer *timer)
{
	if (list_empty(&timer->node))
		return;
	list_remove(&timer->node);
	if (list_empty(&wheel->slots[timer->slot]))
		wheel->occupied[timer->slot / TIMER_SLOTS] &=
			~((uint64_t)1 << (timer->slot & SLOT_MASK));
}

/* Takes a slot's timers out of the wheel; they stay linked to one another through list. */
static void wheel_take(
	struct timer_wheel *wheel, unsigned level, uint64_t index, struct list_node *list)
{
	list_init(list);
	list_splice(list, &wheel->slots[level * TIMER_SLOTS + index]);
	wheel->occupied[level] &= ~((uint64_t)1 << index);
}

static void wheel_cascade(struct timer_wheel *wheel)
{
	struct list_node list, *node;

	for (unsigned level = 1; level < TIMER_LEVELS; level++) {
		uint64_t index = (wheel->tick >> level_shift(level)) & SLOT_MASK;

		wheel_take(wheel, level, index, &list);
		while ((node = list_pop(&list)))
			wheel_put(wheel, list_entry(node, struct timer, node));
		if (index != 0)
			break;
	}
}

static void wheel_fire(struct timer_wheel *wheel, uint64_t index)
{
	struct list_node list, *node;

	/* Popped one by one: a callback may cancel or set any other timer. */
	wheel_take(wheel, 0, index, &list);
	while ((node = list_pop(&list))) {
		struct timer *timer = list_entry(node, struct timer, node);

		timer->on_due(timer);
	}
}

void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms)
{
	uint64_t target = now_ms / TIMER_TICK_MS;

	while (wheel->tick < target) {
		uint64_t boundary = (wheel->tick | SLOT_MASK) + 1;

		if (wheel->occupied[0] == 0 && boundary > target) {
			wheel->tick = target;
			return;
		}
		wheel->tick = wheel->occupied[0] == 0 ? boundary : wheel->tick + 1;
		if ((wheel->tick & SLOT_MASK) == 0)
			wheel_cascade(wheel);
		wheel_fire(wheel, wheel->tick & SLOT_MASK);
	}
}

/* Slots from the one after index to the next occupied one, 1 to 64; 0 if none is. */
static unsigned next_occupied(uint64_t bits, uint64_t index)
{
	unsigned turn = (unsigned)(index + 1) & SLOT_MASK;

	if (bits == 0)
		return 0;
	bits = turn ? bits >> turn | bits << (TIMER_SLOTS - turn) : bits;
	return (unsigned)__builtin_ctzll(bits) + 1;
}

int timer_wheel_wait(const struct timer_wheel *wheel, uint64_t now_ms)
{
	uint64_t nearest = UINT64_MAX;

	for (unsigned level = 0; level < TIMER_LEVELS; level++) {
		uint64_t index = wheel->tick >> level_shift(level);
		unsigned slots = next_occupied(wheel->occupied[level], index & SLOT_MASK);
		uint64_t tick = (index + slots) << level_shift(level);

		if (slots && tick < nearest)
			nearest = tick;
	}
	if (nearest == UINT64_MAX)
		return -1;
	nearest *= TIMER_TICK_MS;
	if (nearest <= now_ms)
		return 0;
	return nearest - now_ms < INT_MAX ? (int)(nearest - now_ms) : INT_MAX;
}
