/*
 * net_plan - what has to be done to get from the state that is to the state that is wanted.
 *
 * A plan is worked out from plain data alone. It adds before it removes, so that an address that
 * moves is never missing, but for what of ours the kernel takes only after the old one is gone (an
 * address of another shape, a route of the same destination and metric by another link); and it
 * removes only what carries NET_MARK. What is wanted and there already without our mark (an address
 * that the administrator set) is left as it is and taken for satisfied. Of things that are wanted
 * twice, the first counts.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net_state.h"
#include "nft_wanted.h"

/* What is to be. addrs, routes and rules name their link in ifname; index and protocol are not
 * looked at. */
struct net_wanted {
	struct net_state net; /* links unused */
	struct nft_wanted nft;
};

/* Frees all; it is empty then, as a zeroed one is. */
void net_wanted_clear(struct net_wanted *wanted);

enum net_step_kind { NET_STEP_ADDR, NET_STEP_ROUTE, NET_STEP_RULE, NET_STEP_NFT };

struct net_step {
	enum net_step_kind kind;
	bool remove; /* NFT: the table goes; otherwise it is replaced as a whole */
	union {
		struct net_addr addr; /* index is set */
		struct net_route route;
		struct net_rule rule;
	};
};

/* Something that is wanted and cannot be had now; one for each kind and link. */
struct net_obstacle {
	enum net_step_kind kind;
	char ifname[IFNAMSIZ]; /* the link that is missing */
};

struct net_plan {
	struct net_step *steps; /* in the order of execution */
	size_t n_steps;
	struct net_obstacle *obstacles;
	size_t n_obstacles;
};

/*
 * nft_image: what nft_table_read() gave; NULL: it could not be read, and the plan leaves nftables
 * out. Order: addresses, routes, rules, the nftables table are added; then rules, routes, addresses
 * of ours that are no longer wanted are removed. Of ours on a link that a wanted address is still
 * missing on (the link was renamed, or is gone), the same address elsewhere stays until it can be
 * put where it belongs. 0 or -ENOMEM; the caller clears the plan.
 */
int net_plan_make(const struct net_wanted *wanted, const struct net_state *actual,
	const char *nft_image, struct net_plan *ret_plan);
/* Frees all. Takes a zeroed one. */
void net_plan_clear(struct net_plan *plan);

/*
 * The step that takes this one back: of a removal, what it takes to add the same again. Not for
 * NET_STEP_NFT, which is last among what can fail.
 */
struct net_step net_plan_inverse(const struct net_step *step);
