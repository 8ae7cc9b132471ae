/*
 * list_keeper - the supervisor's part of lists of clients: reads their files at the start and when
 * they change, and passes them on to the workers (client_lists.h).
 *
 * A file is looked at every LIST_KEEPER_LOOK_MS, and read when it has changed and then stayed as it
 * is until the next look. One that is broken or gone leaves the listener's lists as they are.
 *
 * Reading waits for the disk, and takes some 100 ms for 50,000 prefixes, in which the supervisor
 * does nothing else; workers do not notice.
 */
#pragma once

#include "client_lists.h"
#include "config.h"
#include "control.h"
#include "loop.h"

#define LIST_KEEPER_LOOK_MS 250U

struct list_keeper;

/*
 * Only reads: whether all files are as they should be, for sixgated --check. 0; or a
 * negative errno and the reason, "FILE:LINE: what is wrong; what would be right".
 */
int list_keeper_check(const struct config *config, char error[PREFIX_RULES_ERROR_MAX]);

/*
 * Before the workers fork; loop and config must outlive it. A broken file is a failure here, as
 * there are no lists before it that could hold instead. 0; or a negative errno, after a line in the
 * log, and ret_keeper is untouched.
 */
int list_keeper_start(
	struct loop *loop, const struct config *config, struct list_keeper **ret_keeper);
/* Takes NULL. */
void list_keeper_stop(struct list_keeper *keeper);

/* What workers look up in; it lives as long as the keeper. */
struct client_lists *list_keeper_lists(const struct list_keeper *keeper);

/*
 * Those who are banned from all listeners from now on, in place of those before; rules as of
 * prefix_rules_add(), with allow false; they stay the caller's, but for their order. 0; -ENOMEM;
 * -ENOSPC: too many. Nothing has changed then.
 */
int list_keeper_set_bans(struct list_keeper *keeper, struct prefix_rules *bans);

/* The command "reload-lists". */
void list_keeper_add_commands(struct list_keeper *keeper, struct control *control);

/* Counters into the log. Takes NULL. */
void list_keeper_log(const struct list_keeper *keeper);
