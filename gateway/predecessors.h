/*
 * predecessors - the processes of earlier generations: workers that hand their flows over or finish
 * them, and their loggers, which write what is left.
 *
 * They are children of this process, or of an image before it, and are known by their process ids
 * and the supervisor's ends of their channels. For the supervisor's process alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "estate.h"
#include "loop.h"

enum predecessor_role {
	PREDECESSOR_WORKER,
	PREDECESSOR_LOGGER, /* ends when its channel is closed */
	PREDECESSOR_HOLDER,
	PREDECESSOR_ROLES
};

struct predecessors;

/*
 * None. on_change: one has left, or was let go, so that an estate that is kept somewhere is out of
 * date and holds what it is waiting for. NULL without memory.
 */
struct predecessors *predecessors_new(
	struct loop *loop, void (*on_change)(void *userdata), void *userdata);
/* Lets go of them; they live on. Takes NULL. */
void predecessors_free(struct predecessors *predecessors);

/* How many images there were before this one. */
int64_t predecessors_generation(const struct predecessors *predecessors);

/*
 * Out of the estate those that it names, whose channels are ours from then on; an entry that makes
 * no sense is passed over. 0 or -ENOMEM.
 */
int predecessors_inherit(struct predecessors *predecessors, struct estate *estate);
/*
 * Into an estate: those that there are; and one more, of this generation, which will be a
 * predecessor of the next image. All own ones come first; predecessors_bequeath() ends the list,
 * and the next estate begins anew. Channels stay ours. 0 or a negative errno.
 */
int predecessors_bequeath(struct predecessors *predecessors, struct estate *estate);
int predecessors_bequeath_own(struct predecessors *predecessors, struct estate *estate,
	enum predecessor_role role, size_t index, pid_t pid, int channel_fd);

/*
 * Tells those workers that were not told yet to hand their flows over: that of index i to the new
 * one of index i modulo n. channel_fds: the supervisor's ends of the new ones' channels, all of
 * which hear from whom they inherit, or that it is nobody.
 */
void predecessors_hand_over(struct predecessors *predecessors, const int *channel_fds, size_t n);

/* A message of one byte to all of the role. Who does not listen, does not hear it. */
void predecessors_tell(struct predecessors *predecessors, enum predecessor_role role, char message);

/* True if the process was one of them. Loggers are let go when their workers are gone. */
bool predecessors_reaped(struct predecessors *predecessors, pid_t pid, int status);

/* Those of the role that live. */
size_t predecessors_alive(const struct predecessors *predecessors, enum predecessor_role role);

/* How many flows they have still. False: one of them does not say so, or has not yet. */
bool predecessors_flows(const struct predecessors *predecessors, uint64_t *ret_n);

/* Those that are our children, but for loggers, which end by themselves. */
void predecessors_kill(const struct predecessors *predecessors);
/* In a child: closes what it has of them. */
void predecessors_abandon(const struct predecessors *predecessors);
