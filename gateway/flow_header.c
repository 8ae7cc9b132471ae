#include "flow_header.h"

#include <assert.h>
#include <errno.h>

#include "tlvs.h"

static_assert(ACCESS_LOG_UNIQUE_ID_MAX == PROXYHDR_UNIQUE_ID_MAX, "every unique id can be logged");

static bool has_extra(const struct flow *flow)
{
	const struct config_tlvs *tlvs = &flow->listener->tlvs;

	return tlvs->custom_len || tlvs->crc32c || tlvs->unique_id ||
	       (flow->told && (flow->told->tlvs_len || flow->told->unique_id_len));
}

static int make_with_tlvs(const struct flow_table *table, const struct flow *flow,
	const struct sockaddr_any *src, const struct sockaddr_any *dst, uint8_t *buf,
	size_t *ret_len)
{
	uint8_t area[IDENTITY_HEADER_MAX], id[PROXYHDR_UNIQUE_ID_MAX];
	const struct flow_told *told = flow->told;
	const struct config_tlvs *tlvs = &flow->listener->tlvs;
	struct identity_extra extra = { .tlvs = area, .crc32c = tlvs->crc32c };

	extra.tlvs_len = tlvs_put(tlvs, id, flow_unique_id(table, flow, id),
		told ? told->tlvs : NULL, told ? told->tlvs_len : 0, area, sizeof(area));
	return identity_header((enum identity)flow->identity, flow->listener->protocol, src, dst,
		&extra, buf, ret_len);
}

int flow_header_make(const struct flow_table *table, const struct flow *flow,
	uint8_t buf[IDENTITY_HEADER_MAX], size_t *ret_len)
{
	const struct sockaddr_any *src = &flow->client, *dst = &flow->local;
	size_t len;
	int err;

	/* As they were written, which the log's form may not be. */
	if (flow->told && sockaddr_family(&flow->told->src) != AF_UNSPEC) {
		src = &flow->told->src;
		dst = &flow->told->dst;
	}
	if (has_extra(flow))
		err = make_with_tlvs(table, flow, src, dst, buf, &len);
	else
		err = identity_header((enum identity)flow->identity, flow->listener->protocol, src,
			dst, NULL, buf, &len);
	if (err)
		return err;
	if (len > flow->listener->header_max)
		return -EMSGSIZE;
	*ret_len = len;
	return 0;
}
