/*
 * supervisor_end - the supervisor's way to the end: workers are told to drain, then to end, and
 * what has not gone by then is killed.
 *
 * For the supervisor's own process only. Nothing here waits; the caller's loop goes on while
 * supervisor_end_children() are left.
 */
#pragma once

#include <stddef.h>

#include "supervisor_state.h"
#include "worker.h"

/* For what should have ended: workers beyond the drain limit, and the logger. */
#define SUPERVISOR_END_GRACE_MS 3000U

/* Before the first of the others: makes the timer that kills. */
void supervisor_end_init(struct supervisor *supervisor);

/*
 * The processes that are waited for at the end: workers, the holder, and the workers of earlier
 * images unless the start has FAILED, as then these serve on. Not the logger, who ends last, nor
 * the observer, who has nothing to finish.
 */
size_t supervisor_end_children(const struct supervisor *supervisor);

/*
 * To DRAINING: no more clients are let in, and live flows may finish, for as long as the gateway's
 * drain limit says. Not to be called twice.
 */
void supervisor_end_drain(struct supervisor *supervisor);

/* Live flows are reset now. In FAILED it is only our own workers that are told. */
void supervisor_end_now(struct supervisor *supervisor);

/* Kills what supervisor_end_children() counts. */
void supervisor_end_kill(struct supervisor *supervisor);

/* Takes the holder's part out of the way of clients, if there is one. Harmless if repeated. */
void supervisor_end_holding(struct supervisor *supervisor);
