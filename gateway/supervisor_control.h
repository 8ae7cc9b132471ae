/*
 * supervisor_control - the supervisor's control socket with all its commands, and "status" and
 * "pools", which are its own.
 */
#pragma once

#include "supervisor_state.h"

/* Without a socket the gateway works as well; the log says why. 0 or -ENOMEM. */
int supervisor_control_start(struct supervisor *supervisor);

/* The answer to "status", an object. 0 or -ENOMEM. */
int supervisor_control_status(struct supervisor *supervisor, json_t **ret_status);
