#include "dns.h"

#include <ares.h>
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

/*
 * Theory of operation
 *
 * c-ares opens and closes sockets as it needs them and says what it waits for; each has a place
 * here while it is open, and is watched by the loop. One timer is set to the next deadline that
 * c-ares has. So whatever it does, it does when something has come or is due, and returns at once.
 *
 * The system's servers are those of /etc/resolv.conf. c-ares reads that once; when the file has
 * changed since, the next question is asked with a new channel, and what is under way with the old
 * one, to servers that may be gone, ends without an answer.
 *
 * on_answer() is called by c-ares, with its own state half-way through: asking from there could
 * destroy the channel under it, so it is forbidden.
 *
 * Why not getaddrinfo() in a thread: its time-out cannot be set, it does not tell the TTL, and a
 * thread that hangs cannot be ended.
 */
#define RESOLV_CONF "/etc/resolv.conf"
#define SOCKETS	    64 /* two for each server; c-ares takes few of resolv.conf */

struct dns_socket {
	struct loop_source source;
	struct dns *dns;
	int fd; /* -1: free */
};

struct dns {
	struct loop *loop;
	const struct config_resolve *config;
	ares_channel channel; /* NULL: could not be opened anew */
	struct timer timer;
	struct dns_socket sockets[SOCKETS];
	struct stat resolv_conf; /* as it was read */
};

/* ---- the loop's side ---- */

static void arm(struct dns *dns)
{
	struct timeval left;

	if (!dns->channel || !ares_timeout(dns->channel, NULL, &left)) {
		loop_timer_cancel(dns->loop, &dns->timer);
		return;
	}
	loop_timer_set(dns->loop, &dns->timer,
		dns->loop->now_ms + (uint64_t)left.tv_sec * 1000 + (uint64_t)left.tv_usec / 1000 +
			1);
}

static void on_due(struct timer *timer)
{
	struct dns *dns = list_entry(timer, struct dns, timer);

	if (dns->channel)
		ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm(dns);
}

static void on_event(struct loop_source *source, uint32_t events)
{
	const struct dns_socket *socket = list_entry(source, struct dns_socket, source);
	struct dns *dns = socket->dns;
	bool reads = events & (EPOLLIN | EPOLLHUP | EPOLLERR), writes = events & EPOLLOUT;

	if (socket->fd < 0)
		return; /* closed in this batch */
	ares_process_fd(dns->channel, reads ? socket->fd : ARES_SOCKET_BAD,
		writes ? socket->fd : ARES_SOCKET_BAD);
	arm(dns);
}

static struct dns_socket *find_socket(struct dns *dns, int fd)
{
	for (size_t i = 0; i < SOCKETS; i++)
		if (dns->sockets[i].fd == fd)
			return &dns->sockets[i];
	return NULL;
}

/* Called by c-ares when it begins or ceases to wait for a socket; for neither: it is closed next.
 */
static void on_socket_state(void *userdata, ares_socket_t fd, int readable, int writable)
{
	uint32_t events = (readable ? EPOLLIN : 0U) | (writable ? EPOLLOUT : 0U);
	struct dns *dns = userdata;
	struct dns_socket *socket = find_socket(dns, fd);

	if (events && socket) {
		(void)loop_modify(dns->loop, fd, events, &socket->source);
	} else if (events) {
		socket = find_socket(dns, -1);
		if (!socket || loop_add(dns->loop, fd, events, &socket->source) < 0)
			return; /* its answers are not seen, and the query ends by its time */
		socket->fd = fd;
	} else if (socket) {
		/* c-ares closes it next: it must not be named by the loop any more. */
		loop_remove(dns->loop, fd);
		socket->fd = -1;
	}
}

/* ---- the channel ---- */

static int error_of(int status)
{
	return status == ARES_SUCCESS ? 0 : status == ARES_ENOMEM ? -ENOMEM : -EIO;
}

static int set_servers(struct dns *dns)
{
	struct ares_addr_port_node nodes[CONFIG_RESOLVE_SERVERS_MAX];
	const size_t n = dns->config->n_servers;

	for (size_t i = 0; i < n; i++) {
		const struct sockaddr_any *addr = &dns->config->servers[i];

		nodes[i] = (struct ares_addr_port_node){
			.next = i + 1 < n ? &nodes[i + 1] : NULL,
			.family = sockaddr_family(addr),
			.udp_port = sockaddr_port(addr),
			.tcp_port = sockaddr_port(addr),
		};
		if (sockaddr_family(addr) == AF_INET)
			nodes[i].addr.addr4 = addr->in.sin_addr;
		else
			memcpy(&nodes[i].addr.addr6, &addr->in6.sin6_addr, 16);
	}
	return error_of(ares_set_servers_ports(dns->channel, nodes));
}

static void close_channel(struct dns *dns)
{
	if (dns->channel)
		ares_destroy(dns->channel);
	dns->channel = NULL;
}

/* With servers of our own, nothing is taken from the system's files. */
static int open_channel(struct dns *dns)
{
	char lookups[] = "b";
	bool own = dns->config->n_servers > 0;
	struct ares_options options = {
		.flags = ARES_FLAG_NOALIASES | (own ? ARES_FLAG_NOSEARCH : 0),
		.timeout = (int)dns->config->timeout_ms,
		.tries = (int)dns->config->attempts,
		.lookups = lookups,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = dns,
	};
	int err, mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
			ARES_OPT_SOCK_STATE_CB | (own ? ARES_OPT_LOOKUPS : 0);

	if (stat(RESOLV_CONF, &dns->resolv_conf) < 0)
		dns->resolv_conf = (struct stat){ 0 };
	err = error_of(ares_init_options(&dns->channel, &options, mask));
	if (!err && own)
		err = set_servers(dns);
	if (err)
		close_channel(dns);
	return err;
}

static bool is_outdated(const struct dns *dns)
{
	struct stat now = { 0 };

	if (!dns->channel)
		return true;
	if (dns->config->n_servers)
		return false;
	if (stat(RESOLV_CONF, &now) < 0)
		return false; /* it is being replaced */
	return now.st_ino != dns->resolv_conf.st_ino || now.st_size != dns->resolv_conf.st_size ||
	       now.st_mtim.tv_sec != dns->resolv_conf.st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != dns->resolv_conf.st_mtim.tv_nsec;
}

int dns_open(struct loop *loop, const struct config_resolve *config, struct dns **ret_dns)
{
	struct dns *dns;
	int err = error_of(ares_library_init(ARES_LIB_INIT_ALL));

	if (err)
		return err;
	dns = calloc(1, sizeof(*dns));
	if (!dns) {
		ares_library_cleanup();
		return -ENOMEM;
	}
	dns->loop = loop;
	dns->config = config;
	timer_init(&dns->timer, on_due);
	for (size_t i = 0; i < SOCKETS; i++)
		dns->sockets[i] =
			(struct dns_socket){ .source.on_event = on_event, .dns = dns, .fd = -1 };
	err = open_channel(dns);
	if (err) {
		ares_library_cleanup();
		free(dns);
		return err;
	}
	*ret_dns = dns;
	return 0;
}

void dns_close(struct dns *dns)
{
	if (!dns)
		return;
	if (dns->channel)
		ares_destroy(dns->channel);
	loop_timer_cancel(dns->loop, &dns->timer);
	ares_library_cleanup();
	free(dns);
}

void dns_abandon(struct dns *dns)
{
	for (size_t i = 0; dns && i < SOCKETS; i++)
		if (dns->sockets[i].fd >= 0)
			close(dns->sockets[i].fd);
}

/* ---- questions ---- */

/* All addresses into memory of their own. 0 or -ENOMEM. */
static int take_addresses(const struct ares_addrinfo *info, struct dns_answer *answer)
{
	size_t n = 0;

	for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next)
		n++;
	answer->addrs = calloc(n + 1, sizeof(*answer->addrs));
	if (!answer->addrs)
		return -ENOMEM;
	/* Hosts of /etc/hosts, and answers without any address, may have none. */
	answer->ttl_s = UINT32_MAX;
	for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next) {
		struct sockaddr_in in;

		if (node->ai_family != AF_INET)
			continue;
		assert(answer->n_addrs < n);
		memcpy(&in, node->ai_addr, sizeof(in));
		answer->addrs[answer->n_addrs++] = in.sin_addr;
		if (node->ai_ttl >= 0 && (uint32_t)node->ai_ttl < answer->ttl_s)
			answer->ttl_s = (uint32_t)node->ai_ttl;
	}
	for (const struct ares_addrinfo_cname *name = info->cnames; name; name = name->next)
		if (name->ttl >= 0 && (uint32_t)name->ttl < answer->ttl_s)
			answer->ttl_s = (uint32_t)name->ttl;
	if (answer->ttl_s == UINT32_MAX)
		answer->ttl_s = 0;
	return 0;
}

static const char *reason_of(int status)
{
	return status == ARES_EDESTRUCTION ? "there was no answer so far" : ares_strerror(status);
}

static void on_result(void *userdata, int status, int timeouts, struct ares_addrinfo *info)
{
	struct dns_query *query = userdata;
	struct dns_answer answer = { .outcome = DNS_NO_ANSWER, .reason = reason_of(status) };

	(void)timeouts;
	if (status == ARES_ENOTFOUND || status == ARES_ENODATA)
		answer.outcome = DNS_NOT_FOUND;
	if (status == ARES_SUCCESS && info) {
		if (take_addresses(info, &answer) < 0)
			answer.reason = "no memory";
		else
			answer.outcome = answer.n_addrs ? DNS_FOUND : DNS_NOT_FOUND;
	}
	if (info)
		ares_freeaddrinfo(info);
	query->on_answer(query, &answer);
	free(answer.addrs);
}

void dns_ask(struct dns *dns, struct dns_query *query, const char *host)
{
	const struct ares_addrinfo_hints hints = {
		.ai_family = AF_INET,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = ARES_AI_NOSORT,
	};

	query->dns = dns;
	if (is_outdated(dns)) {
		close_channel(dns);
		if (open_channel(dns) < 0) {
			on_result(query, ARES_ENOMEM, 0, NULL);
			return;
		}
	}
	ares_getaddrinfo(dns->channel, host, NULL, &hints, on_result, query);
	arm(dns);
}
