/*
 * net_watch - says that something of ours may have changed in the kernel.
 *
 * Subscribes to links, addresses, routes and rules of rtnetlink, and to nftables. It tells kinds of
 * events apart, not their contents: whoever is told reads the state again. Foreign routes and
 * addresses that come and go are not reported.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net_event.h"

struct net_watch {
	int route_fd;
	int nft_fd;    /* -1: not permitted, or no nftables in this kernel */
	uint64_t lost; /* times that events were lost */
};

/*
 * buffer: of each socket, in bytes; 0: 1 MiB. Needs no capability but for a buffer over rmem_max. 0
 * or a negative errno; that nft_fd is not to be had is none.
 */
int net_watch_open(struct net_watch *watch, size_t buffer);
/* Takes a closed one. */
void net_watch_close(struct net_watch *watch);

/*
 * Reads what there is without waiting. ret_events: bits of enum net_event, 0: nothing that
 * concerns us. nft_table: the name of our table. 0 or a negative errno, and ret_events is
 * untouched. Lost events are no error: NET_EVENT_LOST. It reads so many datagrams at most, and the
 * rest the next time: who floods the socket must not keep the caller.
 */
int net_watch_read(struct net_watch *watch, const char *nft_table, unsigned *ret_events);
