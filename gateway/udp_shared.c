#include "udp_shared.h"

#include <errno.h>

static bool has_udp(const struct config *config)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].protocol == IPPROTO_UDP)
			return true;
	return false;
}

int udp_shared_open(struct udp_shared *shared, const struct config *config, size_t n_workers,
	const char **ret_what)
{
	struct udp_shared made = { .icmp = { .fd6 = -1, .fd4 = -1 } };
	int err;

	if (!has_udp(config)) {
		*shared = (struct udp_shared){ 0 };
		return 0;
	}
	*ret_what = "source ports, of net.ipv4.ip_local_port_range";
	err = udp_ports_create(config, n_workers, &made.ports);
	if (!err) {
		*ret_what = "ICMP sockets";
		err = icmp_sockets_open(&made.icmp);
		if (err == -EPERM || err == -EACCES)
			err = 0;
	}
	if (err)
		udp_shared_close(&made);
	else
		*shared = made;
	return err;
}

void udp_shared_close(struct udp_shared *shared)
{
	if (!shared->ports)
		return;
	udp_ports_destroy(shared->ports);
	icmp_sockets_close(&shared->icmp);
	*shared = (struct udp_shared){ 0 };
}
