/*
 * net_event - which events of the kernel concern us: no socket, only bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "net_watch.h"

/* A datagram, aligned to 4 bytes, of rtnetlink's groups: bits of enum net_watch_event. */
unsigned net_event_route(const void *data, size_t len);

/* One of nftables' group; table: ours. */
unsigned net_event_nft(const void *data, size_t len, const char *table);
