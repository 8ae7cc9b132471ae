/*
 * who - which client stands, or stood, behind a source address and port of the gateway's: for
 * servers that know nobody else.
 *
 * A table in shared memory for each worker, made before the workers are forked. The worker writes
 * an entry when it sets out for a server, and the time when that is over; the supervisor reads the
 * tables of all, also those that workers have left behind. No lock: a reader that meets a writer
 * looks again.
 *
 * Times are microseconds of the wall clock, since servers' logs have that. It may be set while a
 * flow lives, so no entry's times can be reckoned with as if they only grew.
 *
 * Each generation has its own; only entries of flows that have ended go on to the next image
 * (carry.h), as live ones are written anew by whoever takes the flow over.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "log.h"
#include "prefix.h"
#include "sockaddr.h"
#include "stats.h"

/* Live flows of a worker that have an entry: what memory is set aside for, not what it takes. */
#define WHO_FLOWS_MAX 1048576U

#define WHO_ID_MAX 64U /* bytes; longer unique ids are in the access log only */

struct who;

/* What there is to tell of a flow. source and backend are AF_INET. */
struct who_entry {
	const struct config_listener *listener;
	struct sockaddr_any client;
	struct sockaddr_any local;
	struct sockaddr_any source;
	struct sockaddr_any backend;
	uint64_t began_us;
	uint64_t ended_us; /* 0: it is live */
	uint8_t unique_id[WHO_ID_MAX];
	uint8_t unique_id_len;	 /* 0: it has none */
	uint16_t worker;	 /* whose it is or was; like the next two not for who_begin() */
	uint32_t slot, sequence; /* which use of which slot it is: for who_doom() */
};

/*
 * For as many live flows as a worker can have, by the configuration and the limit of open files.
 * NULL if config says 0 entries, or without memory, after a line in the log.
 */
struct who *who_create(const struct config *config, size_t n_workers);
/* Takes NULL, like who_bury(). */
void who_destroy(struct who *who);

/* ---- for a worker ---- */

struct who_writer {
	struct who *who; /* NULL: it is switched off */
	size_t worker;
	struct stats *stats;
	uint32_t *next;		 /* by slot, of the ended ones: the one that ended after it */
	uint32_t oldest, newest; /* slots; they say nothing while n_ended is 0 */
	size_t n_ended;		 /* slots in that list, those of predecessors included */
	struct log_limit overwritten_log;
};

/*
 * Takes over what a predecessor has left, all of whose entries have ended by who_bury(). who may be
 * NULL. 0 or -ENOMEM.
 */
int who_writer_init(struct who_writer *writer, struct who *who, size_t worker, struct stats *stats);
void who_writer_destroy(struct who_writer *writer);

/*
 * The flow has set out, perhaps long after it began: began_us counts, and ended_us does not. now_us
 * is for what is overwritten. What to call who_end() with, once, and never 0; or 0: there is no
 * entry, as who is switched off or, which is counted, all slots are of live flows.
 */
uint32_t who_begin(struct who_writer *writer, const struct who_entry *entry, uint64_t now_us);
/* Somebody has doomed it: this flow, and none that had the slot before. Takes 0. */
bool who_is_doomed(const struct who_writer *writer, uint32_t slot);
/* Takes 0. */
void who_end(struct who_writer *writer, uint32_t slot, uint64_t now_us);

/* ---- for the supervisor ---- */

/*
 * From image to image, before there are workers. The next entry that has ended, and is kept still,
 * from *at, 0 at first, on; false: there is none.
 */
bool who_next_ended(const struct who *who, size_t *at, uint64_t now_us, struct who_entry *ret);
/* One that has ended and whose listener is the configuration's. False: there is no place left. */
bool who_restore(struct who *who, const struct who_entry *entry);

/* The worker is dead: all its flows have ended now. Before its successor begins. */
void who_bury(struct who *who, size_t worker, uint64_t now_us);

struct who_query {
	struct sockaddr_any source;  /* AF_INET, with a port */
	struct sockaddr_any backend; /* family 0: any; port 0: any of that address */
	uint8_t protocol;	     /* 0: any */
	uint64_t from_us, to_us;     /* live at any time of these; 0, 0: at all */
	uint64_t now_us;
};

/* Up to max entries, the one that began last first. Returns how many there were in all. */
size_t who_find(
	const struct who *who, const struct who_query *query, struct who_entry *ret, size_t max);

struct who_filter {
	const struct config_listener *listener; /* NULL: any */
	struct prefix client;			/* family 0: any */
	struct sockaddr_any source;		/* AF_INET; family 0: any */
	struct sockaddr_any backend;		/* family 0: any; port 0: any of that address */
	uint8_t protocol;			/* 0: any */
	uint64_t from_us, to_us;		/* begun within these */
};

/* The same of the live ones that the filter means, whatever their source. */
size_t who_list(
	const struct who *who, const struct who_filter *filter, struct who_entry *ret, size_t max);

/*
 * The flow of the entry, which who_list() has found, is to end; its worker sees it when it looks.
 * False: it has ended meanwhile.
 */
bool who_doom(struct who *who, const struct who_entry *entry);
