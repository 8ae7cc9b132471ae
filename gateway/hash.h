/*
 * hash - SipHash-2-4: a hash of 64 bits that nobody can predict without the key.
 *
 * Tables that strangers fill, by choosing addresses and ports, are to be hashed with it: else they
 * could put all of theirs into one slot. Source: Aumasson and Bernstein, "SipHash: a fast
 * short-input PRF" (2012); tests/unit/test_hash.c has its vectors.
 *
 * A key that is known to all (maglev.c) makes it an ordinary hash that is the same everywhere.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct hash_key {
	uint64_t k[2];
};

/*
 * A random key, of getrandom(2), which waits only where the kernel has no randomness yet, early in
 * a machine's boot. 0; or a negative errno, and key is untouched.
 */
int hash_key_init(struct hash_key *key);

/*
 * data may be anywhere, len 0 too. The same on every machine, whatever its byte order; what is
 * hashed must have no padding in it.
 */
uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t len);
