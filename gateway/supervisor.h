/*
 * supervisor - the process that an operator sees: opens sockets, starts workers and the logger,
 * replaces those that die, makes way for a successor, and ends them all in order.
 *
 * Signals: SIGTERM and SIGINT stop accepting and drain, a second one ends at once; SIGHUP is a
 * reload, which opens the access log anew as well, SIGUSR2 does that alone; SIGUSR1 writes the
 * counters to the log.
 */
#pragma once

#include "supervisor_setup.h"

/*
 * Runs in the foreground until told to end; the process's exit status: EXIT_FAILURE if it could not
 * start, for which the log has the reason. Does not come back at all where the process becomes
 * another image of itself, or goes back to the one before, or leaves its workers to the next
 * supervisor (supervisor_service.h). It blocks signals and sets the limit of open files for good.
 */
int supervisor_run(const struct supervisor_setup *setup);

/*
 * Goes as far as it can without touching what others use, and comes back: whether a successor could
 * start. The process's exit status; what is wrong is said on standard error.
 */
int supervisor_try(const struct supervisor_setup *setup);
