/*
 * service_job - whether systemd ends this process in order to start it again.
 *
 * SIGTERM does not say. The job of the process's unit does, over D-Bus, see
 * org.freedesktop.systemd1(5): property Job of the unit and JobType of that.
 */
#pragma once

#include <stdbool.h>

#define SERVICE_JOB_WAIT_MS 1000

/*
 * Waits no longer than SERVICE_JOB_WAIT_MS. False as well where this cannot be found out: no
 * systemd, no D-Bus, no answer; the log says why at level info.
 */
bool service_job_is_restart(void);
