/*
 * flow_wire - one live flow as bytes, for the process that takes it over.
 *
 * The two processes may be of different releases. So a message is a list of fields, each with its
 * type and length: a reader passes over types that it does not know, and one that is missing keeps
 * its default, which is zero. Types are never used for anything else again. Integers are big endian
 * and may be of any width up to 8 bytes, so that one can be widened; a value that does not fit its
 * place is an error.
 *
 *   bytes  0-3  "6GFL"
 *          4    major version; another one is refused
 *          then for each field: type (2), length (2), value
 *
 * Plain functions over plain data. Descriptors travel beside the bytes; their order is in
 * flow_wire_fds().
 *
 * A new member needs a number of its own in flow_wire.c, and a meaning of zero that is right for
 * flows whose giver does not know it. What it says is filled in and read by tcp_handover and
 * udp_handover; what is wrong within a whole message (a side that cannot be so) is theirs to
 * refuse.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sockaddr.h"

#define FLOW_WIRE_VERSION  1U
#define FLOW_WIRE_NAME_MAX 63U
#define FLOW_WIRE_HELD_MAX 32768U /* bytes of one direction that were read and not yet sent */
#define FLOW_WIRE_MAX	   (2U * FLOW_WIRE_HELD_MAX + 4096U)
#define FLOW_WIRE_FDS_MAX  6U

enum flow_wire_side_id { FLOW_WIRE_CLIENT, FLOW_WIRE_BACKEND, FLOW_WIRE_SIDES };

/* A blob; of a decoded message it points into the buffer. */
struct flow_wire_bytes {
	const uint8_t *data;
	uint16_t len;
};

/* What is known of one socket, and of the bytes that were read from it: see stream.h and flow.h. */
struct flow_wire_side {
	bool readable, writable, urgent, fin, ending; /* of struct stream_end */
	bool fin_sent, stalled;			      /* of struct flow_side, like acked */
	bool bulk, ended;			      /* of struct stream, like streak and bytes */
	uint8_t streak;
	int64_t bytes;
	uint64_t acked;
	uint32_t pipe_len; /* bytes in a pipe, which travels along; 0: there is none */
	struct flow_wire_bytes held;
};

/* What a UDP session has besides. */
struct flow_wire_session {
	uint64_t bytes_in, bytes_out;
	uint64_t datagrams_in, datagrams_out;
	uint32_t flow_label;
	uint16_t last_len;
	uint8_t traffic_class, hop_limit, ask;
	bool answered, confirmed;
	struct flow_wire_bytes header;
};

/* Milliseconds, as in struct config_timeouts. */
struct flow_wire_timeouts {
	uint32_t connect, connect_total, idle, half_closed, dead_peer, unanswered;
};

struct flow_wire {
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t identity; /* enum identity */
	uint8_t first_fin;
	bool guarded;
	char listener[FLOW_WIRE_NAME_MAX + 1];
	char pool[FLOW_WIRE_NAME_MAX + 1]; /* "": the client named its server */
	struct sockaddr_any bind;
	struct sockaddr_any client, local, backend, source;
	struct sockaddr_any peer; /* the proxy that named the client; family 0: nobody did */
	struct flow_wire_bytes unique_id;
	/* Of the machine's monotonic clock, which all processes share. */
	uint64_t accepted_us, connected_us, active_ms;
	/* Bytes that the counters of the images before have; 0 also of a release that says nothing.
	 */
	uint64_t counted_in, counted_out;
	struct flow_wire_timeouts timeouts;
	struct flow_wire_side side[FLOW_WIRE_SIDES]; /* TCP */
	struct flow_wire_session session;	     /* UDP */
};

/*
 * The message into buf; FLOW_WIRE_MAX bytes are enough for any flow. What is zero is left out. 0;
 * -ENOSPC if buf is too small; -EINVAL for a flow that cannot be said: it lacks what none can be
 * without, or has bytes of one direction both held and in a pipe. ret_len is untouched on failure.
 */
int flow_wire_encode(const struct flow_wire *flow, uint8_t *buf, size_t size, size_t *ret_len);

/*
 * The flow of a message; its blobs point into data, which must outlive it. 0; -EPROTONOSUPPORT for
 * another major version; -EBADMSG for anything that is not whole, does not fit, or lacks what no
 * flow can be without: a protocol, a listener, client, local address and backend. ret_flow is
 * untouched on failure. Of a field that is there twice the last one counts.
 */
int flow_wire_decode(const uint8_t *data, size_t len, struct flow_wire *ret_flow);

/*
 * How many descriptors go along: TCP: client, backend, then for each side that has bytes in a pipe
 * its two ends, that for reading first. UDP: the socket towards the server.
 */
size_t flow_wire_fds(const struct flow_wire *flow);
