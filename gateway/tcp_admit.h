/*
 * tcp_admit - whether a TCP client may come in, once it is known who it is: by the lists, within
 * the limits.
 *
 * One that may not is turned away here: counted, said, recorded and reset; the flow has ended then.
 */
#pragma once

#include <stdbool.h>

#include "config.h"
#include "flow.h"
#include "tcp_end.h"

/*
 * Whether the lists let flow->client in, and its listener is not drained. config: that of the
 * flow's listener. False: the flow is FLOW_DEAD.
 */
bool tcp_admit_listed(struct tcp_end *ends, const struct config *config, struct flow *flow);

/*
 * Takes a place within the limits of its listener, which the flow gives back when it ends. Once for
 * each flow. False: the flow is FLOW_DEAD.
 */
bool tcp_admit_place(struct tcp_end *ends, const struct config *config, struct flow *flow);

/* The pool (-EBUSY), or each of its servers (-EUSERS), has all the connections that it may. */
void tcp_admit_no_backend(struct tcp_end *ends, struct flow *flow, int err);
