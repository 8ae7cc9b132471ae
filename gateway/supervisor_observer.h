/*
 * supervisor_observer - the supervisor's part in the observer: its sockets, its process, and what
 * it is told.
 */
#pragma once

#include "supervisor_state.h"

/* Only if the configuration wants it. Without it the gateway works as well; the log says why. */
void supervisor_observer_start(struct supervisor *supervisor);

/*
 * A child's message, if that is the observer; false: it is another child. It asks for "status",
 * which it gets as a file of its own: so a slow observer never holds the supervisor up.
 */
bool supervisor_observer_heard(
	struct supervisor *supervisor, const struct child *child, char message);
/* True if the process was the observer, which is replaced then. */
bool supervisor_observer_reaped(struct supervisor *supervisor, pid_t pid, int status);

/*
 * Into the estate its sockets; with all, what it remembers too. They stay ours. 0 or a negative
 * errno.
 */
int supervisor_observer_bequeath(
	const struct supervisor *supervisor, bool all, struct estate *estate);

/* Kills it, waits for it, closes what is its. Harmless if it was never started. */
void supervisor_observer_stop(struct supervisor *supervisor);
