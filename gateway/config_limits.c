#include "config_limits.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "grow.h"
#include "prefix_rules.h"

/* least: of "max"; of all others 0, for no limit, will do. */
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

/*
 * No UDP listener is without a limit: a session costs its client one datagram, which may be forged,
 * and us a socket and a port. So 0 is none here.
 */
static int walk_sessions(struct config_tree *tree, struct config_limits *limits, cfg_t *cfg)
{
	const char *text = config_tree_text_of(cfg, "when-full"), *reason = NULL;
	int err = walk_numbers(tree, limits, cfg, 1);

	if (!err && text && config_parse_when_full(text, &limits->refuse_when_full, &reason) < 0)
		err = config_tree_refused(tree, config_tree_line_of(tree, cfg, "when-full"),
			-EINVAL, "when-full", text, reason);
	return err;
}

static int walk_prefixes(struct config_tree *tree, cfg_t *cfg, const char *name,
	struct config_address **addrs, size_t *n)
{
	for (unsigned i = 0; i < cfg_size(cfg, name); i++) {
		const char *text = cfg_getnstr(cfg, name, i), *reason = NULL;
		struct config_address *place;
		struct prefix prefix;
		int err = prefix_rules_parse_one(text, &prefix, &reason);

		if (!err && *n >= CONFIG_ADDRESSES_MAX) {
			reason = "a list may have 1024 prefixes here: put them into a file";
			err = -EINVAL;
		}
		if (err)
			return config_tree_refused(tree,
				config_tree_line_of_nth(tree, cfg, name, i), err, name, text,
				reason);
		place = grow_array((void **)addrs, *n, sizeof(*place));
		if (!place)
			return -ENOMEM;
		*place = (struct config_address){ prefix.addr, prefix.len };
		(*n)++;
	}
	return 0;
}

static int walk_file(struct config_tree *tree, cfg_t *cfg, const char *name, char **ret_path)
{
	const char *text = config_tree_text_of(cfg, name);

	if (!text)
		return 0;
	if (text[0] != '/' || strlen(text) >= PATH_MAX)
		return config_tree_refused(tree, config_tree_line_of(tree, cfg, name), -EINVAL,
			name, text, "name a file by its path from / on");
	*ret_path = strdup(text);
	return *ret_path ? 0 : -ENOMEM;
}

static int walk_clients(struct config_tree *tree, struct config_clients *clients, cfg_t *cfg)
{
	int err = walk_prefixes(tree, cfg, "allow", &clients->allow, &clients->n_allow);

	if (!err)
		err = walk_prefixes(tree, cfg, "deny", &clients->deny, &clients->n_deny);
	if (!err)
		err = walk_file(tree, cfg, "allow-file", &clients->allow_file);
	return err ? err : walk_file(tree, cfg, "deny-file", &clients->deny_file);
}

int config_limits_walk(struct config_tree *tree, struct config_listener *listener, cfg_t *cfg)
{
	bool udp = listener->protocol == IPPROTO_UDP;
	const char *other = udp ? "connections" : "sessions";
	int err = 0;

	if (cfg_size(cfg, "clients"))
		err = walk_clients(tree, &listener->clients, cfg_getsec(cfg, "clients"));
	if (err)
		return err;
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
