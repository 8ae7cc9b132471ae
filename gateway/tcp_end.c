#include "tcp_end.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void tcp_end_flow(
	struct tcp_end *ends, struct flow *flow, enum access_log_end end, enum access_log_by by)
{
	const struct linger orderly = { 0 };

	assert(flow->state != FLOW_DEAD);
	/* Every other end is a reset: from birth sockets linger for no time (tcp_connect.c). */
	for (int i = 0; i < FLOW_SIDES; i++) {
		struct flow_side *side = &flow->side[i];

		if (end == ACCESS_LOG_CLOSED)
			(void)setsockopt(
				side->end.fd, SOL_SOCKET, SO_LINGER, &orderly, sizeof(orderly));
		if (side->end.fd >= 0)
			close(side->end.fd);
		side->end.fd = -1;
		stream_drop(ends->streams, &side->stream);
	}
	tcp_hold_remove(ends->hold, flow);
	flow_end(ends->flows, flow, end, by);
}

void tcp_end_waiting(struct tcp_end *ends, struct flow *flow)
{
	assert(tcp_hold_has(flow) && flow->side[FLOW_CLIENT].end.fd < 0);
	close(flow->side[FLOW_BACKEND].end.fd);
	tcp_hold_remove(ends->hold, flow);
	flow_discard(ends->flows, flow);
}

void tcp_end_unconnected(struct tcp_end *ends, struct flow *flow, int error)
{
	enum access_log_end end = access_log_end_of_connect(error);
	enum access_log_by by =
		end == ACCESS_LOG_REFUSED ? ACCESS_LOG_BY_BACKEND : ACCESS_LOG_BY_GATEWAY;
	char client[SOCKADDR_TEXT_MAX], backend[SOCKADDR_TEXT_MAX] = "none";
	unsigned suppressed = 0;

	if (tcp_hold_has(flow) && !tcp_hold_set_error(flow, error)) {
		tcp_end_waiting(ends, flow);
		return;
	}
	if (log_allowed(&ends->log, ends->loop->now_ms, &suppressed)) {
		if (sockaddr_family(&flow->backend) != AF_UNSPEC)
			sockaddr_format(&flow->backend, backend);
		log_warning("listener %s: client %s %s: backend %s: %s (%s; %u more like this)",
			flow->listener->name, sockaddr_format(&flow->client, client),
			tcp_hold_has(flow) ? "not let in" : "reset", backend,
			access_log_end_name(end), strerror(error), suppressed);
	}
	tcp_end_flow(ends, flow, end, by);
}

void tcp_end_refused(
	struct tcp_end *ends, struct flow *flow, enum access_log_end end, const char *reason)
{
	char client[SOCKADDR_TEXT_MAX], local[SOCKADDR_TEXT_MAX];
	unsigned suppressed = 0;

	if (log_allowed(&ends->refused_log, ends->loop->now_ms, &suppressed))
		log_warning("listener %s: client %s %s at %s: %s (%u more like this)",
			flow->listener->name, sockaddr_format(&flow->client, client),
			tcp_hold_has(flow) ? "not let in" : "reset",
			sockaddr_format(&flow->local, local), reason, suppressed);
	if (tcp_hold_has(flow))
		tcp_hold_set_refused(flow);
	tcp_end_flow(ends, flow, end, ACCESS_LOG_BY_GATEWAY);
}

void tcp_end_killed(struct tcp_end *ends, struct flow *flow)
{
	if (tcp_hold_has(flow))
		tcp_hold_set_refused(flow);
	tcp_end_flow(ends, flow, ACCESS_LOG_KILLED, ACCESS_LOG_BY_GATEWAY);
}

void tcp_end_untold(
	struct tcp_end *ends, struct flow *flow, enum access_log_end end, const char *reason)
{
	char peer[SOCKADDR_TEXT_MAX];
	unsigned suppressed = 0;

	if (log_allowed(&ends->header_log, ends->loop->now_ms, &suppressed))
		log_warning("listener %s: proxy %s reset: %s (%u more like this)",
			flow->listener->name, sockaddr_format(&flow->client, peer), reason,
			suppressed);
	tcp_end_flow(ends, flow, end, ACCESS_LOG_BY_GATEWAY);
}
