/*
 * target - which server a client is for.
 *
 * Either a pool says it, or the address itself that the client connected to (RFC 6052, section 2.2:
 * an IPv4 address within an IPv6 one). A worker's; nothing here has to do with sockets, but for
 * the one that is asked which addresses are this machine's.
 */
#pragma once

#include "config.h"
#include "own_address.h"
#include "pool.h"

/* A worker's servers: all that its data paths choose from. */
struct target_set {
	struct pool *pools; /* one per config.pools */
	size_t n_pools;
	struct own_address own; /* open if a listener has embedded destinations */
};

/*
 * config and state must outlive the set. worker: whose it is. 0; -ENOMEM, or what opening a netlink
 * socket says, and then nothing is left of it.
 */
int target_set_init(struct target_set *set, const struct config *config, struct pool_state *state,
	size_t worker);
/* Takes a zeroed one whose own.fd is -1. Flows must have given back what they took. */
void target_set_destroy(struct target_set *set);

/* Where a flow goes. */
struct target {
	struct sockaddr_any addr; /* AF_INET, with the port of the client's where none is given */
	struct pool *pool;	  /* NULL: the client named the server */
	uint16_t backend;	  /* of the pool */
};

/*
 * target_pick(), and the pool counts one more flow of the backend's, until pool_give(). Or -ELOOP:
 * an embedded destination that is this gateway itself, which no entry of
 * "allow" names as one address.
 */
int target_set_pick(struct target_set *set, const struct config_listener *listener,
	const struct config_bind *bind, const struct sockaddr_any *local,
	const struct pool_request *request, struct target *ret_target);

/*
 * A plain function over plain data. bind: of the listener, by which the client came. pools: one per
 * config.pools, as the worker has them. local: what the client connected to. 0; -EACCES: the client
 * names a server that it may not reach; -ENOENT: no server is to be had, or no other one; -EBUSY:
 * the pool has all the flows that it may; -EUSERS: its servers have.
 */
int target_pick(const struct config_listener *listener, const struct config_bind *bind,
	struct pool *pools, const struct sockaddr_any *local, const struct pool_request *request,
	struct target *ret_target);

/*
 * The pool of that name, if one of its backends has or had this address: that one in ret_backend.
 * NULL: there is none.
 */
struct pool *target_set_find(const struct target_set *set, const char *pool,
	const struct sockaddr_any *addr, uint16_t *ret_backend);
