/*
 * Fuzzes the reader of configuration files for its promises:
 *
 *   - what is refused is told in one line that begins with the name and a line of the text;
 *   - what is accepted is whole: every list has something in it, every index leads somewhere, every
 *     value lies within the limits of sixgated.conf(5);
 *   - nothing stays behind, so that the same text has the same outcome a second time.
 *
 * The reader gets a copy of exactly the bytes it may read. The mutator strings together what the
 * grammar is made of, so that no corpus is needed.
 */
#include "config_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "log.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DAY_MS	     86400000U

/* "fuzz:LINE: " and a sentence; the line is one of the text's. */
static void check_error(const char *error, const uint8_t *data, size_t size)
{
	long line, lines = 1;
	char *rest;

	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	REQUIRE(strnlen(error, CONFIG_ERROR_MAX) < CONFIG_ERROR_MAX);
	REQUIRE(strncmp(error, "fuzz:", 5) == 0);
	line = strtol(error + 5, &rest, 10);
	REQUIRE(rest[0] == ':' && rest[1] == ' ' && rest[2] != '\0');
	REQUIRE(line >= 1 && line <= lines);
	for (const char *p = error; *p; p++)
		REQUIRE((unsigned char)*p >= ' ' && *p != '\x7f');
}

static void check_name(const char *name)
{
	size_t len = strlen(name);

	REQUIRE(len >= 1 && len <= CONFIG_NAME_MAX);
}

static void check_address(const struct sockaddr_any *addr, bool v4, bool port)
{
	char text[SOCKADDR_TEXT_MAX];

	REQUIRE(sockaddr_family(addr) == AF_INET || (!v4 && sockaddr_family(addr) == AF_INET6));
	REQUIRE((sockaddr_port(addr) != 0) == port);
	REQUIRE(strlen(sockaddr_format(addr, text)) < sizeof(text));
}

static bool is_of_name(const struct config_pool *pool, size_t backend)
{
	for (size_t i = 0; i < pool->n_names; i++)
		if (backend >= pool->names[i].first &&
			backend < pool->names[i].first + pool->names[i].n)
			return true;
	return false;
}

static void check_names(const struct config_pool *pool)
{
	for (size_t i = 0; i < pool->n_names; i++) {
		const struct config_name *name = &pool->names[i];

		REQUIRE(name->n >= 1 && name->n <= CONFIG_NAME_ADDRESSES_MAX);
		REQUIRE(name->first + name->n <= pool->n_backends);
		REQUIRE(i == 0 || name->first >= name[-1].first + name[-1].n);
		REQUIRE(strlen(name->host) >= 1 && strlen(name->host) <= 254);
		for (const char *p = name->host; *p; p++)
			REQUIRE((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') ||
				strchr("-_.", *p));
	}
}

static void check_who(const struct config_who *who)
{
	REQUIRE(who->keep_ms >= 1000 && who->keep_ms <= 30 * DAY_MS);
	REQUIRE(who->entries <= CONFIG_WHO_ENTRIES_MAX);
}

static void check_hold(const struct config_hold *hold)
{
	REQUIRE(hold->max >= 1 && hold->max <= CONFIG_HOLD_MAX);
	REQUIRE(hold->max_per_backend <= CONFIG_HOLD_MAX);
	REQUIRE(hold->max_per_client <= CONFIG_HOLD_MAX);
	REQUIRE(hold->queue <= CONFIG_HOLD_QUEUE_MAX);
}

static void check_resolve(const struct config_resolve *resolve)
{
	REQUIRE(resolve->n_servers <= CONFIG_RESOLVE_SERVERS_MAX);
	for (size_t i = 0; i < resolve->n_servers; i++)
		check_address(&resolve->servers[i], false, true);
	REQUIRE(resolve->interval_min_ms >= 100 && resolve->interval_max_ms <= DAY_MS);
	REQUIRE(resolve->interval_min_ms <= resolve->interval_max_ms);
	REQUIRE(resolve->timeout_ms >= 100 && resolve->timeout_ms <= 60000);
	REQUIRE(resolve->attempts >= 1 && resolve->attempts <= 10);
	REQUIRE(resolve->hold_ms <= 30 * DAY_MS || resolve->hold_ms == CONFIG_HOLD_FOREVER);
}

static void check_pool(const struct config_pool *pool)
{
	uint64_t weights = 0;

	check_name(pool->name);
	REQUIRE(pool->n_backends >= 1 && pool->n_backends <= CONFIG_BACKENDS_MAX);
	REQUIRE(pool->n_sources <= CONFIG_SOURCES_MAX);
	check_names(pool);
	for (size_t i = 0; i < pool->n_backends; i++) {
		/* Without a port it is the client's. */
		check_address(
			&pool->backends[i].addr, true, sockaddr_port(&pool->backends[i].addr) != 0);
		REQUIRE(pool->backends[i].weight <= CONFIG_WEIGHT_MAX);
		weights += pool->backends[i].weight;
		REQUIRE(sockaddr_is_any(&pool->backends[i].addr) == is_of_name(pool, i));
	}
	REQUIRE(weights > 0);
	for (size_t i = 0; i < pool->n_sources; i++)
		check_address(&pool->sources[i], true, false);
}

/* What is written back means the same. */
static void check_text(const struct config_bind *bind)
{
	struct config *config = config_new();
	struct config_listener *listener;
	char text[CONFIG_BIND_TEXT_MAX];
	const char *reason;

	REQUIRE(config && config_add_listener(config, "l", &listener, &reason) == 0);
	REQUIRE(config_add_bind(config, listener, config_bind_text(bind, text), &reason) == 0);
	REQUIRE(listener->n_binds == 1);
	REQUIRE(sockaddr_equal(&listener->binds[0].addr, &bind->addr));
	REQUIRE(listener->binds[0].prefix_len == bind->prefix_len);
	REQUIRE(listener->binds[0].port_max == bind->port_max);
	config_free(config);
}

static void check_bind(const struct config *config, const struct config_listener *listener,
	const struct config_bind *bind)
{
	bool v6 = sockaddr_family(&bind->addr) == AF_INET6;
	uint8_t full = v6 ? 128 : 32;
	struct in_addr server;

	check_address(&bind->addr, false, true);
	REQUIRE(bind->port_max >= sockaddr_port(&bind->addr));
	REQUIRE(bind->prefix_len <= full);
	REQUIRE((bind->prefix_len == 0) == sockaddr_is_any(&bind->addr));
	REQUIRE(bind->prefix_len || sockaddr_port(&bind->addr) != 1 || bind->port_max != 65535);
	REQUIRE(listener->v6only || !v6 || !config_bind_diverted(bind));
	if (config_bind_diverted(bind))
		REQUIRE(config_needs_network(config));
	if (listener->embedded)
		REQUIRE(v6 && embedded_extract(
				      &bind->addr.in6.sin6_addr, bind->prefix_len, &server) == 0);
	check_text(bind);
}

static void check_identity(const struct config_listener *listener)
{
	REQUIRE(config_identity_name(listener->identity) != NULL);
	REQUIRE(listener->identity != IDENTITY_REFUSE);
	if (config_is_transparent(listener))
		REQUIRE(listener->identity_v6 != IDENTITY_TRANSPARENT && !listener->embedded);
	else
		REQUIRE(listener->identity_v6 == listener->identity);
}

static void check_network(const struct config_network *network)
{
	REQUIRE(strnlen(network->interface, IF_NAMESIZE) < IF_NAMESIZE);
	REQUIRE(strnlen(network->source_interface, IF_NAMESIZE) < IF_NAMESIZE);
	REQUIRE(network->interface[0] || network->n_addrs == 0);
	REQUIRE(network->source_interface[0] || network->n_sources == 0);
	REQUIRE(network->n_addrs <= CONFIG_ADDRESSES_MAX);
	REQUIRE(network->n_sources <= CONFIG_ADDRESSES_MAX);
	for (size_t i = 0; i < network->n_addrs; i++) {
		check_address(&network->addrs[i].addr, false, false);
		REQUIRE(network->addrs[i].prefix_len >= 1 && network->addrs[i].prefix_len <= 128);
	}
	for (size_t i = 0; i < network->n_sources; i++) {
		check_address(&network->sources[i].addr, true, false);
		REQUIRE(network->sources[i].prefix_len >= 1);
		REQUIRE(network->sources[i].prefix_len <= 32);
	}
	REQUIRE(network->table > 0 && (network->table < 253 || network->table > 255));
	REQUIRE(network->priority >= 1 && network->priority <= 32765);
	REQUIRE(network->mark != 0);
	REQUIRE(network->receive_buffer >= 4096 && network->receive_buffer <= 67108864);
}

static bool has_version_2(const struct config_listener *listener)
{
	return listener->identity == IDENTITY_PROXY_V2 ||
	       listener->identity == IDENTITY_PROXY_V2_FIRST ||
	       listener->identity_v6 == IDENTITY_PROXY_V2;
}

/* What is added to headers is well-formed, and leaves them as short as they have to be. */
static void check_tlvs(const struct config *config, const struct config_listener *listener)
{
	const struct config_tlvs *tlvs = &listener->tlvs;
	bool passes = false;
	size_t at = 0;

	while (at < tlvs->custom_len) {
		uint8_t type = tlvs->custom[at];

		REQUIRE(type >= 0xE0 && type <= 0xF7 && !config_tlvs_pass(tlvs, type));
		at += 3 + ((size_t)tlvs->custom[at + 1] << 8 | tlvs->custom[at + 2]);
	}
	REQUIRE(at == tlvs->custom_len);
	for (size_t i = 0; i < sizeof(tlvs->pass); i++)
		passes = passes || tlvs->pass[i];
	REQUIRE(!passes || listener->accept_proxy.n_from > 0);
	REQUIRE(!config_tlvs_pass(tlvs, 0) && !config_tlvs_pass(tlvs, 3));
	if (passes || at || tlvs->crc32c || tlvs->unique_id)
		REQUIRE(has_version_2(listener));
	REQUIRE(listener->header_max >= CONFIG_HEADER_MIN);
	REQUIRE(listener->header_max <= CONFIG_HEADER_MAX);
	REQUIRE(28 + at <= listener->header_max || !has_version_2(listener));
	if (!listener->embedded)
		REQUIRE(listener->header_max == config->pools[listener->pool].header_max);
	if (listener->protocol == IPPROTO_UDP)
		REQUIRE(28 + at <= CONFIG_UDP_HEADER);
}

static void check_listener(const struct config *config, const struct config_listener *listener)
{
	const struct config_timeouts *t = &listener->timeouts;
	const struct config_bind *v6, *v4;

	check_name(listener->name);
	REQUIRE(listener->n_binds >= 1 && listener->n_binds <= CONFIG_BINDS_MAX);
	for (size_t i = 0; i < listener->n_binds; i++)
		check_bind(config, listener, &listener->binds[i]);
	REQUIRE(!config_find_overlap(config, listener, &v6, &v4));
	REQUIRE(listener->embedded || listener->pool < config->n_pools);
	check_identity(listener);
	REQUIRE(listener->embedded == (listener->n_allow > 0));
	for (size_t i = 0; i < listener->n_allow; i++) {
		REQUIRE(listener->allow[i].len <= 32);
		REQUIRE(!embedded_is_never(&listener->allow[i]));
	}
	REQUIRE(listener->accept_proxy.n_from <= CONFIG_FROM_MAX);
	REQUIRE(listener->accept_proxy.n_from == 0 ||
		(listener->protocol == IPPROTO_TCP && !config_is_transparent(listener)));
	for (size_t i = 0; i < listener->accept_proxy.n_from; i++)
		check_address(&listener->accept_proxy.from[i].addr, false, false);
	REQUIRE(listener->accept_proxy.timeout_ms >= 100);
	REQUIRE(listener->accept_proxy.timeout_ms <= 60000);
	check_tlvs(config, listener);
	REQUIRE(listener->backlog >= 1 && listener->backlog <= 65535);
	REQUIRE(t->connect_ms >= 1 && t->connect_ms <= 600000);
	REQUIRE(t->idle_ms >= 1000 && t->idle_ms <= 30 * DAY_MS);
	REQUIRE(t->half_closed_ms >= 1000 && t->half_closed_ms <= 30 * DAY_MS);
	REQUIRE(t->dead_peer_ms >= 1000 && t->dead_peer_ms <= 3600000);
}

static void check_config(const struct config *config)
{
	REQUIRE(config->workers <= CONFIG_WORKERS_MAX);
	REQUIRE(config->drain_ms <= DAY_MS);
	REQUIRE(config->max_flows <= 1000000);
	if (config->control_group)
		check_name(config->control_group);
	if (config->user)
		check_name(config->user);
	REQUIRE(config->log == LOG_TARGET_STDERR || config->log == LOG_TARGET_JOURNAL);
	REQUIRE(config->log_level >= 0 && config->log_level < LOG_LEVEL_COUNT);
	REQUIRE(config->access_log < LOG_TARGET_COUNT);
	REQUIRE((config->access_log == LOG_TARGET_FILE) == (config->access_log_path != NULL));
	if (config->access_log_path)
		REQUIRE(config->access_log_path[0] == '/');
	REQUIRE(config->n_listeners >= 1 && config->n_listeners <= CONFIG_LISTENERS_MAX);
	REQUIRE(config->n_pools <= CONFIG_POOLS_MAX);
	REQUIRE(config->run_directory && config->run_directory[0] == '/');
	check_network(&config->network);
	check_who(&config->who);
	check_hold(&config->hold);
	check_resolve(&config->resolve);
	for (size_t i = 0; i < config->n_listeners; i++)
		check_listener(config, &config->listeners[i]);
	for (size_t i = 0; i < config->n_pools; i++)
		check_pool(&config->pools[i]);
}

static int parse(const uint8_t *data, size_t size, char error[CONFIG_ERROR_MAX])
{
	struct config *config = NULL;
	char *copy = malloc(size > 0 ? size : 1);
	int err;

	REQUIRE(copy);
	if (size > 0)
		memcpy(copy, data, size);
	memset(error, 'x', CONFIG_ERROR_MAX);
	err = config_file_parse("fuzz", copy, size, &config, error);
	free(copy);
	REQUIRE((err == 0) == (config != NULL));
	if (err) {
		REQUIRE(err == -EINVAL);
		check_error(error, data, size);
	} else {
		REQUIRE(error[0] == '\0');
		check_config(config);
	}
	config_free(config);
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[CONFIG_ERROR_MAX], again[CONFIG_ERROR_MAX];
	int err = parse(data, size, error);

	REQUIRE(parse(data, size, again) == err);
	REQUIRE(strcmp(error, again) == 0);
	return 0;
}

/* ---- the mutator ---- */

#define LISTENER    "listener \"l\" {\n bind = { \"*:80\", \"[2001:db8::1]:443\" }\n pool = \"p\"\n}\n"
#define TIMEOUTS    "timeouts { connect = 1s idle = 10m half-closed = 1h dead-peer = 30s }\n"
#define CLIENTS	    "clients { allow = { 2001:db8::/32, ::1 } deny = 10.0.0.0/8 deny-file = /d }\n"
#define CONNECTIONS "connections { max = 1 per-client = 2 per-address = 3 rate = 4 }\n"
#define OTHER_LISTENER                                                                        \
	"listener m {\n bind = 192.0.2.1:81\n pool = p\n identity = proxy-v1\n v6only = no\n" \
	" backlog = 9\n protocol = tcp\n " TIMEOUTS CONNECTIONS CLIENTS "}\n"
#define BACKENDS                                                                                 \
	" backend \"192.0.2.10:80\" { weight = 5 max-connections = 9 }\n backend 192.0.2.11:80 " \
	"{}\n"
#define POOL                                                                                      \
	"pool \"p\" {\n balance = round-robin\n source = { \"192.0.2.1\", 192.0.2.2 }\n" BACKENDS \
	"}\n"

#define NETWORK                                                                            \
	"network {\n interface = eth0\n address = { \"2001:db8::1/128\", 203.0.113.80 }\n" \
	" source-interface = eth1\n source = 192.0.2.1/24\n keep = no\n notrack = auto\n"  \
	" table = 166\n priority = 166\n mark = 0x1000\n receive-buffer = 1048576\n}\n"
#define EMBEDDED                                                                    \
	"listener \"e\" {\n bind = \"[2001:db8:64::/96]:*\"\n backend = embedded\n" \
	" allow = { \"10.0.0.0/8\", 192.0.2.10 }\n}\n"
#define TRANSPARENT                                                                 \
	"listener \"t\" {\n bind = { \"203.0.113.0/24:80\", \"[::]:8000-8080\" }\n" \
	" pool = p\n identity = transparent\n identity-ipv6 = proxy-v2\n}\n"

#define RESOLVE                                                                      \
	"resolve {\n servers = { 192.0.2.53, \"[2001:db8::53]:53\" } timeout = 1s\n" \
	" interval-min = 1s interval-max = 1m attempts = 3 hold = forever\n}\n"

static const char *const words[] = {
	"metrics { listen = { \"[::1]:9166\", \"127.0.0.1:1\" } }\n",
	(RESOLVE),
	"backend \"db.example:5432\" { addresses = 8 }\n",
	"db.example.",
	"hold = 0s\n",
	(NETWORK),
	(EMBEDDED),
	(TRANSPARENT),
	"run-directory = /run/x\n",
	"tlv { crc32c = yes unique-id = yes pass = { authority, 0xEA } custom 0xE0 { value = %41x "
	"} }\n",
	"header-max = 107\n",
	"accept-proxy { from = { \"2001:db8:ffff::/48\", 192.0.2.1 } timeout = 3s }\n",
	"backend = embedded allow = 10.0.0.0/8 ",
	"identity = transparent ",
	"identity-ipv6 = refuse ",
	"\"[64:ff9b::/96]:*\"",
	"\"[2001:db8::7]:*\"",
	"\"*:1000-2000\"",
	"/64",
	"/0",
	":*",
	"-65535",
	"0x",
	(LISTENER),
	(OTHER_LISTENER),
	(POOL),
	(TIMEOUTS),
	(BACKENDS),
	"workers = 4\n",
	"workers = auto\n",
	"drain = 30s\n",
	"max-flows = 10000\n",
	"user = nobody\n",
	"log = journal\n",
	"log-level = debug\n",
	"access-log = \"/var/log/a\"\n",
	"access-log = off\n",
	"listener ",
	"pool ",
	"backend ",
	"timeouts ",
	"bind",
	"source",
	"weight",
	"include(\"/etc/passwd\")\n",
	"\"",
	"'",
	"{",
	"}",
	"(",
	")",
	"=",
	"+=",
	",",
	"# ",
	"// ",
	"/* ",
	" */",
	"${HOME}",
	"\"${HOME}\"",
	"\"${}pool\" ",
	"'po\\\nol' ",
	"\xef\xbb\xbf",
	"v6only = no ",
	"${",
	"\\",
	"\\x41",
	"\\777",
	"\\0",
	"\n",
	"\r\n",
	" ",
	"\"[fe80::1%lo]:80\"",
	"4294967296",
	"1ms",
	"49d",
};

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525U + 1013904223U;
	return *seed >> 8;
}

/* Puts one of the words somewhere, or takes a piece out; the rest is libFuzzer's. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	uint32_t random = seed;
	const char *word = words[next_random(&random) % COUNT(words)];
	size_t at = next_random(&random) % (size + 1), len = strlen(word);

	switch (next_random(&random) % 4) {
	case 0:
		return LLVMFuzzerMutate(data, size, max_size);
	case 1:
		len = size - at < len ? size - at : len;
		memmove(data + at, data + at + len, size - at - len);
		return size - len;
	default:
		if (size + len > max_size)
			return LLVMFuzzerMutate(data, size, max_size);
		memmove(data + at + len, data + at, size - at);
		memcpy(data + at, word, len);
		return size + len;
	}
}
