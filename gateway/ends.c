#include "ends.h"

#include <string.h>

static size_t put_end(uint8_t *data, const struct sockaddr_any *addr)
{
	if (sockaddr_family(addr) == AF_INET) {
		memcpy(data, &addr->in.sin_port, 2);
		memcpy(data + 2, &addr->in.sin_addr, 4);
		return 6;
	}
	memcpy(data, &addr->in6.sin6_port, 2);
	memcpy(data + 2, &addr->in6.sin6_addr, 16);
	return 18;
}

uint64_t ends_hash(const struct hash_key *key, const struct sockaddr_any *client,
	const struct sockaddr_any *local)
{
	uint8_t data[36];
	size_t len = put_end(data, client);

	len += put_end(data + len, local);
	return hash_bytes(key, data, len);
}
