/*
 * tlvs - what a header has beside its addresses: plain functions over plain data.
 *
 * In this order: fixed ones, a unique id, what was passed on of an upstream's header, and at the
 * end the CRC32c, which is never passed on but made anew. PROXY protocol, proxy-protocol.txt
 * section 2.2.
 *
 * A header has a budget (the option of its longest length), since servers have one, too. It is kept
 * when a client's header is taken in, so that what is passed on always fits later.
 */
#pragma once

#include <proxyhdr.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

/* Whether the configuration passes any on. */
bool tlvs_passes_any(const struct config_tlvs *config);

/* What a header has of every client: the bytes of the TLVs that are ours, the CRC32c included. */
size_t tlvs_own_len(const struct config_tlvs *config);

/* What is taken of an upstream's header. The pointers lead into that. */
struct tlvs_passed {
	struct proxyhdr_tlv unique_id; /* type 0: none; else 1 to 128 bytes, in place of ours */
	size_t len;		       /* of all the others, as they go on, in bytes */
	unsigned left_out;	       /* how many had no room */
};

/*
 * Looks through the TLVs of an upstream's header, as proxyhdr_decode() gives them, and copies what
 * is passed on, but for a unique id, into buf, which has room for them all (len bytes will do). In
 * their order, and of the same type as often as they come, but for unique ids, of which the first
 * that is not empty counts. header_len: that of our own header without TLVs. What would make it
 * longer than header_max is left out, one by one: a smaller one behind it may still have room. What
 * is not configured to be passed on is not counted as left out.
 */
struct tlvs_passed tlvs_pass(const struct config_tlvs *config, const uint8_t *tlvs, size_t len,
	size_t header_len, size_t header_max, uint8_t *buf);

/*
 * All TLVs of a header but the CRC32c into buf[0..size): the configuration's, the unique id unless
 * its length is 0, and those passed on (NULL if there are none). The length; 0, and nothing, if
 * there is no room, or if there are none.
 */
size_t tlvs_put(const struct config_tlvs *config, const uint8_t *unique_id, size_t unique_id_len,
	const uint8_t *passed, size_t passed_len, uint8_t *buf, size_t size);
