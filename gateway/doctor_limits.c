#include "doctor_limits.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/*
 * A port towards a server is in use as long as its connection, and then a minute more (TIME_WAIT)
 * where we have ended it first: ten thousand may so be good for some 150 short ones a second.
 */
#define PORTS_WRONG    1000
#define PORTS_WARN     10000
#define PORTS_USUAL    28232 /* 32768 to 60999, the kernel's own choice */
#define PORTS_WIDE     55296 /* 10240 to 65535 */
#define FILES_MIN      1024
#define FILES_PER_FLOW 2

static void cannot_read(
	struct doctor_report *report, const char *check, const char *subject, int err)
{
	doctor_add(report, check, subject, DOCTOR_UNKNOWN, NULL, "%s cannot be read: %s", subject,
		strerror(-err));
}

/* ---- forwarding ---- */

static void check_transparent(const struct doctor_facts *facts, struct doctor_report *report)
{
	static const char name[] = "net.ipv4.ip_forward";
	int64_t forward;
	int err = doctor_proc_numbers(facts->root, &forward, 1, "/proc/sys/net/ipv4/ip_forward");

	if (err)
		cannot_read(report, "forwarding", name, err);
	else if (!forward)
		doctor_add(report, "forwarding", name, DOCTOR_WARN,
			strdup("echo 1 > /proc/sys/net/ipv4/ip_forward"),
			"this machine routes no IPv4, but servers of transparent listeners have it "
			"as their router");
	else
		doctor_add(report, "forwarding", name, DOCTOR_OK, NULL,
			"this machine routes IPv4 for its servers");
}

/* An interface that routes takes no advertisements, unless told so. */
static void check_accept_ra(const struct doctor_facts *facts, struct doctor_report *report)
{
	const char *ifname = facts->default_v6.ifname;
	int64_t forwarding, accept;
	char *name, *mend;

	if (doctor_proc_numbers(facts->root, &forwarding, 1,
		    "/proc/sys/net/ipv6/conf/%s/forwarding", ifname) < 0 ||
		doctor_proc_numbers(facts->root, &accept, 1, "/proc/sys/net/ipv6/conf/%s/accept_ra",
			ifname) < 0)
		return;
	if (!forwarding || accept != 1) {
		doctor_add(report, "forwarding", ifname, DOCTOR_OK, NULL,
			"the default route by %s is kept up by its router", ifname);
		return;
	}
	name = doctor_quote(ifname);
	mend = !name ? NULL : doctor_text("echo 2 > /proc/sys/net/ipv6/conf/%s/accept_ra", name);
	free(name);
	doctor_add(report, "forwarding", ifname, DOCTOR_WARN, mend,
		"the default route by %s will vanish: it was learned from a router, which %s no "
		"longer listens to since it forwards",
		ifname, ifname);
}

void doctor_check_forwarding(const struct doctor_facts *facts, struct doctor_report *report)
{
	if (doctor_wants_transparent(facts))
		check_transparent(facts, report);
	if (facts->default_v6.ifname[0] && facts->default_v6.protocol == RTPROT_RA)
		check_accept_ra(facts, report);
}

/* ---- conntrack ---- */

void doctor_check_conntrack(const struct doctor_facts *facts, struct doctor_report *report)
{
	static const char name[] = "net.netfilter.nf_conntrack_max";
	enum doctor_status status = DOCTOR_OK;
	int64_t count, max;
	char *mend = NULL;

	if (doctor_proc_numbers(
		    facts->root, &count, 1, "/proc/sys/net/netfilter/nf_conntrack_count") < 0 ||
		doctor_proc_numbers(
			facts->root, &max, 1, "/proc/sys/net/netfilter/nf_conntrack_max") < 0)
		return; /* this kernel tracks nothing */
	if (max <= 0 || max > INT32_MAX || count < 0 || count > INT32_MAX)
		return; /* 0: there is no limit */
	if (count * 100 > max * 95)
		status = DOCTOR_WRONG;
	else if (count * 100 > max * 80)
		status = DOCTOR_WARN;
	if (status != DOCTOR_OK)
		mend = doctor_text(
			"echo %lld > /proc/sys/net/netfilter/nf_conntrack_max", (long long)max * 2);
	doctor_add(report, "conntrack", name, status, mend,
		"%lld of %lld entries of the conntrack table are in use", (long long)count,
		(long long)max);
}

/* ---- ports ---- */

/* wide: more is needed than the kernel's own choice. */
static char *mend_range(int64_t size, bool wide)
{
	if (!wide && size < PORTS_USUAL)
		return strdup("echo '32768 60999' > /proc/sys/net/ipv4/ip_local_port_range");
	if (size < PORTS_WIDE)
		return strdup("echo '10240 65535' > /proc/sys/net/ipv4/ip_local_port_range");
	return NULL; /* more sources are needed */
}

static void check_pool_ports(
	const struct config_pool *pool, int64_t size, struct doctor_report *report)
{
	int64_t room = size * (pool->n_sources ? (int64_t)pool->n_sources : 1);
	enum doctor_status status = room < PORTS_WRONG	? DOCTOR_WRONG
				    : room < PORTS_WARN ? DOCTOR_WARN
							: DOCTOR_OK;

	doctor_add(report, "ports", pool->name, status,
		status == DOCTOR_OK ? NULL : mend_range(size, false),
		"pool %s has %lld source ports towards each server", pool->name, (long long)room);
}

static bool has_servers(
	const struct doctor_facts *facts, const struct config_pool *pool, uint8_t protocol)
{
	for (size_t i = 0; i < facts->n_backends; i++)
		if (facts->backends[i].pool == pool && facts->backends[i].protocol == protocol)
			return true;
	return false;
}

/* Every UDP session has a source port of its own, whichever the server. */
static void check_session_ports(const struct doctor_facts *facts, const struct config_pool *pool,
	int64_t size, struct doctor_report *report)
{
	int64_t room = size * (pool->n_sources ? (int64_t)pool->n_sources : 1);
	char subject[CONFIG_NAME_MAX + sizeof("/udp")];
	size_t in_use = 0;

	for (size_t i = 0; i < facts->n_backends; i++)
		if (facts->backends[i].pool == pool && facts->backends[i].protocol == IPPROTO_UDP)
			in_use += facts->backends[i].in_use;
	snprintf(subject, sizeof(subject), "%s/udp", pool->name);
	if (room < PORTS_WARN)
		doctor_add(report, "ports", subject,
			room < PORTS_WRONG ? DOCTOR_WRONG : DOCTOR_WARN, mend_range(size, false),
			"pool %s has %lld source ports for UDP sessions: mend, then restart the "
			"gateway",
			pool->name, (long long)room);
	else if ((int64_t)in_use * 100 > room * 80)
		doctor_add(report, "ports", subject, DOCTOR_WARN, mend_range(size, true),
			"%zu of %lld source ports of pool %s are in use by UDP sessions: a wider "
			"range, after a restart, or more sources give room",
			in_use, (long long)room, pool->name);
	else
		doctor_add(report, "ports", subject, DOCTOR_OK, NULL,
			"pool %s has %lld source ports for UDP sessions", pool->name,
			(long long)room);
}

static void check_use(
	const struct doctor_backend *backend, int64_t size, struct doctor_report *report)
{
	int64_t room = size * (backend->pool->n_sources ? (int64_t)backend->pool->n_sources : 1);
	char text[SOCKADDR_TEXT_MAX];

	if ((int64_t)backend->in_use * 100 <= room * 80)
		return;
	sockaddr_format(&backend->addr, text);
	doctor_add(report, "ports", text, DOCTOR_WARN, mend_range(size, true),
		"%zu of %lld source ports towards %s of pool %s are in use: a wider range or more "
		"sources give room",
		backend->in_use, (long long)room, text, backend->owner);
}

void doctor_check_ports(const struct doctor_facts *facts, struct doctor_report *report)
{
	static const char name[] = "net.ipv4.ip_local_port_range";
	int64_t range[2], size;
	int err = doctor_proc_numbers(
		facts->root, range, 2, "/proc/sys/net/ipv4/ip_local_port_range");

	if (!err && (range[0] < 0 || range[1] > UINT16_MAX || range[0] > range[1]))
		err = -EBADMSG;
	if (err) {
		cannot_read(report, "ports", name, err);
		return;
	}
	size = range[1] - range[0] + 1;
	for (size_t i = 0; i < facts->config->n_pools; i++) {
		const struct config_pool *pool = &facts->config->pools[i];

		if (has_servers(facts, pool, IPPROTO_TCP))
			check_pool_ports(pool, size, report);
		if (has_servers(facts, pool, IPPROTO_UDP))
			check_session_ports(facts, pool, size, report);
	}
	for (size_t i = 0; i < facts->n_backends; i++)
		if (facts->backends[i].pool && facts->backends[i].protocol == IPPROTO_TCP)
			check_use(&facts->backends[i], size, report);
}

/* ---- somaxconn ---- */

void doctor_check_somaxconn(const struct doctor_facts *facts, struct doctor_report *report)
{
	static const char name[] = "net.core.somaxconn";
	const struct config_listener *longest = NULL;
	int64_t max;
	int err = doctor_proc_numbers(facts->root, &max, 1, "/proc/sys/net/core/somaxconn");

	for (size_t i = 0; i < facts->config->n_listeners; i++)
		if (facts->config->listeners[i].protocol == IPPROTO_TCP &&
			(!longest || facts->config->listeners[i].backlog > longest->backlog))
			longest = &facts->config->listeners[i];
	if (!longest)
		return;
	if (err)
		cannot_read(report, "somaxconn", name, err);
	else if (max < longest->backlog)
		doctor_add(report, "somaxconn", name, DOCTOR_WARN,
			doctor_text("echo %u > /proc/sys/net/core/somaxconn", longest->backlog),
			"the accept queue of listener %s is cut to %lld, its backlog is %u: mend, "
			"then restart the gateway",
			longest->name, (long long)max, longest->backlog);
	else
		doctor_add(report, "somaxconn", name, DOCTOR_OK, NULL,
			"accept queues may be as long as they are to be");
}

/* ---- files ---- */

/*
 * By this process's hard limit, to which a gateway that is started in the same way raises its own.
 * A unit's LimitNOFILE= is not known here.
 */
void doctor_check_files(const struct doctor_facts *facts, struct doctor_report *report)
{
	const struct config *config = facts->config;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
		cannot_read(report, "files", "RLIMIT_NOFILE", -errno);
		return;
	}
	if (limit.rlim_max < FILES_MIN || limit.rlim_max / FILES_PER_FLOW < config->max_flows)
		doctor_add(report, "files", "RLIMIT_NOFILE", DOCTOR_WARN, NULL,
			"a process may have %llu files open, each connection takes at least two%s: "
			"raise the limit (ulimit -n, or LimitNOFILE= of the unit)",
			(unsigned long long)limit.rlim_max,
			limit.rlim_max < FILES_MIN ? "" : ", and max-flows asks for more");
	else
		doctor_add(report, "files", "RLIMIT_NOFILE", DOCTOR_OK, NULL,
			"a process may have %llu files open", (unsigned long long)limit.rlim_max);
}
