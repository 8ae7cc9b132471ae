/*
 * measures - what is counted of each listener and each backend, with histograms of times, in memory
 * shared with the supervisor.
 *
 * A block for each worker, with one writer, and one for what earlier images have counted; a reader
 * sums them. Everything only grows, over the death of a worker too, but for "live", which a
 * worker's successor clears. Durations are counted when a flow ends, bytes also while it lives.
 *
 * A flow that was handed over from another configuration may be of a listener that there is no more
 * (or of a backend: then it has no pool): it is passed over here, and counted in stats.h alone.
 *
 * Adding takes a few instructions, never allocates, and is done by the worker; sums, and what goes
 * from image to image, are the supervisor's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "estate.h"
#include "stats.h"

#define MEASURES_BUCKETS 14U /* of every histogram; the last one has no upper bound */
#define MEASURES_ENDS	 ((unsigned)STATS_ENDED_ERROR - (unsigned)STATS_ENDED_CLOSED + 1U)

/* MEASURES_BUCKETS - 1 of them, in microseconds; times at a bound are below it. */
const uint64_t *measures_connect_bounds(void);
const uint64_t *measures_duration_bounds(void);

struct measures_histogram {
	uint64_t counts[MEASURES_BUCKETS]; /* not cumulative */
	uint64_t sum_us;		   /* of all times that were counted */
};

/* Like the next one nothing but uint64_t: it is summed as an array. */
struct measures_listener {
	uint64_t accepted;
	uint64_t bytes_in;		   /* from clients */
	uint64_t bytes_out;		   /* to clients */
	uint64_t live;			   /* a gauge: flows that are with workers of this image */
	uint64_t ended[MEASURES_ENDS];	   /* STATS_ENDED_CLOSED first */
	struct measures_histogram connect; /* from accept to the backend's (first) answer */
	struct measures_histogram duration;
};

struct measures_backend {
	uint64_t connects;	   /* flows that it has answered */
	uint64_t connect_failures; /* attempts that failed, but for want of our own ports */
};

struct measures {
	const struct config *config;
	size_t n_blocks;		     /* workers, and one more: of earlier images */
	size_t n_backends;		     /* of all pools, in pool_state's order */
	struct measures_listener *listeners; /* a row of config->n_listeners for each block */
	struct measures_backend *backends;   /* a row of n_backends for each block */
};

/* A worker's view. All 0: nothing is counted. */
struct measures_writer {
	const struct config *config;
	struct measures_listener *listeners;
	struct measures_backend *backends;
};

/* One block for each worker and one more. config must outlive it. NULL without memory. */
struct measures *measures_create(const struct config *config, size_t n_workers);
/* Takes NULL. */
void measures_destroy(struct measures *measures);

/* For a worker that begins; measures may be NULL. */
void measures_writer_init(struct measures_writer *writer, struct measures *measures, size_t worker);

void measures_accepted(
	const struct measures_writer *writer, const struct config_listener *listener);
void measures_begun(const struct measures_writer *writer, const struct config_listener *listener);
void measures_connected(const struct measures_writer *writer,
	const struct config_listener *listener, uint64_t connect_us);
/* So many more bytes from and to clients. */
void measures_moved(const struct measures_writer *writer, const struct config_listener *listener,
	uint64_t in, uint64_t out);
/* The flow is gone from here, but goes on elsewhere or by another way. */
void measures_left(const struct measures_writer *writer, const struct config_listener *listener);

/* end: STATS_ENDED_... Without measures_left(), which follows. */
void measures_ended(const struct measures_writer *writer, const struct config_listener *listener,
	enum stats_counter end, uint64_t duration_us);

/* backend: of all pools', pool_state's index. */
void measures_backend(const struct measures_writer *writer, size_t backend, bool connected);

/* Of all blocks. */
void measures_sum_listener(
	const struct measures *measures, size_t listener, struct measures_listener *ret_sum);
void measures_sum_backend(const struct measures *measures, size_t pool, size_t backend,
	struct measures_backend *ret_sum);

/*
 * What was counted, from image to image, by the names of listeners and pools. 0 or -errno.
 * Inherited once, before there are workers, into the block that is no worker's.
 */
int measures_bequeath(const struct measures *measures, struct estate *estate);
void measures_inherit(struct measures *measures, const struct estate *estate);
