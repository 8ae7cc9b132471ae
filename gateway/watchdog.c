#include "watchdog.h"

#include <systemd/sd-daemon.h>

#include "notify.h"

static void on_due(struct timer *timer)
{
	struct watchdog *watchdog = list_entry(timer, struct watchdog, timer);
	bool ready = watchdog->is_ready(watchdog->userdata);

	(void)notify_send(ready ? "WATCHDOG=1\nREADY=1" : "WATCHDOG=1", -1);
	loop_timer_set(watchdog->loop, timer, watchdog->loop->now_ms + watchdog->interval_ms);
}

void watchdog_start(struct watchdog *watchdog, struct loop *loop, bool (*is_ready)(void *userdata),
	void *userdata)
{
	uint64_t limit_us = 0;

	if (sd_watchdog_enabled(0, &limit_us) <= 0)
		return;
	*watchdog = (struct watchdog){
		.loop = loop,
		.interval_ms = limit_us / 2000 > TIMER_TICK_MS ? limit_us / 2000 : TIMER_TICK_MS,
		.is_ready = is_ready,
		.userdata = userdata,
	};
	timer_init(&watchdog->timer, on_due);
	/* An image before this one may have told it nearly so long ago. */
	loop_timer_set(loop, &watchdog->timer, loop->now_ms);
}
