/*
 * config - what the operator asked for, as plain data.
 *
 * A configuration is built once, by a parser (config_file.h) or from the command line (options.h),
 * checked as a whole, and from then on never changed: workers are forked after it is loaded and
 * read it without locks. Everything inside belongs to it and lives until config_free().
 *
 * Units: times are milliseconds, addresses are struct sockaddr_any (sockaddr.h), sizes are bytes.
 * Counts and limits are 0 for "none" only where it says so.
 *
 * What an option means to an operator is in sixgated.conf(5); here is how it is kept. Values have
 * been checked when a configuration is handed out, one by one and against each other, so whoever
 * reads it need not look whether they can be.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "embedded.h"
#include "maglev.h"
#include "sockaddr.h"

/* How a server is told who the client is (listener options "identity" and "identity-ipv6"). */
enum identity {
	IDENTITY_PROXY_V2,
	IDENTITY_PROXY_V1,
	IDENTITY_NONE,
	IDENTITY_TRANSPARENT,	 /* the server sees the client's own address; IPv4 clients only */
	IDENTITY_REFUSE,	 /* "identity-ipv6" only: such clients are reset */
	IDENTITY_PROXY_V2_FIRST, /* UDP only: in a session's first datagram, and in no other */
	IDENTITY_COUNT
};

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
	uint32_t connect_ms;	   /* a backend must answer the handshake within */
	uint32_t connect_total_ms; /* one of them must; 0: twice connect_ms */
	uint32_t idle_ms;	   /* no byte either way for so long ends the flow */
	uint32_t half_closed_ms;   /* the same once one side has sent its FIN */
	uint32_t dead_peer_ms;	   /* a peer that acknowledges nothing for so long is dead */
	uint32_t unanswered_ms; /* UDP: the same as idle_ms while the server has never answered */
};

/*
 * How many connections, or UDP sessions, there may be. A client is an IPv6 /64 or one IPv4 address,
 * an address one of IPv6 or IPv4. 0: no limit.
 */
struct config_limits {
	uint32_t max; /* of the listener, at a time */
	uint32_t max_per_client;
	uint32_t max_per_address;
	uint32_t rate; /* new ones per second */
	uint32_t rate_per_client;
	uint32_t rate_per_address;
	bool refuse_when_full; /* UDP; false: the longest idle one makes room */
};

/* A datagram that with its header is larger than the way to the server takes in one piece. */
enum config_oversize {
	CONFIG_OVERSIZE_FRAGMENT,
	CONFIG_OVERSIZE_TOO_BIG, /* dropped, and the client is told the size that fits */
};

/* What new TCP clients get while no server of the pool is up (listener option "refuse"). */
enum config_refuse {
	CONFIG_REFUSE_RESET,
	CONFIG_REFUSE_PORT_UNREACHABLE, /* that error of ICMP, like the next */
	CONFIG_REFUSE_ADMIN_PROHIBITED,
	CONFIG_REFUSE_ACCEPT, /* they are accepted, and reset by the worker */
};

/* What clients may connect to: an address or a prefix, a port or a range. */
struct config_bind {
	struct sockaddr_any
		addr;	    /* where the socket is: a prefix's first address, the least port */
	uint8_t protocol;   /* IPPROTO_TCP or IPPROTO_UDP, as the listener's */
	uint8_t prefix_len; /* 32 or 128: this address; 0: any address of this machine */
	uint16_t port_max;  /* the port of addr, or the last of a range */
};

struct config_address {
	struct sockaddr_any addr; /* port 0 */
	uint8_t prefix_len;
};

/* Proxies in front of us that say who their clients are. TCP only. */
struct config_accept_proxy {
	struct config_address *from; /* none: nobody is asked */
	size_t n_from;
	uint32_t timeout_ms; /* the header must be there within */
};

/* What a header has beside the addresses. Version 2 only. */
struct config_tlvs {
	uint8_t *custom; /* fixed ones, as on the wire */
	size_t custom_len;
	bool crc32c;
	bool unique_id;
	uint8_t pass[32]; /* a bit for each type that is passed on of an upstream's header */
};

/* Who may come: see prefix_rules.h. */
struct config_clients {
	struct config_address *allow, *deny;
	size_t n_allow, n_deny;
	char *allow_file, *deny_file; /* absolute paths; NULL: none */
};

struct config_listener {
	char *name;
	uint8_t protocol;	   /* IPPROTO_TCP or IPPROTO_UDP */
	struct config_bind *binds; /* "*:80" has become [::]:80 and 0.0.0.0:80 */
	size_t n_binds;
	bool v6only;   /* false: an IPv6 socket also takes v4-mapped peers */
	bool embedded; /* the destination names the server (RFC 6052); there is no pool then */
	struct embedded_prefix *allow; /* servers that may be named so */
	size_t n_allow;
	size_t pool; /* index into config.pools */
	enum identity identity;
	enum identity identity_v6; /* of IPv6 clients: the same, unless that is TRANSPARENT */
	struct config_accept_proxy accept_proxy;
	struct config_tlvs tlvs;
	uint32_t header_max; /* bytes that a whole header may have: its pool's */
	bool after_backend;  /* TCP: clients are let in when a backend has answered */
	struct config_timeouts timeouts;
	struct config_clients clients;
	struct config_limits limits;
	uint32_t backlog; /* TCP only, like the next */
	enum config_refuse refuse;
	enum config_oversize oversize; /* UDP only, and what follows */
	uint32_t receive_buffer;       /* of a socket on which datagrams arrive, bytes */
};

struct config_backend {
	/* AF_INET; port 0: that which the client connected to; 0.0.0.0: one of a name's */
	struct sockaddr_any addr;
	uint32_t weight;	  /* 0 (gets nothing) to CONFIG_WEIGHT_MAX */
	uint32_t max_connections; /* at a time; 0: no limit */
	bool backup;		  /* gets clients only when the others cannot */
};

/* Servers that a name stands for, as DNS says again and again. */
struct config_name {
	char *host;	 /* in lower case */
	size_t first, n; /* backends of the pool, one for each address that it may have */
};

enum config_balance {
	CONFIG_BALANCE_ROUND_ROBIN,
	CONFIG_BALANCE_LEAST_CONNECTIONS,
	CONFIG_BALANCE_MAGLEV,
};

enum config_check_type {
	CONFIG_CHECK_NONE, /* every backend is taken to be up */
	CONFIG_CHECK_TCP,
	CONFIG_CHECK_HTTP,
	CONFIG_CHECK_SEND_EXPECT,
	CONFIG_CHECK_UDP,
};

/* What a check says of itself before anything else. */
enum config_check_header {
	CONFIG_CHECK_HEADER_AUTO,  /* LOCAL if clients have a header, or else nothing */
	CONFIG_CHECK_HEADER_LOCAL, /* nobody's connection: v2 LOCAL, or v1 UNKNOWN */
	CONFIG_CHECK_HEADER_PROXY, /* our own address, as if we were a client */
	CONFIG_CHECK_HEADER_NONE,
};

struct config_check {
	enum config_check_type type;
	enum config_check_header header;
	uint32_t interval_ms;
	uint32_t timeout_ms;
	uint32_t rise;			 /* passes in a row that bring a backend back */
	uint32_t fall;			 /* failures in a row that take it out */
	uint16_t port;			 /* 0: the backend's */
	uint16_t status_min, status_max; /* HTTP */
	struct sockaddr_any source;	 /* family 0: the kernel chooses */
	char *method, *path, *host;	 /* HTTP; host NULL: the backend's address */
	char *send;			 /* SEND_EXPECT and UDP; NULL: nothing */
	size_t send_len;
	char *expect; /* somewhere in the answer; NULL: whatever comes is right */
	size_t expect_len;
};

struct config_pool {
	char *name;
	struct config_check check;
	struct config_backend *backends;
	size_t n_backends;
	struct config_name *names;
	size_t n_names;
	struct sockaddr_any *sources; /* AF_INET, port 0; none: the kernel chooses */
	size_t n_sources;
	enum config_balance balance;
	enum maglev_hash hash;	/* CONFIG_BALANCE_MAGLEV only */
	uint32_t slow_start_ms; /* until a backend that came back has its full share; 0: at once */
	uint32_t attempts;	/* backends that one connection may try, 1 to CONFIG_ATTEMPTS_MAX */
	uint32_t circuit_failures; /* in a row, that take a backend out; 0: never */
	uint32_t circuit_ms;	   /* for how long */
	uint32_t max_connections;  /* at a time, of all listeners; 0: no limit */
	uint32_t header_max;	   /* the longest header that its servers take, bytes */
};

enum config_notrack {
	CONFIG_NOTRACK_AUTO, /* where this kernel has conntrack */
	CONFIG_NOTRACK_YES,
	CONFIG_NOTRACK_NO,
};

/* What the gateway sets up and keeps in the kernel. */
struct config_network {
	bool given; /* there is a section "network" */
	bool keep;  /* leave everything in place at the end */
	enum config_notrack notrack;
	char interface[IF_NAMESIZE];	    /* of addrs; "": there are none */
	char source_interface[IF_NAMESIZE]; /* of sources; the same unless said otherwise */
	struct config_address *addrs;	    /* VIPs: never chosen as source by the kernel */
	size_t n_addrs;
	struct config_address *sources; /* IPv4, towards the servers */
	size_t n_sources;
	uint32_t table;		 /* routing table for answers to transparent connections */
	uint32_t priority;	 /* of the rule that leads there */
	uint32_t mark;		 /* the bit, or bits, that such packets are marked with */
	uint32_t receive_buffer; /* of netlink sockets, bytes */
};

#define CONFIG_HOLD_FOREVER UINT32_MAX

/* How names are looked up. */
struct config_resolve {
	struct sockaddr_any *servers; /* none: as /etc/resolv.conf and /etc/hosts say */
	size_t n_servers;
	uint32_t interval_min_ms, interval_max_ms; /* bounds of what the answers' TTL says */
	uint32_t timeout_ms;			   /* of one query to one server */
	uint32_t attempts;			   /* at each server */
	uint32_t hold_ms; /* a name with no address any more keeps those it had for so long */
};

/* Who stood behind which source address and port. */
struct config_who {
	uint32_t keep_ms; /* after the end */
	uint32_t entries; /* of each worker, of flows that have ended; 0: none are kept at all */
};

/* Clients that wait for a backend to answer, of all listeners. 0: no limit. */
struct config_hold {
	uint32_t max;
	uint32_t max_per_backend;
	uint32_t max_per_client; /* an IPv6 /64 or one IPv4 address */
	uint32_t queue;		 /* number of the packet queue, or the first that is tried */
};

#define CONFIG_METRICS_LISTEN_MAX 4U

/* Where the gateway is watched by HTTP. */
struct config_metrics {
	struct sockaddr_any listen[CONFIG_METRICS_LISTEN_MAX];
	size_t n_listen; /* 0: nowhere */
};

struct config {
	struct config_network network;
	struct config_resolve resolve;
	struct config_hold hold;
	char *run_directory;   /* an absolute path */
	char *control_group;   /* may look at the control socket; NULL: none but our own */
	char *state_directory; /* the same; of what outlives the gateway */
	uint32_t workers;      /* 0 is "auto": one per CPU that we may run on */
	uint32_t drain_ms;     /* SIGTERM: live flows may finish for so long */
	struct config_who who;
	struct config_metrics metrics;
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

#define CONFIG_WEIGHT_MAX     65535U
#define CONFIG_WORKERS_MAX    256U
#define CONFIG_ATTEMPTS_MAX   8U
#define CONFIG_CHECK_TEXT_MAX 1024U /* bytes that a check sends, or expects */

#define CONFIG_LIMIT_MAX     10000000U
#define CONFIG_NAME_MAX	     63U /* bytes of a listener's or pool's name */
#define CONFIG_LISTENERS_MAX 256U
#define CONFIG_BINDS_MAX     256U
#define CONFIG_POOLS_MAX     256U
#define CONFIG_BACKENDS_MAX  1024U
#define CONFIG_SOURCES_MAX   256U
#define CONFIG_ALLOW_MAX     256U
#define CONFIG_FROM_MAX	     256U
#define CONFIG_CUSTOM_VALUE  255U  /* bytes of a fixed TLV's value */
#define CONFIG_HEADER_MAX    4096U /* bytes: what nginx takes; and most others, no more */
#define CONFIG_HEADER_MIN    28U   /* one for IPv4 without TLVs */
#define CONFIG_UDP_HEADER    240U  /* bytes of a header that every datagram has */
#define CONFIG_ADDRESSES_MAX 1024U

#define CONFIG_NAME_ADDRESSES	   8U /* that a name may have, unless another number is given */
#define CONFIG_NAME_ADDRESSES_MAX  64U
#define CONFIG_RESOLVE_SERVERS_MAX 8U
#define CONFIG_WHO_ENTRIES_MAX	   1048576U

#define CONFIG_RUN_DIRECTORY	 "/run/sixgate"
#define CONFIG_STATE_DIRECTORY	 "/var/lib/sixgate"
#define CONFIG_RUN_DIRECTORY_MAX 255U /* bytes */
#define CONFIG_HOLD_MAX		 65536U
#define CONFIG_HOLD_QUEUE	 16600U
#define CONFIG_HOLD_QUEUE_MAX	 65000U
#define CONFIG_NET_TABLE	 166U
#define CONFIG_NET_PRIORITY	 166U
#define CONFIG_NET_MARK		 0x1000U
#define CONFIG_NET_BUFFER	 1048576U
#define CONFIG_UDP_BUFFER	 4194304U

/* The defaults of sixgated.conf(5); n_listeners and n_pools are 0. NULL: no memory. */
struct config *config_new(void);

/* Takes NULL and half-built configurations. All that was read of it is gone. */
void config_free(struct config *config);

/*
 * The functions below build a configuration, for a file and for a command line alike. They return 0
 * or -ENOMEM; or -EINVAL and, in ret_reason, a static sentence that says what would be right. After
 * a failure a part may have been added ("*:80" is two binds), and the configuration is good for
 * config_free() alone. Texts are copied. Adding a listener, pool, bind or backend may move all
 * others of its kind: pointers to those are good until the next one is added.
 */

/* With the defaults of a listener, no binds, and pool 0. */
int config_add_listener(struct config *config, const char *name,
	struct config_listener **ret_listener, const char **ret_reason);
int config_add_pool(struct config *config, const char *name, struct config_pool **ret_pool,
	const char **ret_reason);

/* "tcp" or "udp"; before the binds are added. The defaults of that protocol are set. */
int config_set_protocol(
	struct config_listener *listener, const char *text, const char **ret_reason);

/* "fragment" or "too-big"; "drop-idle" or "refuse". */
int config_parse_oversize(
	const char *text, enum config_oversize *ret_oversize, const char **ret_reason);
int config_parse_when_full(const char *text, bool *ret_refuse, const char **ret_reason);

/* "reset", "port-unreachable", "admin-prohibited" or "accept-then-reset". */
int config_parse_refuse(const char *text, enum config_refuse *ret_refuse, const char **ret_reason);
const char *config_refuse_name(enum config_refuse refuse);

/*
 * "[2001:db8::1]:80", "192.0.2.1:80", or "*:80", which makes two; "[2001:db8::/64]:80" and
 * "203.0.113.0/24:80" for a prefix; ":1000-2000" for a range of ports, ":*" for all. No two of a
 * protocol may be equal, or begin at the same address and port. Of those that overlap the narrower
 * one gets the client: the longer prefix or, with the same, fewer ports.
 */
int config_add_bind(struct config *config, struct config_listener *listener, const char *text,
	const char **ret_reason);

/* Whether the kernel must be told by a packet filter which packets are meant for the socket. */
bool config_bind_diverted(const struct config_bind *bind);

/* Whether a server, or a connection's end, can have this IPv4 address. */
bool config_is_unicast(const struct sockaddr_any *addr);

/*
 * Whether a connection to this IPv4 address, if it is one of this machine's, may come to a listener
 * of the pool, and so go round in circles. Port 0: that of any.
 */
bool config_takes(const struct config *config, size_t pool, const struct sockaddr_any *addr);

/* As it was written, into buf, which is returned. */
#define CONFIG_BIND_TEXT_MAX (SOCKADDR_TEXT_MAX + 16)
const char *config_bind_text(const struct config_bind *bind, char buf[CONFIG_BIND_TEXT_MAX]);

/*
 * Whether one of the listener's addresses, which with v6only = no takes IPv4 clients too, is in the
 * way of an IPv4 address of any listener: that pair.
 */
bool config_find_overlap(const struct config *config, const struct config_listener *listener,
	const struct config_bind **ret_v6, const struct config_bind **ret_v4);

/* "10.0.0.0/8" or "10.0.0.1": servers that an embedded destination may name. */
int config_add_allow(struct config_listener *listener, const char *text, const char **ret_reason);

/* "2001:db8::/48" or "192.0.2.1": proxies that are believed who their clients are. */
int config_add_from(
	struct config_accept_proxy *accept_proxy, const char *text, const char **ret_reason);

/*
 * "alpn", "authority", "unique-id", "ssl", "netns" or a number like "0xEA": a type that is passed
 * on of an upstream's header.
 */
int config_add_pass(struct config_tlvs *tlvs, const char *text, const char **ret_reason);

/* "0xE0": a fixed TLV with that value, of up to CONFIG_CUSTOM_VALUE bytes. */
int config_add_custom(struct config_tlvs *tlvs, const char *text, const void *value, size_t len,
	const char **ret_reason);

/* Whether TLVs of that type are passed on. */
static inline bool config_tlvs_pass(const struct config_tlvs *tlvs, uint8_t type)
{
	return tlvs->pass[type / 8] >> type % 8 & 1;
}

/* "2001:db8::1/128" or "192.0.2.1"; without a length it is one address alone. */
int config_add_vip(struct config_network *network, const char *text, const char **ret_reason);
int config_add_net_source(
	struct config_network *network, const char *text, const char **ret_reason);

/*
 * Once binds and identity are known: whether these clients can be told to servers in that way.
 * identity_v6 of a listener that is not transparent becomes its identity.
 */
int config_settle_identity(
	struct config_listener *listener, bool v6_given, const char **ret_reason);

/* Whether clients of an embedded listener can name servers by the bind: not if -EINVAL. */
int config_check_embedded(const struct config_listener *listener, const struct config_bind *bind,
	const char **ret_reason);

/* Who the pool's clients are told to its servers as: by the first listener that has it. */
enum identity config_pool_identity(const struct config *config, size_t pool);

/* Whether its servers can ever be known to be down: somebody asks them, or asks where they are. */
bool config_pool_may_fail(const struct config_pool *pool);

/* Whether anything is to be set up in the kernel: a section, or a listener that needs it. */
bool config_needs_network(const struct config *config);
/* Whether the listener needs sockets that only CAP_NET_ADMIN or CAP_NET_RAW can make. */
bool config_is_transparent(const struct config_listener *listener);

/*
 * "192.0.2.10:80": a unicast IPv4 address, once in a pool; "192.0.2.10:*" keeps the port that the
 * client connected to.
 */
int config_add_backend(
	struct config_pool *pool, const char *text, uint32_t weight, const char **ret_reason);

/* Whether the text is that of a name and not, or not meant as, that of an address. */
bool config_is_name(const char *text);
/*
 * "db.example:5432" or "db.example:*": once in a pool. It adds as many backends as it may have
 * addresses, 1 to CONFIG_NAME_ADDRESSES_MAX.
 */
int config_add_name(struct config_pool *pool, const char *text, uint32_t addresses, uint32_t weight,
	const char **ret_reason);

/* The name that this backend is an address of; NULL: none. */
const char *config_backend_name(const struct config_pool *pool, size_t backend);

/*
 * "round-robin", "least-connections" or "maglev"; "client", "client-64" or "client-port", what two
 * flows of the same client have in common.
 */
int config_parse_balance(
	const char *text, enum config_balance *ret_balance, const char **ret_reason);
int config_parse_hash(const char *text, enum maglev_hash *ret_hash, const char **ret_reason);

/* "192.0.2.1" */
int config_add_source(struct config_pool *pool, const char *text, const char **ret_reason);

/* "auto" or 1 to CONFIG_WORKERS_MAX. */
int config_parse_workers(const char *text, uint32_t *ret_workers, const char **ret_reason);

/* "off", "stdout", "stderr", "journal" or an absolute path. */
int config_set_access_log(struct config *config, const char *text, const char **ret_reason);

int config_set_control_group(struct config *config, const char *text, const char **ret_reason);
int config_set_user(struct config *config, const char *text, const char **ret_reason);
int config_parse_log_level(const char *text, int *ret_level, const char **ret_reason);
int config_parse_identity(const char *text, enum identity *ret_identity, const char **ret_reason);
int config_parse_identity_v6(
	const char *text, enum identity *ret_identity, const char **ret_reason);

/* An absolute path. */
int config_set_run_directory(struct config *config, const char *text, const char **ret_reason);
int config_set_state_directory(struct config *config, const char *text, const char **ret_reason);

/* Copies the name if an interface can have it. */
int config_set_interface(char interface[IF_NAMESIZE], const char *text, const char **ret_reason);

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
