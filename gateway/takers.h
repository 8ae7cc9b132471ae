/*
 * takers - all that a worker takes over at its beginning: a taker (handover.h) for each worker of
 * before that gives to it, and whether one of those still receives datagrams.
 *
 * A worker's own; one thread. A giver whose channel cannot be watched is given up and said, which
 * costs its flows nothing (it sees its channel closed and finishes them) and others nothing at all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "handover.h"

struct takers_setup {
	struct loop *loop;
	struct tcp_relay *tcp;
	struct udp_relay *udp; /* NULL: no UDP listeners */
	struct tcp_handover_retired *retired;
	size_t (*room)(void *userdata); /* for how many more flows */
	/* Once: none of those before us receives datagrams any more, or there never was one. */
	void (*on_datagrams)(void *userdata);
	void *userdata;
};

/* Zeroed: it has not begun, and may never. */
struct takers {
	struct takers_setup setup;
	struct handover_taker *all; /* an array of n; NULL: not begun, or ended */
	size_t n;
	size_t elsewhere; /* of those, such as have not left the datagrams to us */
	bool begun;
};

/*
 * Takes from whoever is at the other ends of fds, which are the takers' from now on, whatever is
 * returned; n may be 0. on_datagrams may be called from within. 0; -EALREADY, as that goes but
 * once; or -ENOMEM: nothing is taken, but datagrams are ours.
 */
int takers_begin(struct takers *takers, const struct takers_setup *setup, const int *fds, size_t n);

/* Whether flows may still come, which then are to be served or passed on. */
bool takers_are_taking(const struct takers *takers);

/* Takes no more; on_datagrams is not called. Harmless if it has not begun. */
void takers_end(struct takers *takers);
