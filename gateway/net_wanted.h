/*
 * net_wanted - what the kernel's network configuration has to be for a configuration of ours.
 *
 * A plain function over plain data. What there is and why:
 *
 *   VIPs               addresses on an interface: IPv6 without duplicate detection and unpreferred,
 *                      IPv4 with the scope of the host, so that neither is chosen as a source
 *   sources            ordinary addresses towards the servers
 *   prefixes, ranges   a local route in table local for what no interface may have, and a packet
 *                      filter rule that leads to the listening socket; narrower listeners first
 *   transparent        a mark for answers of the servers, a rule for the mark, a table with a local
 *                      route for all
 *   notrack            our own ports pass conntrack by
 *
 * net_wanted_make() reads nothing but its arguments, so that the supervisor (net_keeper),
 * sixgatectl and its doctor come to the same result, whoever runs them.
 */
#pragma once

#include <net_plan.h>

#include "config.h"

/*
 * has_conntrack: what "notrack = auto" comes down to. A configuration that needs nothing of the
 * network makes it empty. 0, and the caller clears it (net_wanted_clear()); or -ENOMEM, and
 * ret_wanted is untouched.
 */
int net_wanted_make(const struct config *config, bool has_conntrack, struct net_wanted *ret_wanted);

/*
 * Whether it is by what is wanted that this machine has the bind's address: as a VIP, or within a
 * prefix of any listener. Then it may be missing when the listening socket is opened.
 */
bool net_wanted_brings(const struct config *config, const struct config_bind *bind);

/* Whether this kernel tracks connections now; the module that does may be loaded later. */
bool net_wanted_has_conntrack(void);
