#include "tcp_told.h"

#include <errno.h>
#include <stdlib.h>

#include "upstream.h"

bool tcp_told_is_due(const struct flow *flow)
{
	return upstream_is_trusted(&flow->listener->accept_proxy, &flow->client);
}

static int keep(struct flow *flow, const struct proxyhdr *header, const char **ret_reason)
{
	struct flow_told *told = malloc(sizeof(*told));

	if (!told)
		return -ENOMEM;
	*told = (struct flow_told){ .peer = flow->client, .at = flow->local };
	if (upstream_ends(header, &told->src, &told->dst) < 0) {
		free(told);
		*ret_reason = "its header names a UNIX socket, which no server can be told of";
		return -EBADMSG;
	}
	flow->told = told;
	if (sockaddr_family(&told->src) == AF_UNSPEC)
		return 0;
	flow->client = told->src;
	flow->local = told->dst;
	sockaddr_unmap(&flow->client);
	sockaddr_unmap(&flow->local);
	return 0;
}

int tcp_told_read(struct flow *flow, const char **ret_reason)
{
	struct stream_end *end = &flow->side[FLOW_CLIENT].end;
	uint8_t buf[UPSTREAM_HEADER_MAX];
	struct proxyhdr header;
	int err = upstream_read(end->fd, buf, end->fin, &header, ret_reason);

	if (err == -EAGAIN)
		end->readable = false; /* the next byte comes with an event */
	return err ? err : keep(flow, &header, ret_reason);
}
