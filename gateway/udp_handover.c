#include "udp_handover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void udp_handover_describe(const struct flow_table *table, const struct flow *flow,
	struct flow_wire *ret_wire, uint8_t id_buf[ACCESS_LOG_UNIQUE_ID_MAX], int *ret_fd)
{
	const struct flow_session *session = &flow->session;

	*ret_wire = (struct flow_wire){
		.protocol = IPPROTO_UDP,
		.identity = flow->identity,
		.bind = session->at->bind->addr,
		.client = flow->client,
		.local = flow->local,
		.backend = flow->backend,
		.source = flow->source,
		.accepted_us = flow->accepted_us,
		.connected_us = flow->connected_us,
		.active_ms = flow->active_ms,
		.counted_in = flow->counted_in,
		.counted_out = flow->counted_out,
		.session = {
			.bytes_in = session->bytes_in,
			.bytes_out = session->bytes_out,
			.datagrams_in = session->datagrams_in,
			.datagrams_out = session->datagrams_out,
			.flow_label = session->flow_label,
			.last_len = session->last_len,
			.traffic_class = session->traffic_class,
			.hop_limit = session->hop_limit,
			.ask = session->ask,
			.answered = session->answered,
			.confirmed = session->confirmed,
			.header = { session->header, session->header_len },
		},
	};
	snprintf(ret_wire->listener, sizeof(ret_wire->listener), "%s", flow->listener->name);
	if (flow->pool)
		snprintf(ret_wire->pool, sizeof(ret_wire->pool), "%s", flow->pool->config->name);
	ret_wire->unique_id = (struct flow_wire_bytes){
		.data = id_buf,
		.len = (uint16_t)flow_unique_id(table, flow, id_buf),
	};
	*ret_fd = session->fd;
}

/* The socket where the session's client sends to. */
static struct udp_listener *find_listener(struct udp_relay *relay, const struct flow_wire *wire)
{
	for (size_t i = 0; i < relay->n_listeners; i++)
		if (sockaddr_equal(&relay->listeners[i].bind->addr, &wire->bind))
			return &relay->listeners[i];
	return NULL;
}

static int take_header(struct flow_session *session, const struct flow_wire_bytes *header)
{
	if (header->len == 0)
		return 0;
	if (header->len > UINT8_MAX)
		return -EBADMSG;
	session->header = malloc(header->len);
	if (!session->header)
		return -ENOMEM;
	memcpy(session->header, header->data, header->len);
	session->header_len = (uint8_t)header->len;
	return 0;
}

static void take_session(struct flow *flow, const struct flow_wire *wire, int fd)
{
	const struct flow_wire_session *said = &wire->session;
	struct flow_session *session = &flow->session;

	flow->identity = wire->identity;
	flow->client = wire->client;
	flow->local = wire->local;
	flow->backend = wire->backend;
	flow->source = wire->source;
	flow->accepted_us = wire->accepted_us;
	flow->connected_us = wire->connected_us;
	flow->active_ms = wire->active_ms;
	flow->counted_in = wire->counted_in;
	flow->counted_out = wire->counted_out;
	session->fd = fd;
	session->bytes_in = said->bytes_in;
	session->bytes_out = said->bytes_out;
	session->datagrams_in = said->datagrams_in;
	session->datagrams_out = said->datagrams_out;
	session->flow_label = said->flow_label;
	session->last_len = said->last_len;
	session->traffic_class = said->traffic_class;
	session->hop_limit = said->hop_limit;
	/* Another release may ask for more at once than this one has room for. */
	session->ask = said->ask < UDP_ANSWERS_AT_ONCE ? said->ask : 0;
	session->answered = said->answered;
	session->confirmed = said->confirmed;
}

int udp_handover_take(struct udp_relay *relay, const struct flow_wire *wire, int fd)
{
	struct udp_listener *listener = find_listener(relay, wire);
	struct flow *flow = NULL;
	struct pool *pool;
	uint16_t backend = 0;
	int err = 0;

	if (!listener)
		err = -ENOENT;
	else if (sockaddr_family(&wire->client) != sockaddr_family(&wire->local))
		err = -EBADMSG;
	if (!err)
		flow = flow_new(relay->sessions.flows, listener->config);
	if (!err && !flow)
		err = -ENOMEM;
	if (err) {
		close(fd);
		return err;
	}
	take_session(flow, wire, fd);
	err = take_header(&flow->session, &wire->session.header);
	if (!err)
		err = flow_keep_told(flow, &wire->peer, wire->unique_id.data, wire->unique_id.len);
	pool = target_set_find(relay->sessions.targets, wire->pool, &wire->backend, &backend);
	if (pool)
		pool_keep(pool, backend);
	flow_set_backend(flow, pool, backend);
	if (err) {
		udp_session_abort(&relay->sessions, flow);
		return err;
	}
	flow_keep_out(relay->sessions.flows, flow);
	return udp_session_resume(&relay->sessions, listener, flow);
}
