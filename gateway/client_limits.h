/*
 * client_limits - how many connections (TCP) and sessions (UDP) there may be at a time, and how
 * fast new ones may come: of a listener, of each of its clients, and of each address.
 *
 * The counts are shared by all workers, in memory made before they fork, without a lock, and exact:
 * a limit holds for the gateway, not for a process. A client is an IPv6 /64 or an IPv4 address, an
 * address is an IPv6 or IPv4 address. When a worker dies, its successor takes back what it held.
 *
 * Created by the supervisor before it forks; take and give are the workers', each under its own
 * number, so that it is known what a dead one had. The table has 262,144 entries, in memory that is
 * used as they are; who finds no place in it is let in without a limit of his own ("untracked"), as
 * a full table must not shut anybody out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "hash.h"

struct client_limits;

/* What was in the way; each is a counter of its own in stats.h. */
enum client_verdict {
	CLIENT_OK,
	CLIENT_LISTENER_FULL, /* the listener has as many as it may: max */
	CLIENT_FULL,	      /* the client has: max_per_client */
	CLIENT_ADDRESS_FULL,  /* max_per_address */
	/* The same of those who came within a second: rate, rate_per_client, rate_per_address. */
	CLIENT_LISTENER_RATE,
	CLIENT_RATE,
	CLIENT_ADDRESS_RATE,
	CLIENT_VERDICTS
};

/* What a connection or session has taken; all zero: nothing. */
struct client_place {
	uint32_t client; /* entries of the table, plus one; 0: none */
	uint32_t address;
	uint16_t listener;
	bool held;	/* it is to be given back */
	bool counted;	/* by the listener */
	bool untracked; /* the table was too full for its client, who is under no limit */
};

/*
 * By the supervisor, before the fork. Listeners count for themselves under their index until they
 * have a name. NULL without memory, or if there is no random number for the key.
 */
struct client_limits *client_limits_create(size_t n_workers, size_t n_listeners);
/* Takes NULL. */
void client_limits_destroy(struct client_limits *limits);

/* Whether a listener has any, so that there must be a table. */
bool client_limits_needed(const struct config *config);

/*
 * ---- from image to image: rates that are used up, before there are workers ----
 *
 * Clients are known by the hash of their address and listener. It is the same in the next image if
 * that has the same key, and the listener the same name.
 */
struct client_rate {
	uint64_t key;	   /* 0: the listener's own */
	uint16_t listener; /* its index, if key is 0; else 0 */
	/*
	 * Up to when it is used up, in ns of the monotonic clock, which goes on from image to
	 * image: at most two seconds ahead of the present.
	 */
	uint64_t used_ns;
};

const struct hash_key *client_limits_hash(const struct client_limits *limits);
void client_limits_set_hash(struct client_limits *limits, const struct hash_key *key);
/*
 * What its clients are hashed with in place of its index, which another configuration may give to
 * another listener. It depends on the name; of two whose hashes are equal, the one that is named
 * later gets the next number that is free, so two listeners never count for each other.
 */
void client_limits_set_name(struct client_limits *limits, size_t listener, const char *name);
/*
 * The next one that is used up beyond now_us, from *at, 0 at first, on; *at is moved behind it.
 * False: there is none, and ret_rate is untouched.
 */
bool client_limits_next_rate(const struct client_limits *limits, size_t *at, uint64_t now_us,
	struct client_rate *ret_rate);
/* Before the first worker: what cannot be (a listener, a time), or finds no place, is passed over.
 */
void client_limits_set_rate(
	struct client_limits *limits, const struct client_rate *rate, uint64_t now_us);

/*
 * What a new worker does first: nothing is held by its predecessor any more, and buckets that died
 * locked are opened. Others may take and give meanwhile; the predecessor must be dead.
 */
void client_limits_recover(struct client_limits *limits, size_t worker);

/*
 * Takes a place for one more of the client. CLIENT_OK and the place, which the caller gives back in
 * the end; or, with nothing changed, what was in the way. listener: its index. client: without
 * v4-mapped form; its port does not matter. now_us: of the monotonic clock. No system call, but for
 * sched_yield() while another worker changes the same bucket.
 */
enum client_verdict client_limits_take(struct client_limits *limits, size_t worker, size_t listener,
	const struct config_limits *config, const struct sockaddr_any *client, uint64_t now_us,
	struct client_place *ret_place);
/* Takes one that is not held. It is all zero then. */
void client_limits_give(struct client_limits *limits, size_t worker, struct client_place *place);
