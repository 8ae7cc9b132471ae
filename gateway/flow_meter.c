#include "flow_meter.h"

/*
 * Theory of operation
 *
 * A turn goes over as many flows as were live at its beginning: the first of table.live is counted
 * and becomes the last one. Flows that begin meanwhile come last, too, and those that end are
 * counted by that, so each that lives through the turn is counted in it. AT_ONCE flows are some
 * tens of microseconds. The next turn begins TURN_MS after the end of this one.
 *
 * While the gate is closed (stats.h), nothing is counted: the next image has been told all sums,
 * and the flows carry to it how much of them is in those. The turn is given up then, as a new one
 * begins anyway should the gate open again.
 *
 * That the list is turned round while it is counted means that its order says nothing about age.
 */
#define TURN_MS 250U
#define STEP_MS 16U /* between parts of a turn: others have their events meanwhile */
#define AT_ONCE 512U

static void count_some(struct flow_meter *meter)
{
	struct list_node *live = &meter->flows->live;

	for (unsigned i = 0; i < AT_ONCE && meter->left > 0; i++) {
		struct list_node *node = list_pop(live);

		/* "left" may be too large: it counts flows that end, and memory of the dead. */
		if (!node) {
			meter->left = 0;
			return;
		}
		list_append(live, node);
		flow_count(meter->flows, list_entry(node, struct flow, node));
		meter->left--;
	}
}

static void on_due(struct timer *timer)
{
	struct flow_meter *meter = list_entry(timer, struct flow_meter, timer);
	struct loop *loop = meter->flows->loop;

	if (meter->left == 0)
		meter->left = flow_table_live(meter->flows);
	if (stats_enter(meter->flows->stats)) {
		count_some(meter);
		stats_leave(meter->flows->stats);
	} else {
		meter->left = 0;
	}
	meter->awake = flow_table_live(meter->flows) > 0;
	if (meter->awake)
		loop_timer_set(loop, timer, loop->now_ms + (meter->left > 0 ? STEP_MS : TURN_MS));
}

void flow_meter_init(struct flow_meter *meter, struct flow_table *flows)
{
	*meter = (struct flow_meter){ .flows = flows };
	timer_init(&meter->timer, on_due);
}

void flow_meter_stop(struct flow_meter *meter)
{
	loop_timer_cancel(meter->flows->loop, &meter->timer);
	meter->awake = false;
}

void flow_meter_wake_up(struct flow_meter *meter)
{
	meter->awake = true;
	loop_timer_set(meter->flows->loop, &meter->timer, meter->flows->loop->now_ms + TURN_MS);
}
