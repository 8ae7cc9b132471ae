/*
 * tcp_told - a flow's client as a proxy in front of us names it (listener section "accept-proxy").
 *
 * Plain steps of a flow's beginning; when they are taken, and what becomes of the flow, is the
 * business of tcp_relay.h.
 */
#pragma once

#include <stdbool.h>

#include "flow.h"

/* Whether the flow's peer tells us who its client is before anything else. */
bool tcp_told_is_due(const struct flow *flow);

/*
 * Reads the header. 0: the flow has what it was told, and its client and local are those named, if
 * any are; ret_left_out says how many TLVs would have been passed on, had they had room. -EAGAIN:
 * it is not whole, and an event will tell of more; -ENODATA: the proxy has left without a byte;
 * -EBADMSG: it is no header, or one that we cannot tell a server of, for ret_reason, a static text;
 * -ENOMEM; or the socket's own error. The header's bytes are taken out of the socket only when it
 * is whole and good.
 */
int tcp_told_read(struct flow *flow, unsigned *ret_left_out, const char **ret_reason);

/* The server's header is made: what was only kept for that goes. */
void tcp_told_forget(struct flow *flow);

/* What the client's connection to us was to, whatever a header says: by it the server is chosen. */
static inline const struct sockaddr_any *tcp_told_destination(const struct flow *flow)
{
	return flow->told ? &flow->told->at : &flow->local;
}
