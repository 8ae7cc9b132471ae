/*
 * fuzz - what the fuzzers have in common: libFuzzer's interface, a check that also optimised builds
 * make, and a mutator that knows words.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* Adds one of the words at the end or anywhere; the rest is libFuzzer's. */
static inline size_t fuzz_add_word(const char *const *words, size_t n_words, uint8_t *data,
	size_t size, size_t max_size, unsigned seed)
{
	const char *word = words[seed / 16 % n_words];
	size_t len = strlen(word), at = seed % 4 == 0 ? seed / 256 % (size + 1) : size;

	if (seed % 4 == 3 || size + len > max_size)
		return LLVMFuzzerMutate(data, size, max_size);
	memmove(data + at + len, data + at, size - at);
	memcpy(data + at, word, len);
	return size + len;
}
