/*
 * bans - who is kept out of all listeners: by commands of the control socket, in the guard table,
 * in the workers' lists of clients, and in a file that outlives the gateway.
 *
 * The supervisor's. The commands are "ban", "unban" and "bans"; sixgatectl(8) has them. Nothing but
 * those changes the list, and time.
 *
 * The order at the start: bans_new() reads the file, guard_start() puts what it has into the kernel
 * before a listening socket is open, then bans_start().
 */
#pragma once

#include "ban_list.h"
#include "config.h"
#include "control.h"
#include "guard.h"
#include "list_keeper.h"
#include "loop.h"

struct bans;

/*
 * Reads what an earlier run has left; what cannot be read is said in the log, and is no failure.
 * loop and config must outlive it. NULL without memory.
 */
struct bans *bans_new(struct loop *loop, const struct config *config);
/* For guard_start(), which looks into it for as long as both live. */
const struct ban_list *bans_list(const struct bans *bans);
/*
 * From now on there is a table, there are lists, which must outlive the bans, and commands. The
 * workers' list is renewed before it returns. To be called once.
 */
void bans_start(
	struct bans *bans, struct guard *guard, struct list_keeper *lists, struct control *control);

/* In a child: lets go of the file. Takes NULL, like the next one. */
void bans_abandon(struct bans *bans);
void bans_free(struct bans *bans);
