/*
 * supervisor_control - the supervisor's control socket with all its commands, and "status" and
 * "pools", which are its own.
 */
#pragma once

#include "supervisor_state.h"

/*
 * When shared memory, lists, guard and orders are there, as commands refer to them. Without a
 * socket the gateway works as well; the log says why. 0 or -ENOMEM.
 */
int supervisor_control_start(struct supervisor *supervisor);

/* The answer to "status", an object, which is the caller's. 0 or -ENOMEM. */
int supervisor_control_status(struct supervisor *supervisor, json_t **ret_status);
