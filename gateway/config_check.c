#include "config_check.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/*
 * Options stand in any order, so each is read by itself first, and what does not go together is
 * found at the end, when all are known (check_belonging(), check_ports()).
 */
static int refuse(struct config_tree *tree, cfg_t *cfg, const char *name, const char *reason)
{
	return config_tree_refused(tree, config_tree_line_of(tree, cfg, name), -EINVAL, name,
		config_tree_text_of(cfg, name), reason);
}

static int walk_text(struct config_tree *tree, cfg_t *cfg, const char *name, char **ret_text)
{
	const char *text = config_tree_text_of(cfg, name);

	if (!text)
		return 0;
	if (strlen(text) < 1 || strlen(text) > CONFIG_CHECK_TEXT_MAX)
		return refuse(tree, cfg, name, "write 1 to 1024 bytes");
	*ret_text = strdup(text);
	return *ret_text ? 0 : -ENOMEM;
}

/*
 * What goes into the first lines of an HTTP request, just as it is: a blank or the end of a line
 * within it would make another request of it.
 */
static int walk_token(struct config_tree *tree, cfg_t *cfg, const char *name, char **ret_text)
{
	const char *text = config_tree_text_of(cfg, name);

	for (const char *p = text; p && *p; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return refuse(tree, cfg, name,
				"this may have no blank and no character beyond ASCII");
	return walk_text(tree, cfg, name, ret_text);
}

static int walk_status(struct config_tree *tree, cfg_t *cfg, struct config_check *check)
{
	const char *text = config_tree_text_of(cfg, "status");
	unsigned long min, max;
	char *end;

	if (!text)
		return 0;
	min = max = strtoul(text, &end, 10);
	if (end != text && *end == '-') {
		text = end + 1;
		max = strtoul(text, &end, 10);
	}
	if (end == text || *end || min < 100 || max > 599 || min > max)
		return refuse(tree, cfg, "status", "write a status or a range, like 200-399");
	check->status_min = (uint16_t)min;
	check->status_max = (uint16_t)max;
	return 0;
}

/* What goes with some types only. */
static int check_belonging(struct config_tree *tree, const struct config_check *check, cfg_t *cfg)
{
	static const char *const http[] = { "method", "path", "host", "status" };

	for (size_t i = 0; i < 4; i++)
		if (cfg_size(cfg, http[i]) && check->type != CONFIG_CHECK_HTTP)
			return refuse(
				tree, cfg, http[i], "this goes with type = http only: remove it");
	if (cfg_size(cfg, "send") && check->type != CONFIG_CHECK_SEND_EXPECT &&
		check->type != CONFIG_CHECK_UDP)
		return refuse(tree, cfg, "send",
			"this goes with type = send-expect or udp only: remove it");
	if (cfg_size(cfg, "expect") && check->type == CONFIG_CHECK_TCP)
		return refuse(tree, cfg, "expect",
			"with type = tcp nothing is read: use type = send-expect");
	if (check->type == CONFIG_CHECK_SEND_EXPECT && !check->expect)
		return config_tree_fail(tree, config_tree_line_of(tree, cfg, "expect"),
			"check: type = send-expect wants to know what to expect; add: expect = "
			"\"220 \"");
	return 0;
}

/* "*" is the port that the client connected to, and a check has no client. */
static int check_ports(struct config_tree *tree, const struct config_pool *pool, cfg_t *cfg)
{
	for (size_t i = 0; i < pool->n_backends && pool->check.port == 0; i++)
		if (sockaddr_port(&pool->backends[i].addr) == 0)
			return config_tree_fail(tree, config_tree_line_of(tree, cfg, "port"),
				"check: a backend with port * cannot tell which port to check; "
				"add: port = 80");
	return 0;
}

/* Without a timeout of its own a check may take as long as it is until the next one. */
static int walk_times(struct config_tree *tree, struct config_check *check, cfg_t *cfg)
{
	static const struct config_tree_range range = { 100, 3600000, "100ms to 1h" };
	int err = config_tree_get_duration(tree, cfg, "interval", &range, &check->interval_ms);

	check->timeout_ms = check->interval_ms;
	if (!err)
		err = config_tree_get_duration(tree, cfg, "timeout", &range, &check->timeout_ms);
	if (!err)
		err = config_tree_get_number(tree, cfg, "rise", 1, 1000, &check->rise);
	if (!err)
		err = config_tree_get_number(tree, cfg, "fall", 1, 1000, &check->fall);
	return err;
}

/* NULL is CONFIG_CHECK_HEADER_AUTO, which is had by not writing the option. */
static int walk_way(struct config_tree *tree, struct config_check *check, cfg_t *cfg)
{
	static const char *const headers[] = { NULL, "local", "proxy", "none" };
	const char *source = config_tree_text_of(cfg, "source"), *reason = NULL;
	unsigned header = check->header;
	uint32_t port = 0;
	int err = config_tree_get_number(tree, cfg, "port", 1, 65535, &port);

	if (!err)
		err = config_tree_get_word(
			tree, cfg, "header", headers, 4, "header is local, proxy or none", &header);
	if (err)
		return err;
	check->port = (uint16_t)port;
	check->header = (enum config_check_header)header;
	if (source && (sockaddr_parse_host(source, &check->source, &reason) < 0 ||
			      sockaddr_family(&check->source) != AF_INET))
		return refuse(tree, cfg, "source",
			"a source is an IPv4 address of this machine, like 192.0.2.1");
	return 0;
}

/* NULL is CONFIG_CHECK_NONE, which is had by not writing the section. */
int config_check_walk(struct config_tree *tree, struct config_pool *pool, cfg_t *cfg)
{
	static const char *const types[] = { NULL, "tcp", "http", "send-expect", "udp" };
	struct config_check *check = &pool->check;
	unsigned type = CONFIG_CHECK_TCP;
	int err = config_tree_get_word(
		tree, cfg, "type", types, 5, "type is tcp, http, send-expect or udp", &type);

	check->type = (enum config_check_type)type;
	if (!err)
		err = walk_times(tree, check, cfg);
	if (!err)
		err = walk_way(tree, check, cfg);
	if (!err)
		err = walk_token(tree, cfg, "method", &check->method);
	if (!err)
		err = walk_token(tree, cfg, "path", &check->path);
	if (!err)
		err = walk_token(tree, cfg, "host", &check->host);
	if (!err)
		err = walk_status(tree, cfg, check);
	if (!err)
		err = config_tree_get_bytes(tree, cfg, "send", 1, CONFIG_CHECK_TEXT_MAX,
			&check->send, &check->send_len);
	if (!err)
		err = config_tree_get_bytes(tree, cfg, "expect", 1, CONFIG_CHECK_TEXT_MAX,
			&check->expect, &check->expect_len);
	if (!err)
		err = check_belonging(tree, check, cfg);
	return err ? err : check_ports(tree, pool, cfg);
}
