/*
 * peer_watch - tells a peer that is gone from one that is merely slow.
 *
 * The kernel's keepalive finds dead peers of idle connections, TCP_USER_TIMEOUT those that leave
 * data unacknowledged. But TCP_USER_TIMEOUT also kills a peer that lives and keeps its window shut
 * (a paused download): while that is so, it is lifted, and unanswered window probes are counted
 * instead. tcp(7), RFC 5482, RFC 9293 section 3.8.6.1.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct peer_watch {
	uint64_t acked; /* bytes that the peer has acknowledged so far */
	bool stalled;	/* its window is shut, and TCP_USER_TIMEOUT lifted */
};

/* Switches keepalive and TCP_USER_TIMEOUT on. Errors are left to the next check. */
void peer_watch_arm(int fd, uint32_t dead_peer_ms);

/* To be called every peer_watch_period(). True: the peer is dead. */
bool peer_watch_check(int fd, uint32_t dead_peer_ms, struct peer_watch *watch);

/* Milliseconds between checks: several fit into the time that the kernel grants. */
uint32_t peer_watch_period(uint32_t dead_peer_ms);
