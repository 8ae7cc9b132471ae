/*
 * supervisor_service - the supervisor as a service of systemd: stop, restart, watchdog.
 */
#pragma once

#include <stdint.h>

#include "supervisor_state.h"

/* Begins to feed the manager's watchdog, if it has one for us. */
void supervisor_service_start(struct supervisor *supervisor);

/*
 * Tells the manager that the end has begun, and how long it may take, in milliseconds from now.
 * Nothing without one.
 */
void supervisor_service_stopping(uint64_t limit_ms);

/*
 * At SIGTERM. If the manager keeps our sockets and workers, starts us again at once, and the
 * configuration of then can be read: leaves everything as it is and ends the process, as if it had
 * been killed. Else comes back.
 */
void supervisor_service_leave(struct supervisor *supervisor);
