#include "config_resolve.h"

#include <errno.h>
#include <string.h>

#include "grow.h"

static int refuse_server(struct config_tree *tree, cfg_t *cfg, unsigned nth, const char *reason)
{
	return config_tree_refused(tree, config_tree_line_of_nth(tree, cfg, "servers", nth),
		-EINVAL, "servers", cfg_getnstr(cfg, "servers", nth), reason);
}

/* An address with a port, or without one and then it is 53. */
static int parse_server(const char *text, struct sockaddr_any *ret_addr)
{
	const char *reason;

	if (sockaddr_parse(text, ret_addr, &reason) == 0)
		return 0;
	if (sockaddr_parse_host(text, ret_addr, &reason) < 0)
		return -EINVAL;
	sockaddr_set_port(ret_addr, 53);
	return 0;
}

static int walk_server(
	struct config_tree *tree, struct config_resolve *resolve, cfg_t *cfg, unsigned nth)
{
	struct sockaddr_any addr, *place;

	if (parse_server(cfg_getnstr(cfg, "servers", nth), &addr) < 0 || sockaddr_is_any(&addr))
		return refuse_server(tree, cfg, nth,
			"a DNS server is an address, and a port unless that is 53, like "
			"192.0.2.53 or [2001:db8::53]:5353");
	if (sockaddr_family(&addr) == AF_INET6 && addr.in6.sin6_scope_id)
		return refuse_server(tree, cfg, nth,
			"a link-local address cannot be asked: name another of the server's");
	for (size_t i = 0; i < resolve->n_servers; i++)
		if (sockaddr_equal(&resolve->servers[i], &addr))
			return refuse_server(tree, cfg, nth, "this server is given already");
	if (resolve->n_servers >= CONFIG_RESOLVE_SERVERS_MAX)
		return refuse_server(tree, cfg, nth, "there may be 8 DNS servers");
	place = grow_array((void **)&resolve->servers, resolve->n_servers, sizeof(*place));
	if (!place)
		return -ENOMEM;
	*place = addr;
	resolve->n_servers++;
	return 0;
}

static int walk_hold(struct config_tree *tree, struct config_resolve *resolve, cfg_t *cfg)
{
	static const struct config_tree_range range = { 0, 30U * 86400000U,
		"0s to 30d, or forever" };
	const char *text = config_tree_text_of(cfg, "hold");

	if (!text || strcmp(text, "forever") != 0)
		return config_tree_get_duration(tree, cfg, "hold", &range, &resolve->hold_ms);
	resolve->hold_ms = CONFIG_HOLD_FOREVER;
	return 0;
}

/*
 * The two intervals are compared when both are read: only one may have been written, and the other
 * be its default.
 */
int config_resolve_walk(struct config_tree *tree, struct config *config, cfg_t *cfg)
{
	static const struct config_tree_range interval = { 100, 86400000, "100ms to 1d" };
	static const struct config_tree_range timeout = { 100, 60000, "100ms to 1m" };
	struct config_resolve *resolve = &config->resolve;
	int err = 0;

	for (unsigned i = 0; i < cfg_size(cfg, "servers") && !err; i++)
		err = walk_server(tree, resolve, cfg, i);
	if (!err)
		err = config_tree_get_duration(
			tree, cfg, "interval-min", &interval, &resolve->interval_min_ms);
	if (!err)
		err = config_tree_get_duration(
			tree, cfg, "interval-max", &interval, &resolve->interval_max_ms);
	if (!err)
		err = config_tree_get_duration(
			tree, cfg, "timeout", &timeout, &resolve->timeout_ms);
	if (!err)
		err = config_tree_get_number(tree, cfg, "attempts", 1, 10, &resolve->attempts);
	if (!err)
		err = walk_hold(tree, resolve, cfg);
	if (err || resolve->interval_min_ms <= resolve->interval_max_ms)
		return err;
	return config_tree_fail(tree, config_tree_line_of(tree, cfg, "interval-min"),
		"interval-min is longer than interval-max, %u ms against %u: give both, the first "
		"no longer than the second",
		resolve->interval_min_ms, resolve->interval_max_ms);
}
