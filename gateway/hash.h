/*
 * hash - SipHash-2-4: a hash of 64 bits that nobody can predict without the key.
 *
 * Tables that strangers fill, by choosing addresses and ports, are to be hashed with it. Source:
 * Aumasson and Bernstein, "SipHash: a fast short-input PRF".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct hash_key {
	uint64_t k[2];
};

/* A random key. 0 or a negative errno. */
int hash_key_init(struct hash_key *key);

uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t len);
