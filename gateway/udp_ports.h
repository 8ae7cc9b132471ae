/*
 * udp_ports - which source ports each worker may use towards servers, and when each was used last.
 *
 * The kernel's range of ephemeral ports (ip_local_port_range) is shared out evenly over the
 * workers, once for every source address that a pool names, and once for where the kernel chooses
 * the address. Worker w has the ports first + w, first + w + n_workers, ...: no lock is needed, as
 * no port is two workers'.
 *
 * Made by the supervisor before the fork; the row of a worker is written by that worker alone, and
 * by its successor when it is dead.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "port_pool.h"

struct udp_ports;

/*
 * In memory that children share, of which only what is used takes room. 0; -ENOMEM;
 * -EADDRNOTAVAIL: there are more workers than ports; -EPROTO: the range makes no sense; or what
 * reading it from /proc says.
 */
int udp_ports_create(const struct config *config, size_t n_workers, struct udp_ports **ret_ports);
/* Takes NULL. */
void udp_ports_destroy(struct udp_ports *ports);

/* Source addresses, the unspecified one included. */
size_t udp_ports_sources(const struct udp_ports *ports);
/*
 * The index of a source, which has port 0 as in a configuration. 0 for NULL, where the kernel
 * chooses, and for a source that no pool names.
 */
size_t udp_ports_find(const struct udp_ports *ports, const struct sockaddr_any *source);

/* The worker's ports for that source. As port_pool_init(). */
int udp_ports_open(const struct udp_ports *ports, size_t worker, size_t source, uint64_t now_ms,
	struct port_pool *ret_pool);
