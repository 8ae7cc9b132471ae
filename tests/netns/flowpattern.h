/*
 * flowpattern - what flowload.c and flowserve.c say to each other.
 *
 * The first byte of a TCP connection says what is asked for:
 *   N  a token of TOKEN_LEN bytes, this one among them: answered with the same and the client's
 * port as the server was told it (2, big endian), then closed E  everything is sent back H  and a
 * seed (8): every HALF_MS come HALF_LEN bytes of its pattern A datagram is answered with itself and
 * the client's port as the server was told it.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TOKEN_LEN  32U
#define PORT_LEN   2U
#define HALF_MS	   100U
#define HALF_LEN   256U
#define HALF_ASKED 9U

static inline uint64_t pattern_word(uint64_t seed, uint64_t at)
{
	uint64_t x = (seed << 20) + at + 0x9e3779b97f4a7c15U;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
	return x ^ (x >> 31);
}

/* Bytes at to at + len of the stream of this seed. */
static inline void pattern_fill(uint8_t *buf, size_t len, uint64_t seed, uint64_t at)
{
	uint64_t word = pattern_word(seed, at / 8);

	for (size_t i = 0; i < len; i++, at++) {
		if (at % 8 == 0)
			word = pattern_word(seed, at / 8);
		buf[i] = (uint8_t)(word >> (at % 8 * 8));
	}
}

static inline double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static inline _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}
