/*
 * ctl_net - the commands "sixgatectl net ...": shows, makes and undoes what the gateway wants in
 * the kernel, with or without the daemon.
 *
 * They print their result, on standard output as text or as one JSON object, and errors on standard
 * error. They return an exit status: 0, 1 (something differs, or failed), 77 (CAP_NET_ADMIN is
 * missing, see sixgatectl(8)).
 *
 * They work on the kernel themselves and ask no gateway. The journal in the run-directory keeps
 * them and a gateway (net_keeper) from working at the same time.
 */
#pragma once

#include <stdbool.h>

#include "config.h"

/* What would be changed. */
int ctl_net_plan(const struct config *config, bool json);
/* Changes it, all or nothing. */
int ctl_net_apply(const struct config *config, bool json);
/* What is there, what is missing or left over, and how the last application ended. */
int ctl_net_status(const struct config *config, bool json);
/* Removes everything of ours. */
int ctl_net_teardown(const char *run_directory, bool json);
