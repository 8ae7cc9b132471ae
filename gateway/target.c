#include "target.h"

#include <errno.h>
#include <netinet/in.h>

#include "embedded.h"

static int pick_embedded(const struct config_listener *listener, const struct config_bind *bind,
	const struct sockaddr_any *local, struct sockaddr_any *ret_backend)
{
	struct in_addr addr;

	if (sockaddr_family(local) != AF_INET6 ||
		embedded_extract(&local->in6.sin6_addr, bind->prefix_len, &addr) < 0 ||
		!embedded_is_allowed(listener->allow, listener->n_allow, &addr))
		return -EACCES;
	*ret_backend = (struct sockaddr_any){
		.in = { .sin_family = AF_INET, .sin_addr = addr },
	};
	sockaddr_set_port(ret_backend, sockaddr_port(local));
	return 0;
}

int target_pick(const struct config_listener *listener, const struct config_bind *bind,
	struct pool *pools, const struct sockaddr_any *local, struct sockaddr_any *ret_backend)
{
	const struct config_backend *backend;

	if (listener->embedded)
		return pick_embedded(listener, bind, local, ret_backend);
	backend = pool_pick(&pools[listener->pool]);
	if (!backend)
		return -EHOSTUNREACH;
	*ret_backend = backend->addr;
	if (sockaddr_port(ret_backend) == 0)
		sockaddr_set_port(ret_backend, sockaddr_port(local));
	return 0;
}
