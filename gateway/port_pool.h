/*
 * port_pool - source ports towards servers, handed out so that none is used again soon.
 *
 * A server's late answer to an ended session must not reach the client of another one. So a port
 * rests for PORT_POOL_REST_MS after its session, and the one that has rested longest is the next.
 * When each port was given back stands in memory that the caller may share: the successor of a
 * process that died knows which ports to let rest.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longer than any answer takes that is still worth having, and shorter than a flood is patient. */
#define PORT_POOL_REST_MS 2000U

/* A worker's, for one source address; but for given_ms nobody else sees it. */
struct port_pool {
	uint64_t *given_ms; /* per port; 0: never used; UINT64_MAX: in use */
	uint16_t *queue;    /* ring of free ones, as indices; the longest rested at the head */
	uint8_t *claimed;   /* per port: in the queue, and yet in use */
	size_t n;
	size_t head, n_free;
	size_t n_late; /* in the queue before others that have rested longer */
	uint16_t first, step;
};

/*
 * Ports first, first + step, ... n of them, each below 65536. given_ms: n of them, zero at first or
 * as a predecessor has left them, which must outlive the pool; what that one had in use begins to
 * rest now. now_ms, here and below: of the monotonic clock, which all processes share. 0, -ENOMEM,
 * or the negative errno of getrandom(2).
 */
int port_pool_init(struct port_pool *pool, uint64_t *given_ms, size_t n, uint16_t first,
	uint16_t step, uint64_t now_ms);
/* Takes a zeroed one. */
void port_pool_destroy(struct port_pool *pool);

/* Whether port_pool_take() would give one. */
bool port_pool_is_ready(struct port_pool *pool, uint64_t now_ms);

/* Whether the port is one of the pool's. */
bool port_pool_has(const struct port_pool *pool, uint16_t port);
/*
 * A port of the pool that a predecessor's session has brought along: in use, until it is given.
 * False: it is already, as another session has it at another address; this one is not to give it.
 */
bool port_pool_claim(struct port_pool *pool, uint16_t port);

/*
 * The port that has rested longest. Whoever has it must give it back, also if it cannot be bound.
 * 0; or -EADDRNOTAVAIL: all are in use, or have not rested.
 */
int port_pool_take(struct port_pool *pool, uint64_t now_ms, uint16_t *ret_port);
/* It was taken or claimed, and begins to rest. */
void port_pool_give(struct port_pool *pool, uint16_t port, uint64_t now_ms);
