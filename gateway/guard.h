/*
 * guard - the supervisor's hand on the guard table (nft_guard.h): who is banned is not heard, and
 * while a pool is down or a listener is drained, its new clients are refused before they are
 * accepted.
 *
 * Where the table cannot be had, one line in the log says why; workers accept and reset clients of
 * a pool that is down, and so do those that are banned.
 *
 * The supervisor's. The table belongs to its netlink socket (NFT_TABLE_F_OWNER, Linux 5.12): nobody
 * else can change it, and it is gone with the socket's last copy, which is why children let go of
 * theirs. Calls wait for the kernel's answer, some hundred microseconds for a change.
 */
#pragma once

#include <jansson.h>

#include "ban_list.h"
#include "config.h"
#include "drain_state.h"
#include "estate.h"
#include "loop.h"
#include "pool_state.h"

struct guard;

/*
 * Begins. The first five must outlive it; drains may be NULL. It watches pools from now on. A table
 * is made when there is something to put into it, or there may be later. estate: of the image
 * before, whose table goes on, its descriptor is taken out; NULL: there was none. 0 or -ENOMEM, and
 * ret_guard is untouched; a table that cannot be had is no failure.
 */
int guard_start(struct loop *loop, const struct config *config, struct pool_state *pools,
	const struct drain_state *drains, const struct ban_list *bans, struct estate *estate,
	struct guard **ret_guard);
/* The table, into the estate for the next image. Takes NULL. 0 or a negative errno. */
int guard_bequeath(const struct guard *guard, struct estate *estate);
/* Takes the table away. Takes NULL, like the next two. */
void guard_stop(struct guard *guard);
/* In a child: lets go of the table, which goes on in the parent. */
void guard_abandon(struct guard *guard);

/*
 * Other listeners are drained. Whether the table now refuses the clients of the listener, should it
 * be one of them.
 */
bool guard_drain(struct guard *guard, size_t listener);

/*
 * The list of bans has changed, by so much; changes stay the caller's. 0: the table has it; or a
 * negative errno: there is no table, and guard_why() says what to do. If the kernel does not take
 * the change, all of the list is put there anew.
 */
int guard_ban(struct guard *guard, const struct ban_changes *changes);
/* The same, by how much is not known. */
int guard_renew(struct guard *guard);
/* A static sentence for an errno of these two: what is missing and where it is to be had. */
const char *guard_why(int err);

/* The state and the counters as an object, for "status"; NULL without memory. It asks the kernel.
 */
json_t *guard_json(const struct guard *guard);
/* Counters, into the log. */
void guard_log(const struct guard *guard);
