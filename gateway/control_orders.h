/*
 * control_orders - the control commands by which operators give orders: text in, orders.h out.
 *
 * sixgatectl(8) has their arguments and the keys of the results.
 */
#pragma once

#include "control.h"
#include "orders.h"

struct control_orders {
	const struct config *config;
	struct pool_state *pools;
	struct orders *orders;
	/* Orders have changed: a crash is not to forget them. */
	void (*on_change)(void *userdata);
	void *userdata;
};

/* It must outlive the control. */
void control_orders_add(struct control *control, struct control_orders *self);
