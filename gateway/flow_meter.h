/*
 * flow_meter - has the bytes of live flows counted, each several times a second.
 *
 * A worker has one. It takes the table's live flows by turns, so many at a time that nobody waits
 * for it: a worker with tens of thousands of flows comes round less often. Without a live flow it
 * sleeps.
 *
 * It is why counters of bytes grow while a long download lasts, and not all at once at its end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "flow.h"
#include "timer.h"

struct flow_meter {
	struct flow_table *flows;
	struct timer timer;
	size_t left; /* flows of this turn that have not been counted; 0: between turns */
	bool awake;  /* the timer is set */
};

/* It sleeps at first. flows, and their loop, must outlive it, up to flow_meter_stop(). */
void flow_meter_init(struct flow_meter *meter, struct flow_table *flows);
void flow_meter_stop(struct flow_meter *meter);

void flow_meter_wake_up(struct flow_meter *meter);

/* Called when flows may have begun. */
static inline void flow_meter_update(struct flow_meter *meter)
{
	if (!meter->awake && flow_table_live(meter->flows) > 0)
		flow_meter_wake_up(meter);
}
