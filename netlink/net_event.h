/*
 * net_event - which events of the kernel concern us: no socket, only bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum net_event {
	NET_EVENT_OURS =
		1, /* an address, route, rule with our mark, or our nftables table, was changed */
	NET_EVENT_LINKS = 2, /* a link came, went, changed its name or its state */
	NET_EVENT_LOST = 4,  /* events were lost (ENOBUFS): anything may have changed */
};

/* A datagram, aligned to 4 bytes, of rtnetlink's groups: bits of enum net_event. */
unsigned net_event_route(const void *data, size_t len);

/* The same for one of nftables' group; table: ours, by name. */
unsigned net_event_nft(const void *data, size_t len, const char *table);
