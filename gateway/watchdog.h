/*
 * watchdog - tells the service manager again and again that the loop runs (WatchdogSec=,
 * sd_watchdog_enabled(3)), at twice the pace that it asks for.
 *
 * With that goes READY=1 while it is so: it may not have got it when it was first told.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"

struct watchdog {
	struct loop *loop;
	struct timer timer;
	uint64_t interval_ms;
	bool (*is_ready)(void *userdata);
	void *userdata;
};

/* Does nothing where the manager asks for nothing. Ends with the loop. */
void watchdog_start(struct watchdog *watchdog, struct loop *loop, bool (*is_ready)(void *userdata),
	void *userdata);
