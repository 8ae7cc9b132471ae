/*
 * supervisor_child - what becomes of the supervisor's memory and descriptors in a process that it
 * has just forked: a worker, the logger, the holder or the observer.
 */
#pragma once

#include "supervisor_state.h"

/*
 * A child_run, in the new process: closes every descriptor and forgets every duty that is others',
 * and is that process until its end. The exit status. Whatever the supervisor opens and a child
 * must not have, has to be let go of here: a listening socket in a stray process would take
 * clients that nobody serves, a guard's socket would keep its table.
 */
int supervisor_child_run(struct child *child, int channel_fd);

/* The access log is somebody else's business from here on. Standard error stays open. */
void supervisor_child_close_access(struct supervisor *supervisor);
