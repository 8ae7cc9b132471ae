/*
 * udp_ports - which source ports each worker may use towards servers, and when each was used last.
 *
 * The kernel's range of ephemeral ports (ip_local_port_range) is shared out evenly over the
 * workers, once for every source address that a pool names, and once for where the kernel chooses
 * the address.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "port_pool.h"

struct udp_ports;

/* In memory that children share. 0, -ENOMEM or a negative errno of reading the range. */
int udp_ports_create(const struct config *config, size_t n_workers, struct udp_ports **ret_ports);
/* Takes NULL. */
void udp_ports_destroy(struct udp_ports *ports);

/* Source addresses, the unspecified one included. */
size_t udp_ports_sources(const struct udp_ports *ports);
/* The index of a source; NULL: where the kernel chooses. */
size_t udp_ports_find(const struct udp_ports *ports, const struct sockaddr_any *source);

/* The worker's ports for that source. As port_pool_init(). */
int udp_ports_open(const struct udp_ports *ports, size_t worker, size_t source, uint64_t now_ms,
	struct port_pool *ret_pool);
