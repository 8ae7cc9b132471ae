/*
 * shared - what the processes of a generation share with each other, made before the first fork:
 * counters, rings, the state of backends, limits, who stood behind which port, the log's level.
 *
 * Counters are in blocks, each with one writer: one for each worker, one for the holder, and one
 * for what earlier images have counted.
 *
 * Made and destroyed by the supervisor; children inherit it, and use their part of it under the
 * number of their block. Each generation makes its own: nothing of it outlives execve(2) but what
 * is bequeathed.
 */
#pragma once

#include <stddef.h>

#include "client_limits.h"
#include "config.h"
#include "estate.h"
#include "measures.h"
#include "pool_state.h"
#include "ring.h"
#include "stats.h"
#include "udp_shared.h"
#include "who.h"

struct shared {
	size_t n_workers;
	size_t n_blocks;     /* two more than workers; 0: it was never made */
	struct stats *stats; /* n_blocks of them */
	struct measures *measures;
	struct ring **rings; /* log and access records, one for each block */
	int wake_fd;	     /* of their reader: an eventfd that never blocks */
	uint32_t *log_level; /* log_share_level() has it */
	struct pool_state *pools;
	struct drain_state *drains;
	struct who *who; /* NULL: the configuration wants none, or there is no memory */
	struct client_limits *limits; /* NULL: no listener has any */
	struct udp_shared udp;	      /* empty without UDP listeners */
	int carried_fd;		      /* what was bequeathed last of clients; -1: nothing */
};

/*
 * config must outlive it. 0; or a negative errno after a line in the log, and then a part of it may
 * have been made: shared_destroy() takes that, too.
 */
int shared_make(struct shared *shared, const struct config *config, size_t n_workers);
/* Takes one that was never made, with wake_fd and carried_fd -1. */
void shared_destroy(struct shared *shared);

/* The holder's block. */
static inline size_t shared_holder(const struct shared *shared)
{
	return shared->n_workers;
}

/* The ring of the observer, which counts nothing: that of the block of earlier images. */
static inline size_t shared_observer(const struct shared *shared)
{
	return shared->n_workers + 1;
}

/*
 * From image to image: what was counted, where backends are; of clients, rates that are used up and
 * who has ended. From then on workers count no bytes of live flows here; shared_go_on() lets them
 * again, if there is no other image after all. 0 or a negative errno.
 */
int shared_bequeath(struct shared *shared, const struct config *config, struct estate *estate);
void shared_go_on(struct shared *shared);
/*
 * Before there are workers. What the estate does not have, or nobody here knows, is passed over.
 * The number of live flows is not taken: who takes flows over counts them.
 */
void shared_inherit(struct shared *shared, const struct config *config, struct estate *estate);

/* The reader of the rings looks at them all: a writer has died, perhaps before it could say so. */
void shared_wake(const struct shared *shared);

/* All counters that are not 0, into the log. */
void shared_log(const struct shared *shared);
