/*
 * unique_id - names for connections that no two share: not of one process, of several, or of
 * several gateways, today or later.
 *
 * 32 hexadecimal digits: 16 that a process drew at random when it started, and 16 that count.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define UNIQUE_ID_LEN 32U

struct unique_id_source {
	uint8_t drawn[UNIQUE_ID_LEN / 2]; /* digits */
	uint64_t last;
};

/* 0 or a negative errno. Each process has its own. */
int unique_id_init(struct unique_id_source *source);

/* The next number; never 0. */
static inline uint64_t unique_id_next(struct unique_id_source *source)
{
	return ++source->last;
}

/* UNIQUE_ID_LEN digits, without a NUL. */
void unique_id_format(
	const struct unique_id_source *source, uint64_t number, uint8_t buf[UNIQUE_ID_LEN]);

/* For people: as it is if it can be printed and has no space, or else "0x" and its bytes. */
#define UNIQUE_ID_TEXT_MAX 259 /* for 128 bytes, which is as long as one may be */
const char *unique_id_text(const uint8_t *id, size_t len, char buf[UNIQUE_ID_TEXT_MAX]);
