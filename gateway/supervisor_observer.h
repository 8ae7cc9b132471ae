/*
 * supervisor_observer - the supervisor's part in the observer: its sockets, its process, and what
 * it is told.
 */
#pragma once

#include "supervisor_state.h"

/* Only if the configuration wants it. Without it the gateway works as well; the log says why. */
void supervisor_observer_start(struct supervisor *supervisor);

/* A child's message, if that is the observer; false: it is another child. */
bool supervisor_observer_heard(
	struct supervisor *supervisor, const struct child *child, char message);
/* True if the process was the observer. */
bool supervisor_observer_reaped(struct supervisor *supervisor, pid_t pid, int status);

/* Its sockets; with all, what it remembers too. 0 or a negative errno. */
int supervisor_observer_bequeath(
	const struct supervisor *supervisor, bool all, struct estate *estate);

void supervisor_observer_stop(struct supervisor *supervisor);
