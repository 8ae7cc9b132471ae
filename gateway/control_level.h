/*
 * control_level - the control command "log-level": which lines the log has, in all processes of
 * this image, until the next one reads it from the configuration.
 *
 * Argument: level; without it nothing changes. sixgatectl(8) has the keys of the result.
 *
 * The level is a word in shared memory (log_share_level), so all processes have the new one from
 * the next line on, without being told.
 */
#pragma once

#include "config.h"
#include "control.h"

/* config must outlive the control. */
void control_level_add(struct control *control, const struct config *config);
