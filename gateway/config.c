#include "config.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grow.h"
#include "log.h"

/*
 * The functions of config.h that are about the whole, about listeners and pools, and about words;
 * addresses, names of servers and TLVs have files of their own (config_address, config_name,
 * config_tlvs).
 *
 * A default stands where its struct is made: config_new(), config_add_listener(),
 * config_add_pool(), and what depends on the protocol in config_set_protocol(). So a file and a
 * command line that say nothing mean the same. What is an argument here (a backend's weight, a
 * name's addresses) is the caller's.
 *
 * A reason is a static sentence without the value: whoever calls knows the place and the value, and
 * puts both in front of it.
 *
 * Whatever a struct points to is in config_free(), also of a configuration that is half built.
 */
/* By enum identity. */
static const char *const identity_names[] = { "proxy-v2", "proxy-v1", "none", "transparent",
	"refuse", "proxy-v2-first" };
static_assert(
	sizeof(identity_names) / sizeof(identity_names[0]) == IDENTITY_COUNT, "a name an identity");

static const struct config_timeouts default_timeouts = {
	.connect_ms = 5 * 1000,
	.idle_ms = 10 * 60 * 1000,
	.half_closed_ms = 10 * 60 * 1000,
	.dead_peer_ms = 30 * 1000,
	.unanswered_ms = 10 * 1000,
};

/*
 * Of UDP, where each session takes a source port. One source address has some 28,000 of these
 * (ip_local_port_range as the kernel has it): "max" is beyond that, and a bound where there are
 * several sources; what one client may have is below it, so that no client alone takes all.
 */
static const struct config_limits default_sessions = {
	.max = 32768,
	.max_per_client = 24576,
	.rate = 30000,
	.rate_per_client = 20000,
};

struct config *config_new(void)
{
	struct config *config = malloc(sizeof(*config));

	if (!config)
		return NULL;
	*config = (struct config){
		.network = {
			.table = CONFIG_NET_TABLE,
			.priority = CONFIG_NET_PRIORITY,
			.mark = CONFIG_NET_MARK,
			.receive_buffer = CONFIG_NET_BUFFER,
		},
		.hold = {
			.max = 1024,
			.max_per_backend = 256,
			.max_per_client = 64,
			.queue = CONFIG_HOLD_QUEUE,
		},
		.run_directory = strdup(CONFIG_RUN_DIRECTORY),
		.state_directory = strdup(CONFIG_STATE_DIRECTORY),
		.resolve = {
			.interval_min_ms = 1000,
			.interval_max_ms = 60 * 1000,
			.timeout_ms = 2000,
			.attempts = 2,
			.hold_ms = 30 * 1000,
		},
		.drain_ms = 30 * 1000,
		.who = { .keep_ms = 10 * 60 * 1000, .entries = 65536 },
		.log = LOG_TARGET_STDERR,
		.log_level = LOG_LEVEL_INFO,
		.access_log = LOG_TARGET_STDOUT,
	};
	if (!config->run_directory || !config->state_directory) {
		config_free(config);
		return NULL;
	}
	return config;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->n_listeners; i++) {
		free(config->listeners[i].name);
		free(config->listeners[i].binds);
		free(config->listeners[i].allow);
		free(config->listeners[i].clients.allow);
		free(config->listeners[i].clients.deny);
		free(config->listeners[i].clients.allow_file);
		free(config->listeners[i].clients.deny_file);
		free(config->listeners[i].accept_proxy.from);
		free(config->listeners[i].tlvs.custom);
	}
	for (size_t i = 0; i < config->n_pools; i++) {
		free(config->pools[i].name);
		free(config->pools[i].backends);
		for (size_t n = 0; n < config->pools[i].n_names; n++)
			free(config->pools[i].names[n].host);
		free(config->pools[i].names);
		free(config->pools[i].sources);
		free(config->pools[i].check.method);
		free(config->pools[i].check.path);
		free(config->pools[i].check.host);
		free(config->pools[i].check.send);
		free(config->pools[i].check.expect);
	}
	free(config->listeners);
	free(config->pools);
	free(config->resolve.servers);
	free(config->network.addrs);
	free(config->network.sources);
	free(config->run_directory);
	free(config->state_directory);
	free(config->control_group);
	free(config->user);
	free(config->access_log_path);
	free(config);
}

/* ---- listeners and pools ---- */

/*
 * Names stand unquoted in log lines, and between blanks in what one image leaves to the next
 * (estate.h): hence neither blanks nor anything that a terminal would obey.
 */
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
	listener = copy ? grow_array((void **)&config->listeners, config->n_listeners,
				  sizeof(*listener))
			: NULL;
	if (!listener) {
		free(copy);
		return -ENOMEM;
	}
	*listener = (struct config_listener){
		.name = copy,
		.protocol = IPPROTO_TCP,
		.v6only = true,
		.identity = IDENTITY_PROXY_V2,
		.identity_v6 = IDENTITY_PROXY_V2,
		.accept_proxy = { .timeout_ms = 3 * 1000 },
		.header_max = CONFIG_HEADER_MAX,
		.timeouts = default_timeouts,
		.backlog = 4096, /* the kernel's own somaxconn, to which more would be cut */
	};
	config->n_listeners++;
	*ret_listener = listener;
	return 0;
}

int config_set_protocol(struct config_listener *listener, const char *text, const char **ret_reason)
{
	if (strcmp(text, "tcp") == 0)
		return 0;
	if (strcmp(text, "udp") != 0) {
		*ret_reason = "protocol is tcp or udp";
		return -EINVAL;
	}
	listener->protocol = IPPROTO_UDP;
	listener->timeouts.idle_ms = 2 * 60 * 1000; /* RFC 4787, REQ-5 */
	listener->limits = default_sessions;
	listener->receive_buffer = CONFIG_UDP_BUFFER;
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
	pool = copy ? grow_array((void **)&config->pools, config->n_pools, sizeof(*pool)) : NULL;
	if (!pool) {
		free(copy);
		return -ENOMEM;
	}
	*pool = (struct config_pool){
		.name = copy,
		.hash = MAGLEV_CLIENT,
		.header_max = CONFIG_HEADER_MAX,
		.attempts = 3,
		.circuit_failures = 5,
				.circuit_ms = 5 * 1000,
		.check = {
			.interval_ms = 2000,
			.timeout_ms = 2000,
			.rise = 2,
			.fall = 3,
			.status_min = 200,
			.status_max = 399,
		},
	};
	config->n_pools++;
	*ret_pool = pool;
	return 0;
}

/* Of a listener that refuses IPv6 clients only those of IPv4 ever get to the servers. */
enum identity config_pool_identity(const struct config *config, size_t pool)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (!config->listeners[i].embedded && config->listeners[i].pool == pool)
			return config->listeners[i].identity_v6 == IDENTITY_REFUSE
				       ? config->listeners[i].identity
				       : config->listeners[i].identity_v6;
	return IDENTITY_NONE;
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

/* ---- words ---- */

/* The word's index, or -EINVAL. Words stand in the order of their enum, so that is the value. */
static int find_word(const char *const *words, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(text, words[i]) == 0)
			return (int)i;
	return -EINVAL;
}

int config_parse_balance(
	const char *text, enum config_balance *ret_balance, const char **ret_reason)
{
	static const char *const words[] = { "round-robin", "least-connections", "maglev" };
	int found = find_word(words, 3, text);

	if (found < 0) {
		*ret_reason = "balance is round-robin, least-connections or maglev";
		return found;
	}
	*ret_balance = (enum config_balance)found;
	return 0;
}

int config_parse_hash(const char *text, enum maglev_hash *ret_hash, const char **ret_reason)
{
	static const char *const words[] = { "client", "client-64", "client-port" };
	int found = find_word(words, 3, text);

	if (found < 0) {
		*ret_reason = "hash is client, client-64 or client-port";
		return found;
	}
	*ret_hash = (enum maglev_hash)found;
	return 0;
}

const char *config_identity_name(enum identity identity)
{
	assert(identity < IDENTITY_COUNT);
	return identity_names[identity];
}

/* Passes over those that the option does not know. */
static int find_identity(const char *text, unsigned others, enum identity *ret_identity)
{
	for (unsigned i = 0; i < IDENTITY_COUNT; i++)
		if (!(others & 1U << i) && strcmp(text, identity_names[i]) == 0) {
			*ret_identity = (enum identity)i;
			return 0;
		}
	return -EINVAL;
}

int config_parse_identity(const char *text, enum identity *ret_identity, const char **ret_reason)
{
	/* proxy-v2-first is known, too, and left out of the sentence: it is for UDP only. */
	*ret_reason = "identity is proxy-v2, proxy-v1, none or transparent";
	return find_identity(text, 1U << IDENTITY_REFUSE, ret_identity);
}

int config_parse_identity_v6(const char *text, enum identity *ret_identity, const char **ret_reason)
{
	*ret_reason = "identity-ipv6 is proxy-v2, proxy-v1, none or refuse";
	return find_identity(
		text, 1U << IDENTITY_TRANSPARENT | 1U << IDENTITY_PROXY_V2_FIRST, ret_identity);
}

bool config_is_transparent(const struct config_listener *listener)
{
	return listener->identity == IDENTITY_TRANSPARENT;
}

int config_parse_oversize(
	const char *text, enum config_oversize *ret_oversize, const char **ret_reason)
{
	static const char *const words[] = { "fragment", "too-big" };
	int found = find_word(words, 2, text);

	if (found < 0) {
		*ret_reason = "oversize is fragment or too-big";
		return found;
	}
	*ret_oversize = (enum config_oversize)found;
	return 0;
}

static const char *const refuse_words[] = {
	[CONFIG_REFUSE_RESET] = "reset",
	[CONFIG_REFUSE_PORT_UNREACHABLE] = "port-unreachable",
	[CONFIG_REFUSE_ADMIN_PROHIBITED] = "admin-prohibited",
	[CONFIG_REFUSE_ACCEPT] = "accept-then-reset",
};

int config_parse_refuse(const char *text, enum config_refuse *ret_refuse, const char **ret_reason)
{
	int found = find_word(refuse_words, 4, text);

	if (found < 0) {
		*ret_reason = "refuse is reset, port-unreachable, admin-prohibited or "
			      "accept-then-reset";
		return found;
	}
	*ret_refuse = (enum config_refuse)found;
	return 0;
}

const char *config_refuse_name(enum config_refuse refuse)
{
	assert((size_t)refuse < sizeof(refuse_words) / sizeof(refuse_words[0]));
	return refuse_words[refuse];
}

bool config_pool_may_fail(const struct config_pool *pool)
{
	return pool->check.type != CONFIG_CHECK_NONE || pool->n_names > 0;
}

int config_parse_when_full(const char *text, bool *ret_refuse, const char **ret_reason)
{
	static const char *const words[] = { "drop-idle", "refuse" };
	int found = find_word(words, 2, text);

	if (found < 0) {
		*ret_reason = "when-full is drop-idle or refuse";
		return found;
	}
	*ret_refuse = found == 1;
	return 0;
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

/* text NULL: there is none any more. Without memory all stays as it was. */
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

int config_set_run_directory(struct config *config, const char *text, const char **ret_reason)
{
	if (text[0] != '/' || strlen(text) > CONFIG_RUN_DIRECTORY_MAX) {
		*ret_reason = "run-directory is a path from / on, of up to 255 characters";
		return -EINVAL;
	}
	return replace_string(&config->run_directory, text);
}

int config_set_state_directory(struct config *config, const char *text, const char **ret_reason)
{
	if (text[0] != '/' || strlen(text) > CONFIG_RUN_DIRECTORY_MAX) {
		*ret_reason = "state-directory is a path from / on, of up to 255 characters";
		return -EINVAL;
	}
	return replace_string(&config->state_directory, text);
}

/* As the kernel judges names of interfaces. */
int config_set_interface(char interface[IF_NAMESIZE], const char *text, const char **ret_reason)
{
	size_t len = strlen(text);

	if (len < 1 || len >= IF_NAMESIZE || strcspn(text, "/: \t\n\v\f\r") != len ||
		strcmp(text, ".") == 0 || strcmp(text, "..") == 0) {
		*ret_reason = "the name of an interface has 1 to 15 characters, without '/', ':' "
			      "or space";
		return -EINVAL;
	}
	memcpy(interface, text, len + 1);
	return 0;
}

int config_set_user(struct config *config, const char *text, const char **ret_reason)
{
	if (check_name(text, ret_reason) < 0) {
		*ret_reason = "user is the name of a user of this machine, like nobody";
		return -EINVAL;
	}
	return replace_string(&config->user, text);
}

int config_set_control_group(struct config *config, const char *text, const char **ret_reason)
{
	if (check_name(text, ret_reason) < 0) {
		*ret_reason = "control-group is the name of a group of this machine, like adm";
		return -EINVAL;
	}
	return replace_string(&config->control_group, text);
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
