/*
 * ends - a hash of a connection's two ends, for tables in which it is found by them.
 */
#pragma once

#include "hash.h"
#include "sockaddr.h"

/* Both without v4-mapped forms; addresses and ports count, scopes do not. */
uint64_t ends_hash(const struct hash_key *key, const struct sockaddr_any *client,
	const struct sockaddr_any *local);
