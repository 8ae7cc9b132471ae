#include "config_told.h"

#include <errno.h>
#include <proxyhdr.h>
#include <stdlib.h>

#include "tlvs.h"

/* Of version 1, with CR and LF (section 2.1). */
#define V1_TCP4_LEN 56U
#define V1_TCP6_LEN 104U

/* ---- accept-proxy ---- */

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

static int walk_accept_proxy(
	struct config_tree *tree, struct config_listener *listener, cfg_t *section)
{
	static const struct config_tree_range range = { 100, 60000, "100ms to 1m" };
	int err;

	if (listener->protocol == IPPROTO_UDP)
		return config_tree_fail(tree, section->line,
			"accept-proxy: this goes with protocol = tcp only: remove it");
	if (config_is_transparent(listener))
		return config_tree_fail(tree, section->line,
			"accept-proxy: a client that another proxy names cannot be shown by its "
			"own address; write identity = proxy-v2, or remove this");
	err = walk_from(tree, &listener->accept_proxy, section);
	return err ? err
		   : config_tree_get_duration(
			     tree, section, "timeout", &range, &listener->accept_proxy.timeout_ms);
}

/* ---- tlv ---- */

static bool is_version_2(enum identity identity)
{
	return identity == IDENTITY_PROXY_V2 || identity == IDENTITY_PROXY_V2_FIRST;
}

static int walk_pass(struct config_tree *tree, struct config_listener *listener, cfg_t *cfg)
{
	unsigned n = cfg_size(cfg, "pass");

	if (n > 0 && listener->protocol == IPPROTO_UDP)
		return config_tree_fail(tree, config_tree_line_of(tree, cfg, "pass"),
			"pass \"%.100s\": in datagrams no other proxy's header is read, so there "
			"is nothing to pass on: remove it",
			cfg_getnstr(cfg, "pass", 0));
	if (n > 0 && listener->accept_proxy.n_from == 0)
		return config_tree_fail(tree, config_tree_line_of(tree, cfg, "pass"),
			"pass \"%.100s\": no other proxy's header is read, so there is nothing to "
			"pass on; add accept-proxy { from = ... }, or remove this",
			cfg_getnstr(cfg, "pass", 0));
	for (unsigned i = 0; i < n; i++) {
		const char *text = cfg_getnstr(cfg, "pass", i), *reason = NULL;
		int err = config_add_pass(&listener->tlvs, text, &reason);

		if (err)
			return config_tree_refused(tree,
				config_tree_line_of_nth(tree, cfg, "pass", i), err, "pass", text,
				reason);
	}
	return 0;
}

static int walk_custom(struct config_tree *tree, struct config_tlvs *tlvs, cfg_t *cfg)
{
	const char *reason = NULL;
	char *value = NULL;
	size_t len = 0;
	int err = config_tree_get_bytes(tree, cfg, "value", 0, CONFIG_CUSTOM_VALUE, &value, &len);

	if (err)
		return err;
	if (!value)
		return config_tree_fail(tree, cfg->line,
			"custom \"%.100s\": its value is missing; add: value = \"site-1\"",
			cfg_title(cfg));
	err = config_add_custom(tlvs, cfg_title(cfg), value, len, &reason);
	free(value);
	if (err)
		return config_tree_refused(tree, cfg->line, err, "custom", cfg_title(cfg), reason);
	return 0;
}

static int walk_tlv(struct config_tree *tree, struct config_listener *listener, cfg_t *section)
{
	struct config_tlvs *tlvs = &listener->tlvs;
	int err;

	if (!is_version_2(listener->identity) && !is_version_2(listener->identity_v6))
		return config_tree_fail(tree, section->line,
			"tlv: only a header of version 2 has room for this; write identity = "
			"proxy-v2, or remove it");
	err = config_tree_get_bool(tree, section, "crc32c", &tlvs->crc32c);
	if (!err)
		err = config_tree_get_bool(tree, section, "unique-id", &tlvs->unique_id);
	if (!err)
		err = walk_pass(tree, listener, section);
	for (unsigned i = 0; i < cfg_size(section, "custom") && !err; i++)
		err = walk_custom(tree, tlvs, cfg_getnsec(section, "custom", i));
	return err;
}

/* ---- the header as a whole ---- */

static bool may_tell_ipv6(const struct config_listener *listener)
{
	for (size_t i = 0; i < listener->n_binds; i++)
		if (sockaddr_family(&listener->binds[i].addr) == AF_INET6)
			return true;
	return listener->accept_proxy.n_from > 0;
}

/* The longest header that the listener's clients are told by, but for what is passed on. */
static size_t header_len(const struct config_listener *listener)
{
	bool v6 = may_tell_ipv6(listener);

	if (is_version_2(listener->identity) || is_version_2(listener->identity_v6))
		return (v6 ? PROXYHDR_V2_INET6_LEN : PROXYHDR_V2_INET_LEN) +
		       tlvs_own_len(&listener->tlvs);
	if (listener->identity == IDENTITY_PROXY_V1 || listener->identity_v6 == IDENTITY_PROXY_V1)
		return v6 ? V1_TCP6_LEN : V1_TCP4_LEN;
	return 0;
}

static int check_budget(struct config_tree *tree, struct config_listener *listener,
	const struct config *config, cfg_t *cfg)
{
	const struct config_pool *pool = listener->embedded ? NULL : &config->pools[listener->pool];
	cfg_t *tlv = cfg_size(cfg, "tlv") ? cfg_getsec(cfg, "tlv") : cfg;
	size_t len = header_len(listener);

	if (pool)
		listener->header_max = pool->header_max;
	if (listener->protocol == IPPROTO_UDP && len > CONFIG_UDP_HEADER)
		return config_tree_fail(tree, tlv->line,
			"tlv: the header of listener \"%s\" takes %zu bytes, and in datagrams it "
			"may have 240: shorten a custom value, or remove one",
			listener->name, len);
	if (len <= listener->header_max)
		return 0;
	if (!pool)
		return config_tree_fail(tree, tlv->line,
			"tlv: the header of listener \"%s\" takes %zu bytes, and it may have %u: "
			"shorten a custom value, or remove one",
			listener->name, len, listener->header_max);
	return config_tree_fail(tree,
		config_tree_line_of(tree, cfg_getnsec(tree->root, "pool", (unsigned)listener->pool),
			"header-max"),
		"header-max \"%u\": the header of listener \"%s\" takes up to %zu bytes; write "
		"%zu if the servers of pool \"%s\" take that, or %s",
		pool->header_max, listener->name, len, len, pool->name,
		tlv == cfg ? "identity = proxy-v2 or none in the listener"
			   : "remove something from the listener's tlv");
}

int config_told_walk(struct config_tree *tree, const struct config *config,
	struct config_listener *listener, cfg_t *cfg)
{
	int err = 0;

	if (cfg_size(cfg, "accept-proxy"))
		err = walk_accept_proxy(tree, listener, cfg_getsec(cfg, "accept-proxy"));
	if (!err && cfg_size(cfg, "tlv"))
		err = walk_tlv(tree, listener, cfg_getsec(cfg, "tlv"));
	return err ? err : check_budget(tree, listener, config, cfg);
}
