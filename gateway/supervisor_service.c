#include "supervisor_service.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config_file.h"
#include "log.h"
#include "notify.h"
#include "service_job.h"

static bool is_settled(void *userdata)
{
	const struct supervisor *supervisor = userdata;

	return supervisor->state == RUNNING && !successor_is_trying(supervisor->successor);
}

void supervisor_service_start(struct supervisor *supervisor)
{
	watchdog_start(&supervisor->watchdog, &supervisor->loop, is_settled, supervisor);
}

void supervisor_service_stopping(uint64_t limit_ms)
{
	char text[96];

	/* Without the last line systemd would kill us before the drain is over. */
	snprintf(text, sizeof(text), "STOPPING=1\nSTATUS=Draining\nEXTEND_TIMEOUT_USEC=%llu",
		1000ULL * limit_ms);
	(void)notify_send(text, -1);
}

/* With a wrong one there would be nobody to serve, nor to take away what was set up. */
static bool can_be_read(const char *path)
{
	char error[CONFIG_ERROR_MAX];
	struct config *config = NULL;
	int err = path ? config_file_load(path, &config, error) : 0;

	if (err)
		log_error("this restart is a stop, and the start would fail: %s", error);
	config_free(config);
	return err == 0;
}

void supervisor_service_leave(struct supervisor *supervisor)
{
	/* Until the start is over the manager keeps those that serve meanwhile. */
	if ((supervisor->state != RUNNING && supervisor->state != STARTING) ||
		!fd_store_is_filled(&supervisor->store) || !service_job_is_restart() ||
		!can_be_read(supervisor->setup->path))
		return;
	log_info("restarting: workers serve on, and the next supervisor takes over");
	successor_end(supervisor->successor);
	_exit(EXIT_SUCCESS);
}
