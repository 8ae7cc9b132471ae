#include "config_hold.h"

#include <errno.h>

static int fail(struct config_tree *tree, cfg_t *cfg, const char *reason)
{
	return config_tree_fail(tree, config_tree_line_of(tree, cfg, "accept"),
		"accept \"after-backend\": %s", reason);
}

static int check_binds(struct config_tree *tree, const struct config_listener *listener, cfg_t *cfg)
{
	char text[CONFIG_BIND_TEXT_MAX];

	for (size_t b = 0; b < listener->n_binds; b++)
		if (config_bind_diverted(&listener->binds[b]))
			return config_tree_fail(tree, config_tree_line_of(tree, cfg, "accept"),
				"accept \"after-backend\": %s is a prefix or a range of ports, "
				"whose clients cannot be held; bind single addresses and ports, or "
				"remove this",
				config_bind_text(&listener->binds[b], text));
	return 0;
}

int config_hold_walk_listener(
	struct config_tree *tree, struct config_listener *listener, cfg_t *cfg)
{
	static const char *const words[] = { "at-once", "after-backend" };
	unsigned word = 0;
	int err = config_tree_get_word(
		tree, cfg, "accept", words, 2, "accept is at-once or after-backend", &word);

	if (err || word == 0)
		return err;
	if (listener->protocol == IPPROTO_UDP)
		return fail(tree, cfg, "datagrams are not accepted: remove it, or protocol = udp");
	if (listener->embedded)
		return fail(tree, cfg,
			"a server that the destination names is behind a prefix, whose clients "
			"cannot be held: remove it");
	if (config_is_transparent(listener))
		return fail(tree, cfg,
			"the server would see a client that is not there yet; write identity = "
			"proxy-v2, or remove it");
	if (listener->accept_proxy.n_from > 0)
		return fail(tree, cfg,
			"a proxy says who its client is when it has been let in, not before; "
			"remove it, or accept-proxy");
	listener->after_backend = true;
	return check_binds(tree, listener, cfg);
}

int config_hold_walk(struct config_tree *tree, struct config *config, cfg_t *cfg)
{
	cfg_t *section;
	int err;

	if (!cfg_size(cfg, "hold"))
		return 0;
	section = cfg_getsec(cfg, "hold");
	err = config_tree_get_number(tree, section, "max", 1, CONFIG_HOLD_MAX, &config->hold.max);
	if (!err)
		err = config_tree_get_number(tree, section, "max-per-backend", 0, CONFIG_HOLD_MAX,
			&config->hold.max_per_backend);
	if (!err)
		err = config_tree_get_number(tree, section, "max-per-client", 0, CONFIG_HOLD_MAX,
			&config->hold.max_per_client);
	if (!err)
		err = config_tree_get_number(
			tree, section, "queue", 0, CONFIG_HOLD_QUEUE_MAX, &config->hold.queue);
	return err;
}
