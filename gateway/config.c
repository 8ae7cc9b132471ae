#include "config.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

static const char *const identity_names[] = { "proxy-v2", "proxy-v1", "none" };
static_assert(
	sizeof(identity_names) / sizeof(identity_names[0]) == IDENTITY_COUNT, "a name an identity");

static const struct config_timeouts default_timeouts = {
	.connect_ms = 5 * 1000,
	.idle_ms = 10 * 60 * 1000,
	.half_closed_ms = 10 * 60 * 1000,
	.dead_peer_ms = 30 * 1000,
};

struct config *config_new(void)
{
	struct config *config = malloc(sizeof(*config));

	if (!config)
		return NULL;
	*config = (struct config){
		.drain_ms = 30 * 1000,
		.log = LOG_TARGET_STDERR,
		.log_level = LOG_LEVEL_INFO,
		.access_log = LOG_TARGET_STDOUT,
	};
	return config;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->n_listeners; i++) {
		free(config->listeners[i].name);
		free(config->listeners[i].binds);
	}
	for (size_t i = 0; i < config->n_pools; i++) {
		free(config->pools[i].name);
		free(config->pools[i].backends);
		free(config->pools[i].sources);
	}
	free(config->listeners);
	free(config->pools);
	free(config->user);
	free(config->access_log_path);
	free(config);
}

/* ---- growing arrays ---- */

/* A place for one more element; NULL without memory. The caller counts it. */
static void *grow(void **array, size_t n, size_t size)
{
	void *bigger = reallocarray(*array, n + 1, size);

	if (!bigger)
		return NULL;
	*array = bigger;
	memset((char *)bigger + n * size, 0, size);
	return (char *)bigger + n * size;
}

static int check_name(const char *name, const char **ret_reason)
{
	size_t len = strlen(name);

	if (len < 1 || len > CONFIG_NAME_MAX) {
		*ret_reason = "a name has 1 to 63 characters";
		return -EINVAL;
	}
	for (const char *p = name; *p; p++) {
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			(*p >= '0' && *p <= '9') || strchr("-_.", *p))
			continue;
		*ret_reason = "a name has letters, digits, '-', '_' and '.' only";
		return -EINVAL;
	}
	return 0;
}

int config_add_listener(struct config *config, const char *name,
	struct config_listener **ret_listener, const char **ret_reason)
{
	struct config_listener *listener;
	char *copy;

	if (check_name(name, ret_reason) < 0)
		return -EINVAL;
	for (size_t i = 0; i < config->n_listeners; i++)
		if (strcmp(config->listeners[i].name, name) == 0) {
			*ret_reason = "there is a listener of this name already: choose another";
			return -EINVAL;
		}
	if (config->n_listeners >= CONFIG_LISTENERS_MAX) {
		*ret_reason = "there may be 256 listeners: give one several addresses";
		return -EINVAL;
	}
	copy = strdup(name);
	listener = copy ? grow((void **)&config->listeners, config->n_listeners, sizeof(*listener))
			: NULL;
	if (!listener) {
		free(copy);
		return -ENOMEM;
	}
	*listener = (struct config_listener){
		.name = copy,
		.v6only = true,
		.identity = IDENTITY_PROXY_V2,
		.timeouts = default_timeouts,
		.backlog = 4096,
	};
	config->n_listeners++;
	*ret_listener = listener;
	return 0;
}

int config_add_pool(struct config *config, const char *name, struct config_pool **ret_pool,
	const char **ret_reason)
{
	struct config_pool *pool;
	size_t existing;
	char *copy;

	if (check_name(name, ret_reason) < 0)
		return -EINVAL;
	if (config_find_pool(config, name, &existing) == 0) {
		*ret_reason = "there is a pool of this name already: choose another";
		return -EINVAL;
	}
	if (config->n_pools >= CONFIG_POOLS_MAX) {
		*ret_reason = "there may be 256 pools";
		return -EINVAL;
	}
	copy = strdup(name);
	pool = copy ? grow((void **)&config->pools, config->n_pools, sizeof(*pool)) : NULL;
	if (!pool) {
		free(copy);
		return -ENOMEM;
	}
	pool->name = copy;
	config->n_pools++;
	*ret_pool = pool;
	return 0;
}

int config_find_pool(const struct config *config, const char *name, size_t *ret_pool)
{
	for (size_t i = 0; i < config->n_pools; i++)
		if (strcmp(config->pools[i].name, name) == 0) {
			*ret_pool = i;
			return 0;
		}
	return -ENOENT;
}

/* ---- addresses ---- */

static bool bind_taken(const struct config *config, const struct sockaddr_any *addr)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		for (size_t b = 0; b < config->listeners[i].n_binds; b++)
			if (sockaddr_equal(&config->listeners[i].binds[b], addr))
				return true;
	return false;
}

static int add_bind_address(struct config *config, struct config_listener *listener,
	const struct sockaddr_any *addr, const char **ret_reason)
{
	struct sockaddr_any *place;

	if (sockaddr_family(addr) == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr)) {
		*ret_reason = "write the IPv4 address itself, like 192.0.2.1:80";
		return -EINVAL;
	}
	if (sockaddr_family(addr) == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&addr->in6.sin6_addr) &&
		addr->in6.sin6_scope_id == 0) {
		*ret_reason = "a link-local address needs its interface, like [fe80::1%eth0]:80";
		return -EINVAL;
	}
	if (bind_taken(config, addr)) {
		*ret_reason = "a listener has this address already: each may be bound once";
		return -EINVAL;
	}
	if (sockaddr_family(addr) == AF_INET ? IN_MULTICAST(ntohl(addr->in.sin_addr.s_addr))
					     : IN6_IS_ADDR_MULTICAST(&addr->in6.sin6_addr)) {
		*ret_reason = "a client cannot connect to a multicast address";
		return -EINVAL;
	}
	if (listener->n_binds >= CONFIG_BINDS_MAX) {
		*ret_reason = "a listener may have 256 addresses";
		return -EINVAL;
	}
	place = grow((void **)&listener->binds, listener->n_binds, sizeof(*place));
	if (!place)
		return -ENOMEM;
	*place = *addr;
	listener->n_binds++;
	return 0;
}

/* "8080" or ":8080", as other programs take it. */
static bool is_port_alone(const char *text)
{
	size_t len;

	text += *text == ':';
	len = strspn(text, "0123456789");
	return len > 0 && text[len] == '\0';
}

int config_add_bind(struct config *config, struct config_listener *listener, const char *text,
	const char **ret_reason)
{
	static const char *const any[] = { "[::]", "0.0.0.0" };
	struct sockaddr_any addr;
	char both[32];
	int err = 0;

	if (is_port_alone(text)) {
		*ret_reason = "an address is missing: write all there are as '*', like '*:8080'";
		return -EINVAL;
	}
	if (text[0] != '*' || text[1] != ':') {
		if (sockaddr_parse(text, &addr, ret_reason) < 0)
			return -EINVAL;
		return add_bind_address(config, listener, &addr, ret_reason);
	}
	for (size_t i = 0; i < 2 && !err; i++) {
		/* A port too long to fit is no port, and cut short it still is none. */
		(void)snprintf(both, sizeof(both), "%s%s", any[i], text + 1);
		err = sockaddr_parse(both, &addr, ret_reason);
		if (!err)
			err = add_bind_address(config, listener, &addr, ret_reason);
	}
	return err;
}

static const struct sockaddr_any *find_v4_bind(const struct config *config, uint16_t port)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		for (size_t b = 0; b < config->listeners[i].n_binds; b++) {
			const struct sockaddr_any *addr = &config->listeners[i].binds[b];

			if (sockaddr_family(addr) == AF_INET && sockaddr_port(addr) == port)
				return addr;
		}
	return NULL;
}

bool config_find_overlap(const struct config *config, const struct config_listener *listener,
	const struct sockaddr_any **ret_v6, const struct sockaddr_any **ret_v4)
{
	if (listener->v6only)
		return false;
	for (size_t b = 0; b < listener->n_binds; b++) {
		const struct sockaddr_any *addr = &listener->binds[b];

		if (sockaddr_family(addr) != AF_INET6 || !sockaddr_is_any(addr))
			continue;
		*ret_v6 = addr;
		*ret_v4 = find_v4_bind(config, sockaddr_port(addr));
		if (*ret_v4)
			return true;
	}
	return false;
}

/* Whether a TCP connection can have this IPv4 address at an end. */
static bool is_unicast(const struct sockaddr_any *addr)
{
	uint32_t host = ntohl(addr->in.sin_addr.s_addr);

	return host >> 24 != 0 && !IN_MULTICAST(host) && !IN_BADCLASS(host);
}

int config_add_backend(
	struct config_pool *pool, const char *text, uint32_t weight, const char **ret_reason)
{
	struct config_backend *backend;
	struct sockaddr_any addr;

	if (sockaddr_parse(text, &addr, ret_reason) < 0 || sockaddr_family(&addr) != AF_INET) {
		*ret_reason = "a backend is an IPv4 address and a port, like 192.0.2.10:80";
		return -EINVAL;
	}
	if (!is_unicast(&addr)) {
		*ret_reason = "no server can have this address: name one unicast address";
		return -EINVAL;
	}
	for (size_t i = 0; i < pool->n_backends; i++)
		if (sockaddr_equal(&pool->backends[i].addr, &addr)) {
			*ret_reason = "the pool has this backend already: give it a weight instead";
			return -EINVAL;
		}
	if (pool->n_backends >= CONFIG_BACKENDS_MAX) {
		*ret_reason = "a pool may have 1024 backends";
		return -EINVAL;
	}
	backend = grow((void **)&pool->backends, pool->n_backends, sizeof(*backend));
	if (!backend)
		return -ENOMEM;
	*backend = (struct config_backend){ .addr = addr, .weight = weight };
	pool->n_backends++;
	return 0;
}

int config_add_source(struct config_pool *pool, const char *text, const char **ret_reason)
{
	struct sockaddr_any addr, *place;

	if (sockaddr_parse_host(text, &addr, ret_reason) < 0 || sockaddr_family(&addr) != AF_INET ||
		!is_unicast(&addr)) {
		*ret_reason = "a source is an IPv4 address of this machine, like 192.0.2.1";
		return -EINVAL;
	}
	for (size_t i = 0; i < pool->n_sources; i++)
		if (sockaddr_equal(&pool->sources[i], &addr)) {
			*ret_reason = "the pool has this source already";
			return -EINVAL;
		}
	if (pool->n_sources >= CONFIG_SOURCES_MAX) {
		*ret_reason = "a pool may have 256 sources";
		return -EINVAL;
	}
	place = grow((void **)&pool->sources, pool->n_sources, sizeof(*place));
	if (!place)
		return -ENOMEM;
	*place = addr;
	pool->n_sources++;
	return 0;
}

/* ---- words ---- */

const char *config_identity_name(enum identity identity)
{
	assert(identity < IDENTITY_COUNT);
	return identity_names[identity];
}

int config_parse_identity(const char *text, enum identity *ret_identity, const char **ret_reason)
{
	for (unsigned i = 0; i < IDENTITY_COUNT; i++)
		if (strcmp(text, identity_names[i]) == 0) {
			*ret_identity = (enum identity)i;
			return 0;
		}
	*ret_reason = "identity is proxy-v2, proxy-v1 or none";
	return -EINVAL;
}

int config_parse_log_level(const char *text, int *ret_level, const char **ret_reason)
{
	for (int i = 0; i < LOG_LEVEL_COUNT; i++)
		if (strcmp(text, log_level_name((enum log_level)i)) == 0) {
			*ret_level = i;
			return 0;
		}
	*ret_reason = "log-level is error, warning, info or debug";
	return -EINVAL;
}

int config_parse_workers(const char *text, uint32_t *ret_workers, const char **ret_reason)
{
	uint32_t n = 0;

	if (strcmp(text, "auto") == 0) {
		*ret_workers = 0;
		return 0;
	}
	for (const char *p = text; *p && n <= CONFIG_WORKERS_MAX; p++)
		n = *p >= '0' && *p <= '9' ? n * 10 + (uint32_t)(*p - '0') : CONFIG_WORKERS_MAX + 1;
	if (n < 1 || n > CONFIG_WORKERS_MAX) {
		*ret_reason = "workers is auto or a number from 1 to 256";
		return -EINVAL;
	}
	*ret_workers = n;
	return 0;
}

static int replace_string(char **string, const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		return -ENOMEM;
	free(*string);
	*string = copy;
	return 0;
}

int config_set_access_log(struct config *config, const char *text, const char **ret_reason)
{
	static const struct {
		const char *word;
		enum log_target target;
	} words[] = { { "off", LOG_TARGET_OFF }, { "stdout", LOG_TARGET_STDOUT },
		{ "stderr", LOG_TARGET_STDERR }, { "journal", LOG_TARGET_JOURNAL } };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(text, words[i].word) == 0) {
			config->access_log = words[i].target;
			return replace_string(&config->access_log_path, NULL);
		}
	if (text[0] != '/' || strlen(text) >= PATH_MAX) {
		*ret_reason = "access-log is off, stdout, stderr, journal or a path from / on";
		return -EINVAL;
	}
	config->access_log = LOG_TARGET_FILE;
	return replace_string(&config->access_log_path, text);
}

int config_set_user(struct config *config, const char *text, const char **ret_reason)
{
	if (check_name(text, ret_reason) < 0) {
		*ret_reason = "user is the name of a user of this machine, like nobody";
		return -EINVAL;
	}
	return replace_string(&config->user, text);
}

/* ---- messages ---- */

const char *config_short_path(const char *path)
{
	size_t len = strlen(path);

	if (len <= CONFIG_SHORT_PATH_MAX)
		return path;
	path += len - CONFIG_SHORT_PATH_MAX;
	while ((*path & 0xc0) == 0x80) /* the rest of a character of UTF-8 */
		path++;
	return path;
}

void config_clean_text(char *text)
{
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == '\x7f')
			*p = '?';
}
