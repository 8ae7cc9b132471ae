/*
 * tcp_handover - a TCP flow from one worker to another: what is said of it (flow_wire.h), and how
 * it becomes a flow again.
 *
 * The two workers may have different configurations. A flow whose listener is gone lives on under a
 * name and with timeouts that it brings along; one whose backend is gone counts as nobody's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "flow_wire.h"
#include "list.h"
#include "tcp_relay.h"

/* Listeners that this worker's configuration does not have, but its flows do. */
struct tcp_handover_retired {
	struct list_node listeners;
};

void tcp_handover_retired_init(struct tcp_handover_retired *retired);
/* When no flow is left that refers to one of them. */
void tcp_handover_retired_destroy(struct tcp_handover_retired *retired);

/* Whether the flow can leave now; one that is at its beginning or its end cannot. */
bool tcp_handover_is_ready(const struct flow *flow);

/*
 * What is to be said of a flow that is ready, and copies of which descriptors go along, which stay
 * the flow's. ret_wire is good until the flow moves on, and as long as id_buf is.
 */
void tcp_handover_describe(const struct flow_table *table, const struct flow *flow,
	struct flow_wire *ret_wire, uint8_t id_buf[ACCESS_LOG_UNIQUE_ID_MAX],
	int ret_fds[FLOW_WIRE_FDS_MAX]);

/*
 * Makes a flow of it. The descriptors, as many as flow_wire_fds() says, are the flow's from then
 * on, or closed. 0; or a negative errno: the connection is reset, or was already.
 */
int tcp_handover_take(struct tcp_relay *relay, struct tcp_handover_retired *retired,
	const struct flow_wire *wire, const int *fds);
