/*
 * client_lists - the listeners' lists of clients, and that of those who are banned from all, as all
 * workers have them in memory.
 *
 * They are replaced as a whole by the supervisor at any time, and looked up by workers without a
 * lock: each look-up is in the lists as they were before or as they are after. All workers change
 * over at the same instant, with one word.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "prefix_rules.h"

struct client_lists;

enum client_lists_verdict {
	CLIENT_LISTS_ALLOWED,
	CLIENT_LISTS_DENIED, /* by the listener's */
	CLIENT_LISTS_BANNED,
};

/*
 * In shared memory, made before the workers fork: of n_listeners listeners, with room for so many
 * ranges in all. They let everybody in. NULL without memory.
 */
struct client_lists *client_lists_create(size_t n_listeners, size_t ranges);
/* Takes NULL. */
void client_lists_destroy(struct client_lists *lists);

/*
 * By the supervisor: from now on these hold. parts: one for each listener and then that of the
 * banned, whose ranges deny; one with none says nothing. They are copied and stay the caller's. 0;
 * or -ENOSPC, and all stays as it was. Only one process may ever call it.
 */
int client_lists_publish(struct client_lists *lists, const struct prefix_ranges *parts);

/*
 * By a worker. client: without v4-mapped form; its port does not matter. The banned are asked
 * first, so who is banned is that whatever a list of the listener's allows. No system call; two
 * binary searches.
 */
enum client_lists_verdict client_lists_judge(
	const struct client_lists *lists, size_t listener, const struct sockaddr_any *client);
