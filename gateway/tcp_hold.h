/*
 * tcp_hold - a worker's clients that are not there yet: flows that were begun because the holder
 * asked, and wait for a backend's answer, and then for the client.
 *
 * It knows them by their ends, speaks with the holder (hold_link.h), and counts them for their
 * backends. What a flow does is the business of tcp_relay.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow.h"
#include "hash.h"
#include "hold_link.h"
#include "hold_map.h"
#include "hold_shared.h"
#include "loop.h"

/* How long a backend connection waits for its client: until our SYN-ACK was lost two times. */
#define TCP_HOLD_CLAIM_MS 5000U
/* Questions that are older are forgotten by the holder. */
#define TCP_HOLD_STALE_MS 500U

struct tcp_hold_setup {
	struct loop *loop;
	const struct config *config;
	struct hold_shared *shared;
	const struct pool_state *pools;
	int link_fd; /* to the holder; -1: nobody is ever held, and nothing else counts */
	uint16_t worker;
};

/*
 * Begins a flow for the client, with an answer now or later. hold: of tcp_hold_init(); bind: by
 * which the client comes.
 */
typedef void tcp_hold_begin(
	void *userdata, const struct hold_ask *ask, const struct hold_map_bind *bind);

/* A worker's; one thread. Without a link nobody is ever in it. */
struct tcp_hold {
	struct tcp_hold_setup setup;
	struct loop_source source;
	struct hold_map map;
	struct hash_key key;
	struct list_node *slots;
	size_t mask;
	size_t n; /* flows in it */
	tcp_hold_begin *begin;
	void *userdata;
	size_t n_replies; /* not sent yet */
	struct hold_reply replies[HOLD_LINK_BATCH];
};

/* 0; -ENOMEM, or what getrandom(2) and watching the link say, and then nothing is left of it. */
int tcp_hold_init(struct tcp_hold *hold, const struct tcp_hold_setup *setup, tcp_hold_begin *begin,
	void *userdata);
/* Takes a zeroed one. */
void tcp_hold_destroy(struct tcp_hold *hold);

/* An answer to a question for which there is no flow. */
void tcp_hold_decline(struct tcp_hold *hold, const struct hold_ask *ask);

/* The flow, whose client and local are set, waits from now on; its answer is HOLD_ORDINARY. */
void tcp_hold_add(struct tcp_hold *hold, struct flow *flow, const struct hold_ask *ask);
/* Whether the flow still waits for its client. */
bool tcp_hold_has(const struct flow *flow);
/*
 * The flow goes to the backend that flow_set_backend() said, and counts for it. False: as many as
 * may are waiting for that one.
 */
bool tcp_hold_set_backend(struct tcp_hold *hold, struct flow *flow);
/*
 * No backend could be had, by an errno: the client is told just what we were, once the flow ends.
 * False: something is wrong with us; it is better let in as any other.
 */
bool tcp_hold_set_error(struct flow *flow, int error);
/* The same, when it is us who refuse. */
void tcp_hold_set_refused(struct flow *flow);
/* The backend has answered: the client is let in. */
void tcp_hold_let_in(struct tcp_hold *hold, struct flow *flow);
/* The flow ends, or its client is there: nobody waits. Harmless for other flows. */
void tcp_hold_remove(struct tcp_hold *hold, struct flow *flow);

/* The flow of a client that was accepted; NULL: there is none. v4-mapped forms are none. */
struct flow *tcp_hold_find(const struct tcp_hold *hold, const struct sockaddr_any *client,
	const struct sockaddr_any *local);

/* Sends what there is to say; called between batches of events. */
void tcp_hold_flush(struct tcp_hold *hold);
