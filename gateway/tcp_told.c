#include "tcp_told.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tlvs.h"
#include "upstream.h"

bool tcp_told_is_due(const struct flow *flow)
{
	return upstream_is_trusted(&flow->listener->accept_proxy, &flow->client);
}

/* The ends that the flow's own header will have. */
static int take_ends(struct flow *flow, struct flow_told *told, const struct proxyhdr *header)
{
	if (upstream_ends(header, &told->src, &told->dst) < 0)
		return -EAFNOSUPPORT;
	told->peer = flow->client;
	told->at = flow->local;
	if (sockaddr_family(&told->src) == AF_UNSPEC)
		return 0;
	flow->client = told->src;
	flow->local = told->dst;
	sockaddr_unmap(&flow->client);
	sockaddr_unmap(&flow->local);
	return 0;
}

/* Of the server's, without TLVs. A pair of which one alone was v4-mapped is told as IPv6. */
static size_t header_len(const struct flow *flow)
{
	bool v4 = sockaddr_family(&flow->client) == AF_INET &&
		  sockaddr_family(&flow->local) == AF_INET;

	return v4 ? PROXYHDR_V2_INET_LEN : PROXYHDR_V2_INET6_LEN;
}

/* Takes what is passed on. 0 or -ENOMEM. */
static int take_tlvs(struct flow *flow, const struct proxyhdr *header, unsigned *ret_left_out)
{
	const struct config_listener *listener = flow->listener;
	uint8_t buf[UPSTREAM_HEADER_MAX];
	const struct tlvs_passed passed = tlvs_pass(&listener->tlvs, header->tlvs, header->tlvs_len,
		header_len(flow), listener->header_max, buf);
	struct flow_told *told;

	told = realloc(flow->told, sizeof(*told) + passed.unique_id.len);
	if (!told)
		return -ENOMEM;
	flow->told = told;
	told->unique_id_len = (uint8_t)passed.unique_id.len;
	if (passed.unique_id.len)
		memcpy(told->unique_id, passed.unique_id.value, passed.unique_id.len);
	*ret_left_out = passed.left_out;
	if (passed.len == 0)
		return 0;
	told->tlvs = malloc(passed.len);
	if (!told->tlvs)
		return -ENOMEM;
	memcpy(told->tlvs, buf, passed.len);
	told->tlvs_len = (uint16_t)passed.len;
	return 0;
}

int tcp_told_read(struct flow *flow, unsigned *ret_left_out, const char **ret_reason)
{
	struct stream_end *end = &flow->side[FLOW_CLIENT].end;
	uint8_t buf[UPSTREAM_HEADER_MAX];
	struct proxyhdr header;
	int err = upstream_read(end->fd, buf, end->fin, &header, ret_reason);

	if (err == -EAGAIN)
		end->readable = false; /* the next byte comes with an event */
	if (err)
		return err;
	assert(!flow->told);
	flow->told = calloc(1, sizeof(*flow->told));
	if (!flow->told)
		return -ENOMEM;
	if (take_ends(flow, flow->told, &header) < 0) {
		free(flow->told);
		flow->told = NULL;
		*ret_reason = "its header names a UNIX socket, which no server can be told of";
		return -EBADMSG;
	}
	return tlvs_passes_any(&flow->listener->tlvs) && header.tlvs_len
		       ? take_tlvs(flow, &header, ret_left_out)
		       : 0;
}

void tcp_told_forget(struct flow *flow)
{
	if (!flow->told)
		return;
	free(flow->told->tlvs);
	flow->told->tlvs = NULL;
	flow->told->tlvs_len = 0;
}
