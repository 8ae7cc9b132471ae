#include "config_told.h"

#include <errno.h>

static int walk_from(struct config_tree *tree, struct config_accept_proxy *accept_proxy, cfg_t *cfg)
{
	for (unsigned i = 0; i < cfg_size(cfg, "from"); i++) {
		const char *text = cfg_getnstr(cfg, "from", i), *reason = NULL;
		int err = config_add_from(accept_proxy, text, &reason);

		if (err)
			return config_tree_refused(tree,
				config_tree_line_of_nth(tree, cfg, "from", i), err, "from", text,
				reason);
	}
	if (accept_proxy->n_from == 0)
		return config_tree_fail(tree, cfg->line,
			"accept-proxy: it does not say whose header is believed; add: from = "
			"\"2001:db8:ffff::/48\"");
	return 0;
}

int config_told_walk(struct config_tree *tree, struct config_listener *listener, cfg_t *cfg)
{
	static const struct config_tree_range range = { 100, 60000, "100ms to 1m" };
	cfg_t *section;
	int err;

	if (!cfg_size(cfg, "accept-proxy"))
		return 0;
	section = cfg_getsec(cfg, "accept-proxy");
	if (listener->protocol == IPPROTO_UDP)
		return config_tree_fail(tree, section->line,
			"accept-proxy: this goes with protocol = tcp only: remove it");
	if (config_is_transparent(listener))
		return config_tree_fail(tree, section->line,
			"accept-proxy: a client that another proxy names cannot be shown by its "
			"own "
			"address; write identity = proxy-v2, or remove this");
	err = walk_from(tree, &listener->accept_proxy, section);
	return err ? err
		   : config_tree_get_duration(
			     tree, section, "timeout", &range, &listener->accept_proxy.timeout_ms);
}
