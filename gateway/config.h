/*
 * config - what the operator asked for, as plain data.
 *
 * A configuration is built once, by a parser (config_file.h) or from the command line (options.h),
 * checked as a whole, and from then on never changed: workers are forked after it is loaded and
 * read it without locks. Everything inside belongs to it and lives until config_free().
 *
 * Units: times are milliseconds, addresses are struct sockaddr_any (sockaddr.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sockaddr.h"

/* How a server is told who the client is (listener option "identity"). */
enum identity { IDENTITY_PROXY_V2, IDENTITY_PROXY_V1, IDENTITY_NONE, IDENTITY_COUNT };

/* Where log lines (option "log") and access records (option "access-log") go. */
enum log_target {
	LOG_TARGET_OFF, /* access log only */
	LOG_TARGET_STDERR,
	LOG_TARGET_STDOUT, /* access log only */
	LOG_TARGET_JOURNAL,
	LOG_TARGET_FILE, /* access log only: access_log_path */
	LOG_TARGET_COUNT
};

struct config_timeouts {
	uint32_t connect_ms;	 /* a backend must answer the handshake within */
	uint32_t idle_ms;	 /* no byte either way for so long ends the flow */
	uint32_t half_closed_ms; /* the same once one side has sent its FIN */
	uint32_t dead_peer_ms;	 /* a peer that acknowledges nothing for so long is dead */
};

struct config_listener {
	char *name;
	struct sockaddr_any *binds; /* "*:80" has become [::]:80 and 0.0.0.0:80 */
	size_t n_binds;
	bool v6only; /* false: an IPv6 socket also takes v4-mapped peers */
	size_t pool; /* index into config.pools */
	enum identity identity;
	struct config_timeouts timeouts;
	uint32_t backlog;
};

struct config_backend {
	struct sockaddr_any addr; /* always AF_INET */
	uint32_t weight;	  /* 0 (gets nothing) to CONFIG_WEIGHT_MAX */
};

struct config_pool {
	char *name;
	struct config_backend *backends;
	size_t n_backends;
	struct sockaddr_any *sources; /* AF_INET, port 0; none: the kernel chooses */
	size_t n_sources;
};

struct config {
	uint32_t workers;   /* 0 is "auto": one per CPU that we may run on */
	uint32_t drain_ms;  /* SIGTERM: live flows may finish for so long */
	uint32_t max_flows; /* per worker; 0: as many as the open-file limit allows */
	char *user;	    /* workers run as; NULL: "sixgate" if it exists, else "nobody" */
	enum log_target log;
	int log_level; /* enum log_level of log.h */
	enum log_target access_log;
	char *access_log_path;
	struct config_listener *listeners;
	size_t n_listeners;
	struct config_pool *pools;
	size_t n_pools;
};

#define CONFIG_WEIGHT_MAX  65535U
#define CONFIG_WORKERS_MAX 256U

#define CONFIG_NAME_MAX	     63U /* bytes of a listener's or pool's name */
#define CONFIG_LISTENERS_MAX 256U
#define CONFIG_BINDS_MAX     256U
#define CONFIG_POOLS_MAX     256U
#define CONFIG_BACKENDS_MAX  1024U
#define CONFIG_SOURCES_MAX   256U

/* The defaults of sixgated.conf(5); n_listeners and n_pools are 0. NULL: no memory. */
struct config *config_new(void);

/* Takes NULL and half-built configurations. */
void config_free(struct config *config);

/*
 * The functions below build a configuration, for a file and for a command line alike. They return 0
 * or -ENOMEM; or -EINVAL and, in ret_reason, a static sentence that says what would be right.
 */

/* With the defaults of a listener, no binds, and pool 0. */
int config_add_listener(struct config *config, const char *name,
	struct config_listener **ret_listener, const char **ret_reason);
int config_add_pool(struct config *config, const char *name, struct config_pool **ret_pool,
	const char **ret_reason);

/* "[2001:db8::1]:80", "192.0.2.1:80", or "*:80", which makes two. No address is taken twice. */
int config_add_bind(struct config *config, struct config_listener *listener, const char *text,
	const char **ret_reason);

/*
 * Whether one of the listener's addresses, which with v6only = no takes IPv4 clients too, is in the
 * way of an IPv4 address of any listener: that pair.
 */
bool config_find_overlap(const struct config *config, const struct config_listener *listener,
	const struct sockaddr_any **ret_v6, const struct sockaddr_any **ret_v4);

/* "192.0.2.10:80": a unicast IPv4 address, once in a pool. */
int config_add_backend(
	struct config_pool *pool, const char *text, uint32_t weight, const char **ret_reason);

/* "192.0.2.1" */
int config_add_source(struct config_pool *pool, const char *text, const char **ret_reason);

/* "auto" or 1 to CONFIG_WORKERS_MAX. */
int config_parse_workers(const char *text, uint32_t *ret_workers, const char **ret_reason);

/* "off", "stdout", "stderr", "journal" or an absolute path. */
int config_set_access_log(struct config *config, const char *text, const char **ret_reason);

int config_set_user(struct config *config, const char *text, const char **ret_reason);
int config_parse_log_level(const char *text, int *ret_level, const char **ret_reason);
int config_parse_identity(const char *text, enum identity *ret_identity, const char **ret_reason);

/* The pool of that name, as an index; -ENOENT. */
int config_find_pool(const struct config *config, const char *name, size_t *ret_pool);

/* The word for each identity, as in the configuration and the access log. */
const char *config_identity_name(enum identity identity);

/*
 * For messages: the path itself or, so that there is room for what is to be said, the end of a long
 * one; and a text with question marks in place of what a terminal would obey.
 */
#define CONFIG_SHORT_PATH_MAX 200
const char *config_short_path(const char *path);
void config_clean_text(char *text);
