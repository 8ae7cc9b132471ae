/*
 * nft_guard - the table "inet sixgate-guard": who does not get as far as our sockets.
 *
 * The table has an owner (NFT_TABLE_F_OWNER, Linux 5.12): the netlink socket that made it. Nobody
 * else can change or flush it, and it is gone with the socket, however its process ends. So there
 * is nothing to watch and nothing to clean up.
 *
 *   chain admit (prerouting, -310)   who is in the set "banned4" or "banned6" goes to "bans", if
 *                                    that family has listeners; what begins a TCP connection
 *                                    goes to "refuse"
 *   chain bans                       packets to our listeners are dropped
 *   chain refuse                     new connections to those whose servers are down are refused
 *
 * A chain with a hook is there only while it has something to do. The order of rules is the
 * caller's. Packets are counted in the named counters "banned" and "refused".
 *
 * Before raw (-300), and so before conntrack (-200): a flood of the banned makes no entries there.
 * Behind the defragmentation (-400), where it is switched on, so that fragments have ports.
 *
 * All of it is called by the supervisor alone (guard.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nft_guard_wanted.h"
#include "nl_channel.h"

struct nft_guard {
	struct nl_channel channel; /* owns the table; fd -1: there is none */
	/*
	 * A bit for each chain with a hook that there is, of which the caller only knows that the
	 * next image needs them: it may be of another release, so a chain keeps its bit for good.
	 */
	unsigned hooks;
};

struct nft_guard_counters {
	uint64_t banned; /* packets */
	uint64_t refused;
};

/*
 * Makes the table. 0; -EPERM without CAP_NET_ADMIN; -EBUSY: another process owns a table of this
 * name; -EPROTONOSUPPORT: the kernel has no nftables, or no tables with owners; or another negative
 * errno. A table of this name that nobody owns is replaced.
 */
int nft_guard_open(struct nft_guard *guard);
/*
 * That of an earlier image of this process, whose descriptor it was. hooks: as it was then. What
 * the table holds is as it was left. 0; -ENOENT: there is no such table any more; or another
 * negative errno. After a failure fd is closed, and with it goes the table, if it was its owner;
 * guard is untouched.
 */
int nft_guard_adopt(struct nft_guard *guard, int fd, unsigned hooks);
/* The table goes with it. Takes a closed one. In a child: only the descriptor goes. */
void nft_guard_close(struct nft_guard *guard);

/*
 * Puts the rules in place of those there are, as one; bans stay. 0; -EINVAL: a rule cannot be said;
 * or another negative errno: what the table holds then is not known (the channel may have had to
 * take a new socket, and the table went with the old one), and it has to be closed and made anew.
 */
int nft_guard_set_rules(struct nft_guard *guard, const struct nft_guard_wanted *wanted);

/*
 * Changes who is banned, as one: these go, then those come. The same for failures. A removal of
 * what the kernel has let go already is one.
 */
int nft_guard_change(struct nft_guard *guard, const struct nft_guard_element *remove,
	size_t n_remove, const struct nft_guard_element *add, size_t n_add);
/* Just these are banned, whoever was before; as one. */
int nft_guard_replace(struct nft_guard *guard, const struct nft_guard_element *elements, size_t n);

/*
 * Packets since the table was made; of the table of this name, whoever has it. 0, also if there is
 * none, with all counters 0; or a negative errno.
 */
int nft_guard_read_counters(struct nft_guard_counters *ret_counters);
