/*
 * carried - tables that go from image to image: rates of clients that are used up, and which client
 * stood behind which port of connections that have ended. As bytes, in an anonymous file.
 *
 * The file is the magic "sixgate1" and records: type and length of what follows, two bytes each,
 * then that. Numbers are in the machine's own order. A listener is known by its number in the file;
 * its record, with its name, comes before the others that name it. Whoever reads passes over types
 * and listeners that it does not know and over what is longer or shorter than it should be, so that
 * releases understand each other.
 *
 * Plain functions over bytes. Whatever they hold, reading them does no harm: tests/fuzz has a
 * target.
 */
#pragma once

#include "client_limits.h"
#include "config.h"
#include "hash.h"
#include "who.h"

#define CARRIED_MAX (64U * 1024U * 1024U) /* bytes; what is beyond is left out */

/*
 * What is filled by turns; all zero: nothing so far. The caller frees data. One that has failed
 * takes nothing more, and what it has is whole and can be read.
 */
struct carried {
	uint8_t *data; /* len bytes used of size */
	size_t len, size;
	bool failed; /* without memory, or it has become too long */
};

/* Their names, first of all. */
void carried_add_listeners(struct carried *carried, const struct config *config);
/* The key that rates were hashed with; before them. */
void carried_add_hash(struct carried *carried, const struct hash_key *key);
void carried_add_rate(struct carried *carried, const struct client_rate *rate);
/* listener: its index in the configuration. */
void carried_add_who(struct carried *carried, uint16_t listener, const struct who_entry *entry);

/*
 * Called for each record, in the order of the file. Listeners of what they hear are the
 * configuration's, by name. All three must be there. What they are given is good until they return.
 */
struct carried_reader {
	void (*on_hash)(void *userdata, const struct hash_key *key);
	void (*on_rate)(void *userdata, const struct client_rate *rate);
	void (*on_who)(void *userdata, const struct who_entry *entry);
	void *userdata;
};

/* 0, or -EBADMSG: it is none, or ends in the middle of a record; those before it were read. */
int carried_read(const void *data, size_t len, const struct config *config,
	const struct carried_reader *reader);
