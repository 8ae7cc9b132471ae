#include "config_limits.h"

#include <errno.h>

static int walk_numbers(
	struct config_tree *tree, struct config_limits *limits, cfg_t *cfg, uint32_t least)
{
	const struct {
		const char *name;
		uint32_t least;
		uint32_t *ret_number;
	} numbers[] = {
		{ "max", least, &limits->max },
		{ "per-client", 0, &limits->max_per_client },
		{ "per-address", 0, &limits->max_per_address },
		{ "rate", 0, &limits->rate },
		{ "rate-per-client", 0, &limits->rate_per_client },
		{ "rate-per-address", 0, &limits->rate_per_address },
	};
	int err = 0;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && !err; i++)
		err = config_tree_get_number(tree, cfg, numbers[i].name, numbers[i].least,
			CONFIG_LIMIT_MAX, numbers[i].ret_number);
	return err;
}

static int walk_sessions(struct config_tree *tree, struct config_limits *limits, cfg_t *cfg)
{
	const char *text = config_tree_text_of(cfg, "when-full"), *reason = NULL;
	int err = walk_numbers(tree, limits, cfg, 1);

	if (!err && text && config_parse_when_full(text, &limits->refuse_when_full, &reason) < 0)
		err = config_tree_refused(tree, config_tree_line_of(tree, cfg, "when-full"),
			-EINVAL, "when-full", text, reason);
	return err;
}

int config_limits_walk(struct config_tree *tree, struct config_listener *listener, cfg_t *cfg)
{
	bool udp = listener->protocol == IPPROTO_UDP;
	const char *other = udp ? "connections" : "sessions";

	if (cfg_size(cfg, other))
		return config_tree_fail(tree, cfg_getsec(cfg, other)->line,
			"%s: this goes with protocol = %s only: %s", other, udp ? "tcp" : "udp",
			udp ? "UDP has sessions" : "TCP has connections");
	if (cfg_size(cfg, "sessions"))
		return walk_sessions(tree, &listener->limits, cfg_getsec(cfg, "sessions"));
	if (cfg_size(cfg, "connections"))
		return walk_numbers(tree, &listener->limits, cfg_getsec(cfg, "connections"), 0);
	return 0;
}
