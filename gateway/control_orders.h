/*
 * control_orders - the control commands by which operators give orders: text in, orders.h out.
 *
 * sixgatectl(8) has their arguments and the keys of the results.
 *
 * An order is in force, in shared memory, and kept for the next image before its answer is sent.
 * Backends are named by pool and address, as in "status", and not by their place, which names
 * (config_name) may give to another.
 */
#pragma once

#include "control.h"
#include "drain_state.h"
#include "guard.h"
#include "loop.h"
#include "measures.h"
#include "orders.h"

/* All of it is the caller's. */
struct control_orders {
	const struct loop *loop;
	const struct config *config;
	struct pool_state *pools;
	struct drain_state *drains;
	struct orders *orders;
	struct guard *guard;
	const struct measures *measures;
	/* Orders have changed: workers are to look at drains, and a crash is not to forget them. */
	void (*on_change)(void *userdata);
	/* Drains the gateway itself, for as long as drains says. 0, or -EALREADY. */
	int (*drain_gateway)(void *userdata);
	void *userdata;
};

/* It must outlive the control. */
void control_orders_add(struct control *control, struct control_orders *self);
