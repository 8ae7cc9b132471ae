#include "identity.h"

#include <assert.h>
#include <errno.h>
#include <proxyhdr.h>
#include <string.h>

static_assert(IDENTITY_HEADER_MAX >= PROXYHDR_V1_MAX, "room for every header without TLVs");
static_assert(IDENTITY_HEADER_MAX >= PROXYHDR_V2_INET6_LEN, "room for every header without TLVs");

static void endpoint_set(struct proxyhdr_endpoint *endpoint, const struct sockaddr_any *addr)
{
	if (sockaddr_family(addr) == AF_INET)
		memcpy(endpoint->addr, &addr->in.sin_addr, sizeof(addr->in.sin_addr));
	else
		memcpy(endpoint->addr, &addr->in6.sin6_addr, sizeof(addr->in6.sin6_addr));
	endpoint->port = sockaddr_port(addr);
}

/* One mapped address alone stays: a proxy may have had to write its client's like that. */
static void unmap_pair(struct sockaddr_any *src, struct sockaddr_any *dst)
{
	struct sockaddr_any plain_src = *src, plain_dst = *dst;

	sockaddr_unmap(&plain_src);
	sockaddr_unmap(&plain_dst);
	if (sockaddr_family(&plain_src) != sockaddr_family(&plain_dst))
		return;
	*src = plain_src;
	*dst = plain_dst;
}

int identity_header(enum identity identity, uint8_t protocol, const struct sockaddr_any *client,
	const struct sockaddr_any *local, const struct identity_extra *extra,
	uint8_t buf[IDENTITY_HEADER_MAX], size_t *ret_len)
{
	struct sockaddr_any src = *client, dst = *local;
	struct proxyhdr header;
	size_t len;
	int err;

	if (identity != IDENTITY_PROXY_V2 && identity != IDENTITY_PROXY_V1 &&
		identity != IDENTITY_PROXY_V2_FIRST) {
		*ret_len = 0;
		return 0;
	}
	unmap_pair(&src, &dst);
	if (sockaddr_family(&src) != sockaddr_family(&dst) || sockaddr_len(&src) == 0)
		return -EINVAL;
	header = (struct proxyhdr){
		.version = identity == IDENTITY_PROXY_V1 ? 1 : 2,
		.command = PROXYHDR_PROXY,
		.family = sockaddr_family(&src) == AF_INET ? PROXYHDR_INET : PROXYHDR_INET6,
		.transport = protocol == IPPROTO_UDP ? PROXYHDR_DGRAM : PROXYHDR_STREAM,
	};
	endpoint_set(&header.src, &src);
	endpoint_set(&header.dst, &dst);
	/* Version 1 is a line of text, and has no place for them. */
	if (header.version == 1)
		extra = NULL;
	if (extra && extra->tlvs_len) {
		header.tlvs = extra->tlvs;
		header.tlvs_len = extra->tlvs_len;
	}
	err = proxyhdr_encode(&header, buf, IDENTITY_HEADER_MAX, &len);
	/* Last, as it is over all that comes before it (section 2.2.3). */
	if (!err && extra && extra->crc32c)
		err = proxyhdr_crc32c_append(buf, IDENTITY_HEADER_MAX, &len);
	if (err)
		return err == -ENOSPC ? -EMSGSIZE : err;
	*ret_len = len;
	return 0;
}
