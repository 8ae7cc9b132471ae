/*
 * supervisor - the process that an operator sees: opens sockets, starts workers and the logger,
 * replaces those that die, and ends them all in order.
 *
 * Signals: SIGTERM and SIGINT stop accepting and drain, a second one ends at once; SIGHUP opens the
 * access log anew; SIGUSR1 writes the counters to the log.
 */
#pragma once

#include "config.h"

/* Runs in the foreground until told to end; the process's exit status. */
int supervisor_run(const struct config *config);
