/*
 * control_flows - the control commands "flows", the live entries of who.h of all workers, and
 * "kill-flow", which has a worker end one of them: it has been told to when the answer comes.
 *
 * Arguments of flows, each of which leaves some out: client (a prefix), backend, listener,
 * protocol, older-than and younger-than (duration.h), limit; of kill-flow: source, and to tell
 * several apart protocol and backend. sixgatectl(8) has the keys of the results.
 *
 * The supervisor reads the workers' tables without asking them. To end a flow it marks the entry
 * (who_doom) and sends the worker one byte, WORKER_KILL: that one looks for what is marked.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "child.h"
#include "config.h"
#include "control.h"
#include "predecessors.h"
#include "who.h"

#define CONTROL_FLOWS_LIMIT 1000U  /* of one answer, unless the request has another */
#define CONTROL_FLOWS_MAX   10000U /* whatever it has: the supervisor does nothing else meanwhile */

/* All of it is the caller's. */
struct control_flows {
	const struct config *config;
	struct who *who;		   /* NULL: it is switched off, or there was no memory */
	const struct child *workers;	   /* by their index */
	const struct predecessors *before; /* whose flows are not in these tables: only counted */
};

/* It must outlive the control. */
void control_flows_add(struct control *control, struct control_flows *flows);

/*
 * The arguments, which may be NULL, as a filter. now_us: of the wall clock, against which ages are.
 * 0, or -EINVAL with error filled and ret untouched.
 */
int control_flows_filter(const json_t *args, const struct config *config, uint64_t now_us,
	struct who_filter *ret, struct control_error *error);
