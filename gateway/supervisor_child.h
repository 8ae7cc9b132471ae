/*
 * supervisor_child - what becomes of the supervisor's memory and descriptors in a process that it
 * has just forked: a worker, the logger, the holder or the observer.
 */
#pragma once

#include "supervisor_state.h"

/* A child_run: lets go of what is others', and is that process. The exit status. */
int supervisor_child_run(struct child *child, int channel_fd);

/* The access log is somebody else's business from here on. */
void supervisor_child_close_access(struct supervisor *supervisor);
