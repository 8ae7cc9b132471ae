#include "hash.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* v0 to v3 of the paper. */
struct state {
	uint64_t v[4];
};

static uint64_t rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static uint64_t load(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return le64toh(word);
}

/* What is left, below eight bytes, with the length (modulo 256) in the highest one. */
static uint64_t load_last(const uint8_t *p, size_t left, size_t len)
{
	uint64_t word = (uint64_t)len << 56;

	for (size_t i = 0; i < left; i++)
		word |= (uint64_t)p[i] << 8 * i;
	return word;
}

static void rounds(struct state *s, int n)
{
	uint64_t *v = s->v;

	while (n-- > 0) {
		v[0] += v[1];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[0] = rotate(v[0], 32);
		v[2] += v[3];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[2] = rotate(v[2], 32);
	}
}

/* Two rounds for each word, four at the end: the 2-4 of its name. */
static void absorb(struct state *s, uint64_t word)
{
	s->v[3] ^= word;
	rounds(s, 2);
	s->v[0] ^= word;
}

int hash_key_init(struct hash_key *key)
{
	struct hash_key fresh;

	if (getrandom(&fresh, sizeof(fresh), 0) != sizeof(fresh))
		return errno ? -errno : -EIO;
	*key = fresh;
	return 0;
}

/* The constants are the paper's: "somepseudorandomlygeneratedbytes". */
uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t len)
{
	struct state s = { { key->k[0] ^ 0x736f6d6570736575U, key->k[1] ^ 0x646f72616e646f6dU,
		key->k[0] ^ 0x6c7967656e657261U, key->k[1] ^ 0x7465646279746573U } };
	const uint8_t *p = data;
	size_t left = len;

	for (; left >= 8; p += 8, left -= 8)
		absorb(&s, load(p));
	absorb(&s, load_last(p, left, len));
	s.v[2] ^= 0xff;
	rounds(&s, 4);
	return s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3];
}
