#include "config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_check.h"
#include "config_hold.h"
#include "config_limits.h"
#include "config_metrics.h"
#include "config_resolve.h"
#include "config_told.h"
#include "config_tree.h"
#include "nearest.h"

/*
 * Theory of operation
 *
 * config_tree makes a tree of the text, in which every value is a string with its line. The tree is
 * walked here and the configuration built by the functions of config.h, and what they refuse is
 * reported with that line. The first mistake ends the work.
 *
 * Order matters: pools before the listeners that name them; of a listener its protocol, which sets
 * defaults, before its binds; servers, binds and v6only before the identity, which depends on all
 * of them; and what concerns several listeners (overlaps, circles) when all are there.
 *
 * Sections of their own (check, limits, hold, ...) are walked by modules of their own, config_*.c,
 * with the same tree, so that this file stays a table of contents.
 */
/* It is read whole before anything is known of it, and a path may be that of a device. */
#define FILE_MAX ((size_t)1024 * 1024)

struct parse {
	struct config_tree *tree;
	struct config *config;
	size_t seen_backends; /* over all pools, to find their lines */
};

/* The option's only value was refused. */
static int refused(struct parse *parse, cfg_t *cfg, const char *name, int err, const char *reason)
{
	return config_tree_refused(parse->tree, config_tree_line_of(parse->tree, cfg, name), err,
		name, config_tree_text_of(cfg, name), reason);
}

/* A value of a list was refused. Its line is looked for only now, as that takes a while. */
static int refused_nth(struct parse *parse, cfg_t *cfg, const char *name, unsigned nth, int err,
	const char *reason)
{
	return config_tree_refused(parse->tree,
		config_tree_line_of_nth(parse->tree, cfg, name, nth), err, name,
		cfg_getnstr(cfg, name, nth), reason);
}

/* ---- walking: sections ---- */

/*
 * A name adds several backends, one for each address that it may have: what the section says holds
 * for all of them.
 */
static int walk_backend(struct parse *parse, struct config_pool *pool, cfg_t *cfg)
{
	int line = config_scan_line(&parse->tree->scan, "backend", parse->seen_backends++);
	bool backup = false, name = config_is_name(cfg_title(cfg));
	const size_t from = pool->n_backends;
	const char *reason = NULL;
	uint32_t weight = 100, addresses = CONFIG_NAME_ADDRESSES, max = 0;
	int err;

	err = config_tree_get_number(parse->tree, cfg, "weight", 0, CONFIG_WEIGHT_MAX, &weight);
	if (err)
		return err;
	err = config_tree_get_bool(parse->tree, cfg, "backup", &backup);
	if (!err)
		err = config_tree_get_number(
			parse->tree, cfg, "addresses", 1, CONFIG_NAME_ADDRESSES_MAX, &addresses);
	if (!err)
		err = config_tree_get_number(
			parse->tree, cfg, "max-connections", 0, CONFIG_LIMIT_MAX, &max);
	if (err)
		return err;
	if (!name && cfg_size(cfg, "addresses"))
		return refused(parse, cfg, "addresses", -EINVAL,
			"this goes with a backend that is a name only: remove it");
	err = name ? config_add_name(pool, cfg_title(cfg), addresses, weight, &reason)
		   : config_add_backend(pool, cfg_title(cfg), weight, &reason);
	if (err)
		return config_tree_refused(
			parse->tree, line, err, "backend", cfg_title(cfg), reason);
	for (size_t i = from; i < pool->n_backends; i++) {
		pool->backends[i].backup = backup;
		pool->backends[i].max_connections = max;
	}
	return 0;
}

static int walk_balance(struct parse *parse, struct config_pool *pool, cfg_t *cfg)
{
	const char *text = config_tree_text_of(cfg, "balance"), *reason = NULL;

	if (text && config_parse_balance(text, &pool->balance, &reason) < 0)
		return refused(parse, cfg, "balance", -EINVAL, reason);
	text = config_tree_text_of(cfg, "hash");
	if (text && config_parse_hash(text, &pool->hash, &reason) < 0)
		return refused(parse, cfg, "hash", -EINVAL, reason);
	if (text && pool->balance != CONFIG_BALANCE_MAGLEV)
		return refused(parse, cfg, "hash", -EINVAL,
			"this goes with balance = maglev only: remove it");
	if (cfg_size(cfg, "slow-start") && pool->balance == CONFIG_BALANCE_MAGLEV)
		return refused(parse, cfg, "slow-start", -EINVAL,
			"with balance = maglev no client may move for it: remove it");
	return 0;
}

static int walk_failover(struct parse *parse, struct config_pool *pool, cfg_t *cfg)
{
	static const struct config_tree_range slow = { 0, 3600000, "0s to 1h" };
	static const struct config_tree_range circuit = { 100, 3600000, "100ms to 1h" };
	int err;

	err = config_tree_get_number(
		parse->tree, cfg, "attempts", 1, CONFIG_ATTEMPTS_MAX, &pool->attempts);
	if (!err)
		err = config_tree_get_number(
			parse->tree, cfg, "circuit-failures", 0, 1000000, &pool->circuit_failures);
	if (!err)
		err = config_tree_get_duration(
			parse->tree, cfg, "circuit-time", &circuit, &pool->circuit_ms);
	if (!err)
		err = config_tree_get_duration(
			parse->tree, cfg, "slow-start", &slow, &pool->slow_start_ms);
	if (!err)
		err = config_tree_get_number(parse->tree, cfg, "max-connections", 0,
			CONFIG_LIMIT_MAX, &pool->max_connections);
	return err;
}

static bool all_weights_zero(const struct config_pool *pool)
{
	for (size_t i = 0; i < pool->n_backends; i++)
		if (pool->backends[i].weight)
			return false;
	return true;
}

static int walk_pool(struct parse *parse, cfg_t *cfg, int line)
{
	const char *reason = NULL;
	struct config_pool *pool;
	int err;

	err = config_add_pool(parse->config, cfg_title(cfg), &pool, &reason);
	if (err)
		return config_tree_refused(parse->tree, line, err, "pool", cfg_title(cfg), reason);
	err = walk_balance(parse, pool, cfg);
	if (!err)
		err = walk_failover(parse, pool, cfg);
	if (!err)
		err = config_tree_get_number(parse->tree, cfg, "header-max", CONFIG_HEADER_MIN,
			CONFIG_HEADER_MAX, &pool->header_max);
	for (unsigned i = 0; i < cfg_size(cfg, "source") && !err; i++) {
		err = config_add_source(pool, cfg_getnstr(cfg, "source", i), &reason);
		if (err)
			return refused_nth(parse, cfg, "source", i, err, reason);
	}
	for (unsigned i = 0; i < cfg_size(cfg, "backend") && !err; i++)
		err = walk_backend(parse, pool, cfg_getnsec(cfg, "backend", i));
	if (!err && cfg_size(cfg, "check"))
		err = config_check_walk(parse->tree, pool, cfg_getsec(cfg, "check"));
	if (err)
		return err;
	if (pool->n_backends == 0)
		return config_tree_fail(parse->tree, line,
			"pool \"%s\" has no backend; add: backend \"192.0.2.10:80\" {}",
			pool->name);
	if (all_weights_zero(pool))
		return config_tree_fail(parse->tree, line,
			"pool \"%s\": every backend has weight 0, so nobody could be served; give "
			"one a weight from 1 to 65535",
			pool->name);
	return 0;
}

static int walk_timeouts(struct parse *parse, cfg_t *cfg, struct config_timeouts *timeouts)
{
	static const struct config_tree_range connect = { 1, 600000, "1ms to 10m" };
	static const struct config_tree_range idle = { 1000, 30U * 86400000U, "1s to 30d" };
	static const struct config_tree_range dead = { 1000, 3600000, "1s to 1h" };
	static const struct config_tree_range unanswered = { 100, 86400000, "100ms to 1d" };
	int err;

	err = config_tree_get_duration(
		parse->tree, cfg, "connect", &connect, &timeouts->connect_ms);
	if (!err)
		err = config_tree_get_duration(
			parse->tree, cfg, "connect-total", &connect, &timeouts->connect_total_ms);
	if (!err)
		err = config_tree_get_duration(parse->tree, cfg, "idle", &idle, &timeouts->idle_ms);
	if (!err)
		err = config_tree_get_duration(
			parse->tree, cfg, "half-closed", &idle, &timeouts->half_closed_ms);
	if (!err)
		err = config_tree_get_duration(
			parse->tree, cfg, "dead-peer", &dead, &timeouts->dead_peer_ms);
	if (!err)
		err = config_tree_get_duration(
			parse->tree, cfg, "unanswered", &unanswered, &timeouts->unanswered_ms);
	return err;
}

/* "*:80" is two binds, each of which must be able to name servers where destinations do. */
static int add_bind(struct parse *parse, struct config_listener *listener, const char *text,
	const char **ret_reason)
{
	size_t from = listener->n_binds;
	int err = config_add_bind(parse->config, listener, text, ret_reason);

	for (size_t b = from; b < listener->n_binds && listener->embedded && !err; b++)
		err = config_check_embedded(listener, &listener->binds[b], ret_reason);
	return err;
}

static int walk_binds(struct parse *parse, struct config_listener *listener, cfg_t *cfg, int line)
{
	for (unsigned i = 0; i < cfg_size(cfg, "bind"); i++) {
		const char *reason = NULL;
		int err = add_bind(parse, listener, cfg_getnstr(cfg, "bind", i), &reason);

		if (err)
			return refused_nth(parse, cfg, "bind", i, err, reason);
	}
	if (listener->n_binds == 0)
		return config_tree_fail(parse->tree, line,
			"listener \"%s\" has no address; add: bind = \"*:80\"", listener->name);
	return 0;
}

static int walk_allow(struct parse *parse, struct config_listener *listener, cfg_t *cfg, int line)
{
	for (unsigned i = 0; i < cfg_size(cfg, "allow"); i++) {
		const char *reason = "this goes with backend = embedded only: remove it";
		int err = -EINVAL;

		if (listener->embedded)
			err = config_add_allow(listener, cfg_getnstr(cfg, "allow", i), &reason);
		if (err)
			return refused_nth(parse, cfg, "allow", i, err, reason);
	}
	if (listener->embedded && listener->n_allow == 0)
		return config_tree_fail(parse->tree, line,
			"listener \"%s\" allows no server to be named; add those that clients may "
			"reach: allow = \"10.0.0.0/8\"",
			listener->name);
	return 0;
}

static int fail_unknown_pool(struct parse *parse, cfg_t *cfg, const char *pool)
{
	int line = config_tree_line_of(parse->tree, cfg, "pool");
	struct nearest nearest = { .word = pool };

	for (size_t i = 0; i < parse->config->n_pools; i++)
		nearest_offer(&nearest, parse->config->pools[i].name);
	if (nearest.found)
		return config_tree_fail(parse->tree, line,
			"pool \"%.100s\": there is none of this name; did you mean \"%s\"?", pool,
			nearest.found);
	return config_tree_fail(parse->tree, line,
		"pool \"%.100s\": there is none of this name; add: pool \"%.63s\" { backend "
		"\"192.0.2.10:80\" {} }",
		pool, pool);
}

/* Which servers: a pool's, or those that the destination names. */
static int walk_servers(struct parse *parse, struct config_listener *listener, cfg_t *cfg, int line)
{
	const char *pool = config_tree_text_of(cfg, "pool");
	const char *backend = config_tree_text_of(cfg, "backend");

	listener->embedded = backend;
	if (backend && strcmp(backend, "embedded") != 0)
		return config_tree_fail(parse->tree,
			config_tree_line_of(parse->tree, cfg, "backend"),
			"backend \"%.100s\": a listener's backend is embedded; servers themselves "
			"stand in a pool: pool = \"name\"",
			backend);
	if (backend && pool)
		return config_tree_fail(parse->tree, config_tree_line_of(parse->tree, cfg, "pool"),
			"pool \"%.100s\": the destination names the server here; remove this or "
			"backend = embedded",
			pool);
	if (!backend && !pool)
		return config_tree_fail(parse->tree, line,
			"listener \"%s\" has no pool; add: pool = \"name\"", listener->name);
	if (pool && config_find_pool(parse->config, pool, &listener->pool) < 0)
		return fail_unknown_pool(parse, cfg, pool);
	return walk_allow(parse, listener, cfg, line);
}

/* Behind the binds and v6only: it depends on them. */
static int walk_identity(struct parse *parse, struct config_listener *listener, cfg_t *cfg)
{
	const char *text = config_tree_text_of(cfg, "identity"), *reason = NULL;
	const char *v6_text = config_tree_text_of(cfg, "identity-ipv6");

	if (text && config_parse_identity(text, &listener->identity, &reason) < 0)
		return refused(parse, cfg, "identity", -EINVAL, reason);
	if (v6_text && config_parse_identity_v6(v6_text, &listener->identity_v6, &reason) < 0)
		return refused(parse, cfg, "identity-ipv6", -EINVAL, reason);
	if (config_settle_identity(listener, v6_text != NULL, &reason) < 0)
		return refused(parse, cfg,
			v6_text && !config_is_transparent(listener) ? "identity-ipv6" : "identity",
			-EINVAL, reason);
	return 0;
}

/* The kernel tells an IPv6 socket's diverted packets from others by their IPv6 destination. */
static int walk_v6only(struct parse *parse, struct config_listener *listener, cfg_t *cfg)
{
	int err = config_tree_get_bool(parse->tree, cfg, "v6only", &listener->v6only);
	char text[CONFIG_BIND_TEXT_MAX];

	for (size_t b = 0; b < listener->n_binds && !listener->v6only && !err; b++) {
		const struct config_bind *bind = &listener->binds[b];

		if (sockaddr_family(&bind->addr) == AF_INET6 && config_bind_diverted(bind))
			err = config_tree_fail(parse->tree,
				config_tree_line_of(parse->tree, cfg, "v6only"),
				"v6only \"no\": %s is a prefix or a range of ports, which takes "
				"IPv6 clients only; write v6only = yes, and bind IPv4 addresses of "
				"their own",
				config_bind_text(bind, text));
	}
	return err;
}

static int walk_protocol(struct parse *parse, struct config_listener *listener, cfg_t *cfg)
{
	const char *text = config_tree_text_of(cfg, "protocol"), *reason = NULL;

	if (text && config_set_protocol(listener, text, &reason) < 0)
		return refused(parse, cfg, "protocol", -EINVAL, reason);
	return 0;
}

static int walk_refuse(struct parse *parse, struct config_listener *listener, cfg_t *cfg)
{
	const char *text = config_tree_text_of(cfg, "refuse"), *reason = NULL;

	if (!text)
		return 0;
	if (config_parse_refuse(text, &listener->refuse, &reason) < 0)
		return refused(parse, cfg, "refuse", -EINVAL, reason);
	if (listener->protocol == IPPROTO_UDP)
		return refused(parse, cfg, "refuse", -EINVAL,
			"this goes with protocol = tcp only: remove it");
	if (listener->embedded)
		return refused(parse, cfg, "refuse", -EINVAL,
			"backend = embedded has no pool that could be down: remove it");
	return 0;
}

/* What only UDP has; and what it has not. */
static int walk_datagrams(struct parse *parse, struct config_listener *listener, cfg_t *cfg)
{
	static const char *const udp_only[] = { "oversize", "receive-buffer" };
	static const char *const tcp_only[] = { "connect", "connect-total", "half-closed",
		"dead-peer" };
	const char *text = config_tree_text_of(cfg, "oversize"), *reason = NULL;
	cfg_t *timeouts = cfg_size(cfg, "timeouts") ? cfg_getsec(cfg, "timeouts") : NULL;
	bool udp = listener->protocol == IPPROTO_UDP;

	for (size_t i = 0; i < 2 && !udp; i++)
		if (cfg_size(cfg, udp_only[i]))
			return refused(parse, cfg, udp_only[i], -EINVAL,
				"this goes with protocol = udp only: remove it");
	if (!udp && timeouts && cfg_size(timeouts, "unanswered"))
		return refused(parse, timeouts, "unanswered", -EINVAL,
			"this goes with protocol = udp only: remove it");
	if (!udp)
		return 0;
	if (cfg_size(cfg, "backlog"))
		return refused(parse, cfg, "backlog", -EINVAL,
			"this goes with protocol = tcp only: remove it");
	for (size_t i = 0; i < 4 && timeouts; i++)
		if (cfg_size(timeouts, tcp_only[i]))
			return refused(parse, timeouts, tcp_only[i], -EINVAL,
				"this goes with protocol = tcp only: UDP has idle and unanswered");
	if (text && config_parse_oversize(text, &listener->oversize, &reason) < 0)
		return refused(parse, cfg, "oversize", -EINVAL, reason);
	return config_tree_get_number(
		parse->tree, cfg, "receive-buffer", 4096, 1U << 30, &listener->receive_buffer);
}

static int walk_listener(struct parse *parse, cfg_t *cfg, int line)
{
	struct config_listener *listener;
	const char *reason = NULL;
	int err;

	err = config_add_listener(parse->config, cfg_title(cfg), &listener, &reason);
	if (err)
		return config_tree_refused(
			parse->tree, line, err, "listener", cfg_title(cfg), reason);
	/* Said before anything else that is missing. */
	if (cfg_size(cfg, "bind") == 0)
		return walk_binds(parse, listener, cfg, line);
	err = walk_protocol(parse, listener, cfg);
	if (!err)
		err = walk_servers(parse, listener, cfg, line);
	if (!err)
		err = walk_binds(parse, listener, cfg, line);
	if (!err)
		err = walk_v6only(parse, listener, cfg);
	if (!err)
		err = config_tree_get_number(
			parse->tree, cfg, "backlog", 1, 65535, &listener->backlog);
	if (!err)
		err = walk_refuse(parse, listener, cfg);
	if (!err && cfg_size(cfg, "timeouts"))
		err = walk_timeouts(parse, cfg_getsec(cfg, "timeouts"), &listener->timeouts);
	if (!err)
		err = walk_datagrams(parse, listener, cfg);
	if (!err)
		err = config_limits_walk(parse->tree, listener, cfg);
	if (!err)
		err = walk_identity(parse, listener, cfg);
	if (!err)
		err = config_told_walk(parse->tree, parse->config, listener, cfg);
	return err ? err : config_hold_walk_listener(parse->tree, listener, cfg);
}

/* ---- walking: the network ---- */

typedef int add_address(struct config_network *network, const char *text, const char **ret_reason);

/* A list of addresses, and the interface that has them, which is known by now ("": it is not). */
static int walk_addresses(
	struct parse *parse, cfg_t *cfg, const char *name, const char *interface, add_address *add)
{
	for (unsigned i = 0; i < cfg_size(cfg, name); i++) {
		const char *text = cfg_getnstr(cfg, name, i), *reason = NULL;
		int err = add(&parse->config->network, text, &reason);

		if (err)
			return refused_nth(parse, cfg, name, i, err, reason);
		if (!interface[0])
			return config_tree_fail(parse->tree,
				config_tree_line_of_nth(parse->tree, cfg, name, i),
				"%s \"%.100s\": its interface is missing; add: interface = "
				"\"eth0\"",
				name, text);
	}
	return 0;
}

static int walk_interface(
	struct parse *parse, cfg_t *cfg, const char *name, char interface[IF_NAMESIZE])
{
	const char *text = config_tree_text_of(cfg, name), *reason = NULL;

	if (!text || config_set_interface(interface, text, &reason) == 0)
		return 0;
	return refused(parse, cfg, name, -EINVAL, reason);
}

static int walk_mark(struct parse *parse, cfg_t *cfg, uint32_t *ret_mark)
{
	const char *text = config_tree_text_of(cfg, "mark");
	unsigned long long mark;
	const char *digits;
	bool hex;

	if (!text)
		return 0;
	hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	digits = hex ? text + 2 : text;
	mark = strtoull(digits, NULL, hex ? 16 : 10);
	if (!digits[0] || digits[strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789")] ||
		mark < 1 || mark > UINT32_MAX)
		return config_tree_fail(parse->tree, config_tree_line_of(parse->tree, cfg, "mark"),
			"mark \"%.100s\": write a number from 1 to 0xffffffff, like 0x1000", text);
	*ret_mark = (uint32_t)mark;
	return 0;
}

static int walk_routing(struct parse *parse, cfg_t *cfg, struct config_network *network)
{
	int err = config_tree_get_number(parse->tree, cfg, "table", 1, UINT32_MAX, &network->table);

	if (!err && network->table >= 253 && network->table <= 255)
		err = config_tree_fail(parse->tree, config_tree_line_of(parse->tree, cfg, "table"),
			"table \"%u\": 253 to 255 are the kernel's own; write another number, like "
			"166",
			network->table);
	/* Behind 32766, the rule of table main, ours would not be asked. */
	if (!err)
		err = config_tree_get_number(
			parse->tree, cfg, "priority", 1, 32765, &network->priority);
	if (!err)
		err = walk_mark(parse, cfg, &network->mark);
	return err;
}

static int walk_notrack(struct parse *parse, cfg_t *cfg, enum config_notrack *ret_notrack)
{
	static const char *const words[] = { [CONFIG_NOTRACK_AUTO] = "auto",
		[CONFIG_NOTRACK_YES] = "yes",
		[CONFIG_NOTRACK_NO] = "no" };
	unsigned word = *ret_notrack;
	int err = config_tree_get_word(
		parse->tree, cfg, "notrack", words, 3, "notrack is auto, yes or no", &word);

	if (!err)
		*ret_notrack = (enum config_notrack)word;
	return err;
}

static int walk_network(struct parse *parse, cfg_t *cfg)
{
	struct config_network *network = &parse->config->network;
	int err;

	network->given = true;
	err = walk_interface(parse, cfg, "interface", network->interface);
	/* Unless it is named, which is looked at next. */
	memcpy(network->source_interface, network->interface, IF_NAMESIZE);
	if (!err)
		err = walk_interface(parse, cfg, "source-interface", network->source_interface);
	if (!err)
		err = walk_addresses(parse, cfg, "address", network->interface, config_add_vip);
	if (!err)
		err = walk_addresses(
			parse, cfg, "source", network->source_interface, config_add_net_source);
	if (!err)
		err = config_tree_get_bool(parse->tree, cfg, "keep", &network->keep);
	if (!err)
		err = walk_notrack(parse, cfg, &network->notrack);
	if (!err)
		err = walk_routing(parse, cfg, network);
	if (!err)
		err = config_tree_get_number(parse->tree, cfg, "receive-buffer", 4096, 67108864,
			&network->receive_buffer);
	return err;
}

/* ---- walking: the whole ---- */

static int walk_log(struct parse *parse, cfg_t *cfg)
{
	struct config *config = parse->config;
	const char *text = config_tree_text_of(cfg, "log"), *reason = NULL;
	int err = 0;

	if (text && strcmp(text, "stderr") != 0 && strcmp(text, "journal") != 0)
		return config_tree_fail(parse->tree, config_tree_line_of(parse->tree, cfg, "log"),
			"log \"%.100s\": log is stderr or journal", text);
	if (text)
		config->log = text[0] == 'j' ? LOG_TARGET_JOURNAL : LOG_TARGET_STDERR;
	text = config_tree_text_of(cfg, "log-level");
	if (text && config_parse_log_level(text, &config->log_level, &reason) < 0)
		return refused(parse, cfg, "log-level", -EINVAL, reason);
	text = config_tree_text_of(cfg, "access-log");
	if (text)
		err = config_set_access_log(config, text, &reason);
	return err ? refused(parse, cfg, "access-log", err, reason) : 0;
}

/* As they are written: links are not followed. */
static bool is_same_path(const char *a, const char *b)
{
	size_t a_len = strlen(a), b_len = strlen(b);

	while (a_len > 1 && a[a_len - 1] == '/')
		a_len--;
	while (b_len > 1 && b[b_len - 1] == '/')
		b_len--;
	return a_len == b_len && memcmp(a, b, a_len) == 0;
}

/* Where a service manager wants our state: STATE_DIRECTORY, paths with ':' between,
 * systemd.exec(5). */
static int take_state_directory(struct parse *parse)
{
	const char *paths = getenv("STATE_DIRECTORY"), *reason = NULL;
	char *first;
	int err;

	if (!paths || !*paths)
		return 0;
	first = strndup(paths, strcspn(paths, ":"));
	if (!first)
		return -ENOMEM;
	err = config_set_state_directory(parse->config, first, &reason);
	if (err == -EINVAL)
		err = config_tree_fail(parse->tree, 0,
			"STATE_DIRECTORY \"%s\" of the environment: %s; unset it, or write "
			"state-directory",
			first, reason);
	free(first);
	return err;
}

static int walk_names(struct parse *parse, cfg_t *cfg)
{
	static const struct {
		const char *name;
		int (*set)(struct config *config, const char *text, const char **ret_reason);
	} options[] = {
		{ "user", config_set_user },
		{ "run-directory", config_set_run_directory },
		{ "control-group", config_set_control_group },
		{ "state-directory", config_set_state_directory },
	};
	const char *text, *reason = NULL;
	int err = config_tree_text_of(cfg, "state-directory") ? 0 : take_state_directory(parse);

	if (err)
		return err;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		text = config_tree_text_of(cfg, options[i].name);
		err = text ? options[i].set(parse->config, text, &reason) : 0;
		if (err)
			return refused(parse, cfg, options[i].name, err, reason);
	}
	/* Each is locked by its owner, and the former is empty after a boot. */
	if (is_same_path(parse->config->run_directory, parse->config->state_directory))
		return refused(parse, cfg,
			config_tree_text_of(cfg, "state-directory") ? "state-directory"
								    : "run-directory",
			-EINVAL, "run-directory and state-directory are two: give each its own");
	return 0;
}

static int walk_process(struct parse *parse, cfg_t *cfg)
{
	static const struct config_tree_range drain = { 0, 86400000, "0s to 1d" };
	struct config *config = parse->config;
	const char *text = config_tree_text_of(cfg, "workers"), *reason = NULL;
	int err = 0;

	if (text && config_parse_workers(text, &config->workers, &reason) < 0)
		return refused(parse, cfg, "workers", -EINVAL, reason);
	err = walk_names(parse, cfg);
	if (err)
		return err;
	err = config_tree_get_duration(parse->tree, cfg, "drain", &drain, &config->drain_ms);
	if (!err)
		err = config_tree_get_number(
			parse->tree, cfg, "max-flows", 0, 1000000, &config->max_flows);
	return err;
}

/* Once all addresses are known: the kernel would refuse the second of the two. */
static int check_overlaps(struct parse *parse, cfg_t *cfg)
{
	const struct config *config = parse->config;

	for (size_t i = 0; i < config->n_listeners; i++) {
		cfg_t *section = cfg_getnsec(cfg, "listener", (unsigned)i);
		char v6_text[CONFIG_BIND_TEXT_MAX], v4_text[CONFIG_BIND_TEXT_MAX];
		const struct config_bind *v6, *v4;

		if (!config_find_overlap(config, &config->listeners[i], &v6, &v4))
			continue;
		return config_tree_fail(parse->tree,
			config_tree_line_of(parse->tree, section, "v6only"),
			"v6only \"no\": %s would take IPv4 clients of %s, too; bind one of them, "
			"or write v6only = yes",
			config_bind_text(v6, v6_text), config_bind_text(v4, v4_text));
	}
	return 0;
}

static int walk_who(struct parse *parse, cfg_t *cfg)
{
	static const struct config_tree_range keep = { 1000, 2592000000U, "1s to 30d" };
	struct config_who *who = &parse->config->who;
	int err = config_tree_get_duration(parse->tree, cfg, "keep", &keep, &who->keep_ms);

	return err ? err
		   : config_tree_get_number(
			     parse->tree, cfg, "entries", 0, CONFIG_WHO_ENTRIES_MAX, &who->entries);
}

static int walk(struct parse *parse, cfg_t *cfg)
{
	int err;

	err = walk_process(parse, cfg);
	if (!err && cfg_size(cfg, "who"))
		err = walk_who(parse, cfg_getsec(cfg, "who"));
	if (!err)
		err = walk_log(parse, cfg);
	if (!err && cfg_size(cfg, "network"))
		err = walk_network(parse, cfg_getsec(cfg, "network"));
	if (!err && cfg_size(cfg, "resolve"))
		err = config_resolve_walk(parse->tree, parse->config, cfg_getsec(cfg, "resolve"));
	if (!err)
		err = config_hold_walk(parse->tree, parse->config, cfg);
	if (!err)
		err = config_metrics_walk(parse->tree, parse->config, cfg);
	for (unsigned i = 0; i < cfg_size(cfg, "pool") && !err; i++)
		err = walk_pool(parse, cfg_getnsec(cfg, "pool", i),
			config_scan_line(&parse->tree->scan, "pool", i));
	for (unsigned i = 0; i < cfg_size(cfg, "listener") && !err; i++)
		err = walk_listener(parse, cfg_getnsec(cfg, "listener", i),
			config_scan_line(&parse->tree->scan, "listener", i));
	if (!err && parse->config->n_listeners == 0)
		err = config_tree_fail(parse->tree, 1,
			"there is no listener; add: listener \"web\" { bind = \"*:80\" pool = "
			"\"web\" }");
	return err ? err : check_overlaps(parse, cfg);
}

int config_file_parse(const char *name, const char *text, size_t len, struct config **ret_config,
	char error[CONFIG_ERROR_MAX])
{
	struct config_tree tree = { .name = name, .error = error, .error_size = CONFIG_ERROR_MAX };
	struct parse parse = { .tree = &tree };
	int err;

	error[0] = '\0';
	err = config_tree_parse(&tree, text, len);
	if (err)
		goto out;
	parse.config = config_new();
	err = parse.config ? walk(&parse, tree.root) : -ENOMEM;
	if (!err) {
		*ret_config = parse.config;
		parse.config = NULL;
	}
out:
	if (err && !error[0])
		snprintf(
			error, CONFIG_ERROR_MAX, "%s: %s", config_short_path(name), strerror(-err));
	config_free(parse.config);
	config_tree_destroy(&tree);
	return err;
}

/* All that there is to read into memory that the caller frees. 0 or a negative errno. */
static int read_all(int fd, char **ret_text, size_t *ret_len)
{
	char *text = calloc(1, FILE_MAX + 1);
	size_t len = 0;
	ssize_t n = 1;
	struct stat st;
	int err = text ? 0 : -ENOMEM;

	if (!err && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		err = -EISDIR;
	while (!err && n > 0 && len <= FILE_MAX) {
		n = read(fd, text + len, FILE_MAX + 1 - len);
		if (n >= 0)
			len += (size_t)n;
		else if (errno == EINTR)
			n = 1; /* and once more */
		else
			err = -errno;
	}
	if (!err && len > FILE_MAX)
		err = -EFBIG;
	if (err) {
		free(text);
		return err;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}

static int fail_to_read(const char *path, int err, char error[CONFIG_ERROR_MAX])
{
	snprintf(error, CONFIG_ERROR_MAX, "%s: %s; name a configuration file of up to 1 MiB",
		config_short_path(path), strerror(-err));
	config_clean_text(error);
	return err;
}

/* The whole file; as read_all(). waits: for what the writer of a fifo has yet to say. */
static int read_file(const char *path, bool waits, char **ret_text, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int err;

	if (fd < 0)
		return -errno;
	/* Opening a fifo must not wait in any case. */
	if (waits)
		(void)fcntl(fd, F_SETFL, 0);
	err = read_all(fd, ret_text, ret_len);
	close(fd);
	return err;
}

int config_file_load(const char *path, struct config **ret_config, char error[CONFIG_ERROR_MAX])
{
	char *text = NULL;
	size_t len = 0;
	int err = read_file(path, true, &text, &len);

	if (err)
		return fail_to_read(path, err, error);
	err = config_file_parse(path, text, len, ret_config, error);
	free(text);
	return err;
}

/* Nothing is judged here: a file with mistakes can be kept, too, and is refused when it is read. */
int config_file_snapshot(const char *path, bool waits, int *ret_fd, char error[CONFIG_ERROR_MAX])
{
	char *text = NULL;
	size_t len = 0;
	int fd = -1, err;

	err = read_file(path, waits, &text, &len);
	if (!err) {
		fd = memfd_create("sixgate-config", MFD_CLOEXEC);
		err = fd < 0 || write(fd, text, len) != (ssize_t)len ? -errno : 0;
	}
	free(text);
	if (err) {
		if (fd >= 0)
			close(fd);
		return fail_to_read(path, err, error);
	}
	*ret_fd = fd;
	return 0;
}

/* Its offset is where it was written or read to last, maybe by another process. */
int config_file_load_snapshot(
	const char *path, int fd, struct config **ret_config, char error[CONFIG_ERROR_MAX])
{
	char *text = NULL;
	size_t len = 0;
	int err = lseek(fd, 0, SEEK_SET) < 0 ? -errno : read_all(fd, &text, &len);

	if (err)
		return fail_to_read(path, err, error);
	err = config_file_parse(path, text, len, ret_config, error);
	free(text);
	return err;
}
