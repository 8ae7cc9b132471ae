/*
 * udp_handover - a UDP session from one worker to another, as tcp_handover.h does it for
 * connections.
 *
 * A session without a listener could not answer, so one whose listener is gone is lost. Its header
 * goes along as bytes: the server has seen them, and what made them may be configured otherwise
 * now.
 */
#pragma once

#include <stddef.h>

#include "flow_wire.h"
#include "udp_relay.h"

/*
 * What is to be said of a live session, and the descriptor that goes along, which stays its own.
 * ret_wire is good as long as the flow and id_buf are.
 */
void udp_handover_describe(const struct flow_table *table, const struct flow *flow,
	struct flow_wire *ret_wire, uint8_t id_buf[ACCESS_LOG_UNIQUE_ID_MAX], int *ret_fd);

/*
 * Makes a session of it. The descriptor is the session's from then on, or closed. 0; or a negative
 * errno, -ENOENT: no listener is there.
 */
int udp_handover_take(struct udp_relay *relay, const struct flow_wire *wire, int fd);
