/*
 * doctor_facts - everything that "sixgatectl doctor" looks at, gathered once.
 *
 * The checks are functions over these facts. What is a number in a file of /proc/sys they read
 * themselves, below root, which is "" but in tests.
 *
 * Gathering asks and changes nothing. It needs no right; what only CAP_NET_ADMIN may read
 * (nftables) is noted as not known.
 *
 * It is not one moment: what is asked later may have changed since. For a diagnosis that is good
 * enough.
 */
#pragma once

#include <net_plan.h>

#include "config.h"
#include "doctor_names.h"
#include "doctor_proc.h"
#include "doctor_report.h"

struct doctor_bind {
	const struct config_listener *listener;
	const struct config_bind *bind;
	bool local;	/* packets to its address are for this machine */
	bool listening; /* there is a socket for it */
};

/*
 * A server, or the first address of a prefix of servers that clients may name. One that listeners
 * of both protocols share is there for each.
 */
struct doctor_backend {
	const char *owner;		/* the pool, or the listener */
	const struct config_pool *pool; /* NULL: named by clients */
	struct sockaddr_any addr;	/* port 0: none to try */
	uint8_t protocol;		/* IPPROTO_TCP or IPPROTO_UDP */
	bool served;			/* it gets connections: weight is not 0 */
	int error;			/* of the look-up of the route, a negative errno */
	struct net_route route;		/* if that is 0 */
	size_t in_use; /* sockets towards it, of whatever program; TIME_WAIT has its port, too */
};

struct doctor_facts {
	const struct config *config;
	const char *root;
	char *apply; /* command that applies the configuration; quoted for a shell, like the next */
	char *start; /* command that starts the gateway */

	struct net_wanted wanted;
	struct net_state net; /* of routes, those that carry our mark */
	int net_error;	      /* 0 or a negative errno: wanted is known then, net is not */
	struct net_state all; /* all routes, where something has to be explained by them */
	char *nft_image;      /* NULL: nft_error says why */
	int nft_error;

	struct doctor_names names;
	struct doctor_bind *binds;
	size_t n_binds;
	struct doctor_backend *backends;
	size_t n_backends;
	bool absent;	   /* no gateway answers at the control socket, for certain */
	int sockets_error; /* not 0: binds[].listening and backends[].in_use are not known */
	struct net_route default_v4, default_v6; /* family 0: there is none */
};

/*
 * path is the configuration file. 0 or a negative errno; what cannot be read is noted in the facts
 * instead. config must outlive them. It waits for DNS, 10 s at most.
 */
int doctor_facts_gather(
	const struct config *config, const char *path, struct doctor_facts *ret_facts);
/* Takes zeroed ones, and such as are filled in part. */
void doctor_facts_clear(struct doctor_facts *facts);

/* Fills binds and backends from the configuration and the names. 0 or -ENOMEM. */
int doctor_facts_list(struct doctor_facts *facts);

/* ---- questions that several checks have ---- */

/* Whether clients of the listener get to this server. */
bool doctor_serves(const struct doctor_facts *facts, const struct doctor_backend *backend,
	const struct config_listener *listener);

/* The address on a link, on any if ifname is NULL; NULL: it is not there. */
const struct net_addr *doctor_find_addr(const struct doctor_facts *facts, uint8_t family,
	const uint8_t addr[16], const char *ifname);

/* The address of an interface, not the loopback, in whose subnet addr lies; NULL: none. */
const struct net_addr *doctor_find_subnet(
	const struct doctor_facts *facts, uint8_t family, const uint8_t addr[16]);

/* Whether the link is there, is up and, for IPv6, has that enabled. */
bool doctor_link_works(const struct doctor_facts *facts, const char *ifname, uint8_t family);

/* Whether the gateway wants anything on the link, so that it has to be applied again. */
bool doctor_link_wanted(const struct doctor_facts *facts, const char *ifname);

bool doctor_wants_transparent(const struct doctor_facts *facts);

/* The most specific route to addr among all that were read, of any table; NULL: none. */
const struct net_route *doctor_find_route(
	const struct doctor_facts *facts, uint8_t family, const uint8_t addr[16]);

/* Whether addr lies within the prefix. */
bool doctor_covers(const uint8_t *prefix, unsigned len, const uint8_t *addr);

/* The bytes of an address in the shape of net_state.h. */
void doctor_bytes(const struct sockaddr_any *addr, uint8_t ret_bytes[16]);

/* "2001:db8::/64" into buf, which is returned. */
#define DOCTOR_PREFIX_MAX 52
const char *doctor_prefix(
	uint8_t family, const uint8_t addr[16], uint8_t len, char buf[DOCTOR_PREFIX_MAX]);
