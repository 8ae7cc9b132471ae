#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor.h"
#include "doctor_connect.h"
#include "doctor_facts.h"
#include "net_wanted.h"
#include "nft_table.h"

/*
 * A site that is right: front and back, a VIP, a prefix, a transparent listener, two servers. Every
 * test breaks one thing. Files of /proc and /etc are below a folder of our own.
 */
struct fixture {
	char root[64];
	struct config *config;
	struct doctor_facts facts;
	struct doctor_report report;
};

static void put(struct fixture *f, const char *path, const char *text)
{
	char full[PATH_MAX];
	FILE *file;

	snprintf(full, sizeof(full), "%s%s", f->root, path);
	for (char *p = full + strlen(f->root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		if (mkdir(full, 0700) < 0 && errno != EEXIST)
			fail_msg("%s: %s", full, strerror(errno));
		*p = '/';
	}
	file = fopen(full, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void take_away(struct fixture *f, const char *path)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s%s", f->root, path);
	assert_int_equal(unlink(full), 0);
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
	(void)stat;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void add_link(struct fixture *f, uint32_t index, const char *name, uint32_t mtu)
{
	struct net_link link = {
		.index = index,
		.mtu = mtu,
		.type = index == 1 ? ARPHRD_LOOPBACK : ARPHRD_ETHER,
		.up = true,
		.running = true,
		.loopback = index == 1,
	};

	strcpy(link.name, name);
	assert_int_equal(net_state_add_link(&f->facts.net, &link), 0);
}

static struct net_addr make_addr(const char *text, uint8_t prefix_len, const char *ifname)
{
	struct net_addr addr = { .prefix_len = prefix_len };

	addr.family = strchr(text, ':') ? AF_INET6 : AF_INET;
	assert_int_equal(inet_pton(addr.family, text, addr.addr), 1);
	strcpy(addr.ifname, ifname);
	return addr;
}

static void add_addr(struct fixture *f, const char *text, uint8_t prefix_len, const char *ifname)
{
	struct net_addr addr = make_addr(text, prefix_len, ifname);

	assert_int_equal(net_state_add_addr(&f->facts.net, &addr), 0);
}

static void make_config(struct fixture *f)
{
	struct config_listener *listener;
	struct config_pool *pool;
	const char *reason = "";
	struct config *config = config_new();

	assert_non_null(config);
	f->config = config;
	config->network.given = true;
	config->network.notrack = CONFIG_NOTRACK_NO;
	strcpy(config->network.interface, "front");
	strcpy(config->network.source_interface, "back");
	assert_int_equal(config_add_vip(&config->network, "2001:db8:80::1/128", &reason), 0);
	assert_int_equal(config_add_pool(config, "web", &pool, &reason), 0);
	assert_int_equal(config_add_backend(pool, "192.0.2.10:80", 1, &reason), 0);
	assert_int_equal(config_add_backend(pool, "192.0.2.11:80", 1, &reason), 0);
	assert_int_equal(config_add_source(pool, "192.0.2.1", &reason), 0);
	assert_int_equal(config_add_listener(config, "l", &listener, &reason), 0);
	listener->identity = IDENTITY_TRANSPARENT;
	listener->identity_v6 = IDENTITY_PROXY_V2;
	assert_int_equal(config_add_bind(config, listener, "[2001:db8:80::1]:80", &reason), 0);
	assert_int_equal(config_add_bind(config, listener, "[2001:db8:81::/64]:80", &reason), 0);
}

/* A UDP listener in the same places, and a pool that both protocols use beside one of its own. */
static void add_datagrams(struct fixture *f)
{
	static const char *const names[] = { "u", "shared" };
	struct config_listener *listener;
	struct config_pool *pool;
	const char *reason = "";

	assert_int_equal(config_add_pool(f->config, "dns", &pool, &reason), 0);
	assert_int_equal(config_add_backend(pool, "192.0.2.12:*", 1, &reason), 0);
	for (size_t i = 0; i < 2; i++) {
		const char *bind = i == 0 ? "[2001:db8:80::1]:80" : "[2001:db8:81::/64]:53";

		assert_int_equal(config_add_listener(f->config, names[i], &listener, &reason), 0);
		assert_int_equal(config_set_protocol(listener, "udp", &reason), 0);
		assert_int_equal(config_add_bind(f->config, listener, bind, &reason), 0);
		listener->pool = 1 - i;
	}
}

static void make_files(struct fixture *f)
{
	put(f, "/proc/sys/net/ipv6/conf/all/disable_ipv6", "0\n");
	put(f, "/proc/sys/net/ipv6/conf/lo/disable_ipv6", "0\n");
	put(f, "/proc/sys/net/ipv6/conf/front/disable_ipv6", "0\n");
	put(f, "/proc/sys/net/ipv4/conf/all/rp_filter", "0\n");
	put(f, "/proc/sys/net/ipv4/conf/front/rp_filter", "0\n");
	put(f, "/proc/sys/net/ipv4/conf/back/rp_filter", "0\n");
	put(f, "/proc/sys/net/ipv4/ip_forward", "1\n");
	put(f, "/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n");
	put(f, "/proc/sys/net/core/somaxconn", "4096\n");
	put(f, "/proc/sys/net/netfilter/nf_conntrack_count", "10\n");
	put(f, "/proc/sys/net/netfilter/nf_conntrack_max", "1000\n");
}

/* The kernel as it is after "net apply". */
static void make_kernel(struct fixture *f)
{
	const struct net_state *wanted = &f->facts.wanted.net;

	add_link(f, 1, "lo", 65536);
	add_link(f, 2, "front", 1500);
	add_link(f, 3, "back", 1500);
	add_addr(f, "127.0.0.1", 8, "lo");
	add_addr(f, "2001:db8:1::1", 64, "front");
	add_addr(f, "192.0.2.1", 24, "back");
	for (size_t i = 0; i < wanted->n_addrs; i++)
		assert_int_equal(net_state_add_addr(&f->facts.net, &wanted->addrs[i]), 0);
	for (size_t i = 0; i < wanted->n_routes; i++)
		assert_int_equal(net_state_add_route(&f->facts.net, &wanted->routes[i]), 0);
	for (size_t i = 0; i < wanted->n_rules; i++)
		assert_int_equal(net_state_add_rule(&f->facts.net, &wanted->rules[i]), 0);
	assert_int_equal(nft_table_image(&f->facts.wanted.nft, &f->facts.nft_image), 0);
	for (size_t i = 0; i < f->facts.n_binds; i++)
		f->facts.binds[i].local = f->facts.binds[i].listening = true;
	for (size_t i = 0; i < f->facts.n_backends; i++) {
		f->facts.backends[i].route.family = AF_INET;
		f->facts.backends[i].route.type = RTN_UNICAST;
		strcpy(f->facts.backends[i].route.ifname, "back");
	}
}

static void make_fixture(void **state, void (*add)(struct fixture *f))
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->root, "/tmp/test-doctor-XXXXXX");
	assert_non_null(mkdtemp(f->root));
	make_config(f);
	if (add)
		add(f);
	f->facts.config = f->config;
	f->facts.root = f->root;
	f->facts.apply = strdup("APPLY");
	f->facts.start = strdup("START");
	assert_int_equal(net_wanted_make(f->config, false, &f->facts.wanted), 0);
	assert_int_equal(doctor_facts_list(&f->facts), 0);
	make_files(f);
	make_kernel(f);
	*state = f;
}

static int set_up(void **state)
{
	make_fixture(state, NULL);
	return 0;
}

static int set_up_udp(void **state)
{
	make_fixture(state, add_datagrams);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	doctor_report_clear(&f->report);
	doctor_facts_clear(&f->facts);
	config_free(f->config);
	nftw(f->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static void check(struct fixture *f)
{
	doctor_report_clear(&f->report);
	doctor_check(&f->facts, &f->report);
	assert_false(f->report.incomplete);
}

static void show(const struct fixture *f)
{
	for (size_t i = 0; i < f->report.n_findings; i++)
		print_error("%s %s: %s\n", f->report.findings[i].check,
			doctor_status_name(f->report.findings[i].status),
			f->report.findings[i].text);
}

/* Just one finding is wrong or a warning: this one. */
static void assert_only(struct fixture *f, const char *name, const char *subject,
	enum doctor_status status, const char *mend)
{
	const struct doctor_finding *found = NULL;
	size_t n = 0;

	check(f);
	for (size_t i = 0; i < f->report.n_findings; i++) {
		const struct doctor_finding *finding = &f->report.findings[i];

		if (finding->status != DOCTOR_WRONG && finding->status != DOCTOR_WARN)
			continue;
		found = finding;
		n++;
	}
	if (n != 1)
		show(f);
	assert_int_equal(n, 1);
	assert_string_equal(found->check, name);
	assert_string_equal(found->subject, subject);
	assert_int_equal(found->status, status);
	if (mend)
		assert_string_equal(found->mend, mend);
	else
		assert_null(found->mend);
}

static void assert_fine(struct fixture *f)
{
	check(f);
	if (doctor_count(&f->report, DOCTOR_OK) != f->report.n_findings)
		show(f);
	assert_int_equal(doctor_count(&f->report, DOCTOR_OK), f->report.n_findings);
}

static struct net_addr *addr_on(struct fixture *f, const char *text, const char *ifname)
{
	struct net_addr addr = make_addr(text, 0, ifname);

	for (size_t i = 0; i < f->facts.net.n_addrs; i++)
		if (f->facts.net.addrs[i].family == addr.family &&
			memcmp(f->facts.net.addrs[i].addr, addr.addr, sizeof(addr.addr)) == 0 &&
			strcmp(f->facts.net.addrs[i].ifname, ifname) == 0)
			return &f->facts.net.addrs[i];
	fail_msg("no %s on %s", text, ifname);
	return NULL;
}

static void forget_addr(struct fixture *f, const char *text, const char *ifname)
{
	struct net_addr *addr = addr_on(f, text, ifname);
	size_t n = f->facts.net.n_addrs;

	*addr = f->facts.net.addrs[n - 1];
	f->facts.net.n_addrs = n - 1;
}

/* ---- tests ---- */

static void test_right(void **state)
{
	struct fixture *f = *state;
	static const char *const checks[] = { "link", "ipv6", "address", "rule", "route",
		"nftables", "source", "backend", "mtu", "rp_filter", "listener", "forwarding",
		"conntrack", "ports", "somaxconn", "files" };

	assert_fine(f);
	for (size_t c = 0; c < sizeof(checks) / sizeof(checks[0]); c++) {
		bool found = false;

		for (size_t i = 0; i < f->report.n_findings; i++)
			found = found || strcmp(f->report.findings[i].check, checks[c]) == 0;
		if (!found)
			fail_msg("no finding of %s", checks[c]);
	}
}

static void test_link(void **state)
{
	struct fixture *f = *state;

	f->facts.net.links[1].running = false;
	assert_only(f, "link", "front", DOCTOR_WRONG, NULL);
	/* A link that is down has lost its IPv6 addresses: that is no fault of its own. */
	f->facts.net.links[1].up = false;
	forget_addr(f, "2001:db8:80::1", "front");
	f->facts.binds[0].local = true;
	assert_only(f, "link", "front", DOCTOR_WRONG, "ip link set dev front up && APPLY");
	assert_int_equal(doctor_worst(&f->report, "address", NULL), DOCTOR_UNKNOWN);
	f->facts.net.links[1].up = f->facts.net.links[1].running = true;
	assert_only(f, "address", "2001:db8:80::1", DOCTOR_WRONG, "APPLY");
}

static void test_link_name_in_a_command(void **state)
{
	struct fixture *f = *state;

	strcpy(f->facts.net.links[2].name, "a;b'c");
	for (size_t i = 0; i < f->facts.net.n_addrs; i++)
		if (strcmp(f->facts.net.addrs[i].ifname, "back") == 0)
			strcpy(f->facts.net.addrs[i].ifname, "a;b'c");
	f->facts.net.links[2].up = false;
	check(f);
	assert_int_equal(doctor_worst(&f->report, "link", "a;b'c"), DOCTOR_WRONG);
	for (size_t i = 0; i < f->report.n_findings; i++)
		if (strcmp(f->report.findings[i].subject, "a;b'c") == 0 &&
			strcmp(f->report.findings[i].check, "link") == 0)
			assert_string_equal(
				f->report.findings[i].mend, "ip link set dev 'a;b'\\''c' up");
}

static void test_ipv6(void **state)
{
	struct fixture *f = *state;

	put(f, "/proc/sys/net/ipv6/conf/front/disable_ipv6", "1\n");
	forget_addr(f, "2001:db8:80::1", "front");
	assert_only(f, "ipv6", "front", DOCTOR_WRONG,
		"echo 0 > /proc/sys/net/ipv6/conf/front/disable_ipv6 && APPLY");
	put(f, "/proc/sys/net/ipv6/conf/front/disable_ipv6", "perhaps\n");
	check(f);
	assert_int_equal(doctor_worst(&f->report, "ipv6", "front"), DOCTOR_UNKNOWN);
	take_away(f, "/proc/sys/net/ipv6/conf/front/disable_ipv6");
	f->facts.net.links[1].mtu = 1000;
	assert_only(f, "ipv6", "front", DOCTOR_WRONG, "ip link set dev front mtu 1500 && APPLY");
}

static void test_address(void **state)
{
	struct fixture *f = *state;
	struct net_addr *addr = addr_on(f, "2001:db8:80::1", "front");

	addr->flags = IFA_F_TENTATIVE;
	assert_only(f, "address", "2001:db8:80::1", DOCTOR_WARN,
		"ip -6 addr del 2001:db8:80::1/128 dev front && APPLY");
	addr->flags |= IFA_F_DADFAILED;
	assert_only(f, "address", "2001:db8:80::1", DOCTOR_WRONG,
		"ip -6 addr del 2001:db8:80::1/128 dev front && APPLY");
	addr->flags = 0;
	addr->prefix_len = 64;
	assert_only(f, "address", "2001:db8:80::1", DOCTOR_WRONG, "APPLY");
	addr->protocol = 0; /* somebody else's is as good, and must not be taken away */
	assert_fine(f);
	addr->protocol = NET_MARK;
	addr->prefix_len = 128;
	strcpy(addr->ifname, "back");
	addr->protocol = 0;
	assert_only(f, "address", "2001:db8:80::1", DOCTOR_WRONG,
		"ip -6 addr del 2001:db8:80::1/128 dev back && APPLY");
	addr->protocol = NET_MARK;
	assert_only(f, "address", "2001:db8:80::1", DOCTOR_WRONG, "APPLY");
	add_addr(f, "2001:db8:80::1", 128, "front");
	assert_only(f, "address", "2001:db8:80::1", DOCTOR_WARN, "APPLY");
}

static void test_address_of_nobody(void **state)
{
	struct fixture *f = *state;

	/* The VIP is now nothing that we were told to set up. */
	f->facts.wanted.net.n_addrs = 0;
	forget_addr(f, "2001:db8:80::1", "front");
	f->facts.binds[0].local = false;
	assert_only(f, "address", "2001:db8:80::1", DOCTOR_WRONG,
		"ip -6 addr add 2001:db8:80::1/128 dev lo nodad");
	f->facts.binds[0].local = true; /* a local route does as well */
	assert_fine(f);
}

static void test_source(void **state)
{
	struct fixture *f = *state;
	struct config_pool *pool = &f->config->pools[0];
	const char *reason;

	assert_int_equal(config_add_source(pool, "192.0.2.99", &reason), 0);
	assert_only(
		f, "source", "192.0.2.99", DOCTOR_WRONG, "ip -4 addr add 192.0.2.99/32 dev back");
	add_addr(f, "192.0.2.99", 32, "lo");
	assert_fine(f);
}

static void test_rule(void **state)
{
	struct fixture *f = *state;
	struct net_route route = { .family = AF_INET, .type = RTN_UNICAST, .table = RT_TABLE_MAIN };
	struct net_rule rule = {
		.family = AF_INET, .action = FR_ACT_TO_TBL, .priority = 10, .table = RT_TABLE_MAIN
	};
	struct net_rule later = rule, local = rule;

	later.priority = 32766;
	local.priority = 0;
	local.table = RT_TABLE_LOCAL;
	assert_int_equal(net_state_add_rule(&f->facts.net, &local), 0);
	assert_int_equal(net_state_add_rule(&f->facts.net, &later), 0);
	assert_fine(f);
	assert_int_equal(net_state_add_rule(&f->facts.net, &rule), 0);
	assert_only(f, "rule", "166", DOCTOR_WARN, "ip -4 rule del priority 10 lookup 254");
	assert_int_equal(net_state_add_route(&f->facts.all, &route), 0);
	assert_only(f, "rule", "166", DOCTOR_WRONG, "ip -4 rule del priority 10 lookup 254");
	/* What is for some packets only, or for another mark, is not in the way. */
	f->facts.net.rules[f->facts.net.n_rules - 1].narrow = true;
	assert_fine(f);
	f->facts.net.rules[f->facts.net.n_rules - 1].narrow = false;
	f->facts.net.rules[f->facts.net.n_rules - 1].mask = 1;
	f->facts.net.rules[f->facts.net.n_rules - 1].mark = 1;
	assert_fine(f);
	/* Where the only rule of table main was put in front, it must not be lost. */
	f->facts.net.rules[f->facts.net.n_rules - 1] = rule;
	f->facts.net.rules[f->facts.net.n_rules - 2] = local;
	assert_only(f, "rule", "166", DOCTOR_WRONG,
		"ip -4 rule add priority 32766 lookup 254 && ip -4 rule del priority 10 lookup "
		"254");
	f->facts.net.n_rules = 0;
	assert_only(f, "rule", "166", DOCTOR_WRONG, "APPLY");
}

static void test_routes(void **state)
{
	struct fixture *f = *state;

	add_addr(f, "2001:db8:81::5", 48, "front");
	assert_only(f, "neighbours", "2001:db8:81::/64", DOCTOR_WARN, NULL);
	forget_addr(f, "2001:db8:81::5", "front");
	f->facts.net.n_routes--;
	check(f);
	assert_int_equal(doctor_count(&f->report, DOCTOR_WRONG), 1);
	assert_int_equal(doctor_worst(&f->report, "route", NULL), DOCTOR_WRONG);
	f->facts.net.links[0].up = false;
	assert_only(f, "link", "lo", DOCTOR_WRONG, "ip link set dev lo up && APPLY");
}

static void test_nft(void **state)
{
	struct fixture *f = *state;

	assert_true(f->facts.nft_image[0] != '\0');
	f->facts.nft_image[0] ^= 1;
	assert_only(f, "nftables", "inet sixgate", DOCTOR_WRONG, "APPLY");
	f->facts.nft_image[0] = '\0';
	assert_only(f, "nftables", "inet sixgate", DOCTOR_WRONG, "APPLY");
	free(f->facts.nft_image);
	f->facts.nft_image = NULL;
	f->facts.nft_error = -EPERM;
	check(f);
	assert_true(f->report.unreadable);
	assert_int_equal(doctor_worst(&f->report, "nftables", NULL), DOCTOR_UNKNOWN);
	assert_int_equal(doctor_count(&f->report, DOCTOR_WRONG), 0);
}

static void test_backend(void **state)
{
	struct fixture *f = *state;
	struct net_route hole = { .family = AF_INET,
		.type = RTN_BLACKHOLE,
		.dst = { 192, 0, 2, 10 },
		.dst_len = 32,
		.table = RT_TABLE_MAIN,
		.metric = 7 };

	f->facts.backends[0].error = -ENETUNREACH;
	assert_only(
		f, "backend", "192.0.2.10", DOCTOR_WRONG, "ip -4 route add 192.0.2.0/24 dev back");
	f->facts.backends[0].error = -EINVAL;
	assert_only(f, "backend", "192.0.2.10", DOCTOR_WRONG, NULL);
	assert_int_equal(net_state_add_route(&f->facts.all, &hole), 0);
	assert_only(f, "backend", "192.0.2.10", DOCTOR_WRONG,
		"ip -4 route del blackhole 192.0.2.10/32 table 254 metric 7");
	f->facts.backends[0].error = 0;
	f->facts.backends[0].route.type = RTN_LOCAL;
	f->facts.all.routes[0].type = RTN_LOCAL;
	f->facts.all.routes[0].table = RT_TABLE_LOCAL;
	f->facts.all.routes[0].metric = 0;
	assert_only(f, "backend", "192.0.2.10", DOCTOR_WRONG,
		"ip -4 route del local 192.0.2.10/32 table 255");
	f->facts.all.routes[0].protocol = NET_MARK;
	assert_only(f, "backend", "192.0.2.10", DOCTOR_WRONG, NULL);
	add_addr(f, "192.0.2.10", 32, "lo");
	assert_fine(f);
}

static void test_mtu(void **state)
{
	struct fixture *f = *state;
	struct net_route route = { .family = AF_INET,
		.type = RTN_UNICAST,
		.dst = { 192, 0, 2, 0 },
		.dst_len = 24,
		.table = RT_TABLE_MAIN,
		.protocol = 2,
		.scope = RT_SCOPE_LINK,
		.source = { 192, 0, 2, 1 },
		.mtu = 1000,
		.ifname = "back" };

	f->facts.net.links[1].mtu = 9000;
	assert_fine(f);
	f->facts.backends[1].route.mtu = 1000;
	assert_only(f, "mtu", "192.0.2.11", DOCTOR_WARN, "ip -4 route flush cache");
	assert_int_equal(net_state_add_route(&f->facts.all, &route), 0);
	assert_only(f, "mtu", "192.0.2.11", DOCTOR_WARN,
		"ip -4 route change 192.0.2.0/24 dev back table 254 proto 2 scope 253 src "
		"192.0.2.1");
	f->facts.backends[1].route.mtu = 0;
	f->facts.backends[1].route.ifname[0] = '\0';
	f->facts.net.links[2].mtu = 1400;
	assert_only(f, "mtu", "192.0.2.10", DOCTOR_WARN, "ip link set dev back mtu 1500");
	/* A tunnel has the MTU that its outside leaves it. */
	f->facts.net.links[2].type = ARPHRD_NONE;
	assert_only(f, "mtu", "192.0.2.10", DOCTOR_WARN, NULL);
}

static void test_rp_filter(void **state)
{
	struct fixture *f = *state;

	put(f, "/proc/sys/net/ipv4/conf/all/rp_filter", "1\n");
	assert_fine(f);
	strcpy(f->facts.backends[0].route.ifname, "front");
	assert_only(f, "rp_filter", "back", DOCTOR_WRONG,
		"echo 2 > /proc/sys/net/ipv4/conf/back/rp_filter");
	put(f, "/proc/sys/net/ipv4/conf/back/rp_filter", "2\n");
	assert_fine(f);
	take_away(f, "/proc/sys/net/ipv4/conf/back/rp_filter");
	check(f);
	assert_int_equal(doctor_worst(&f->report, "rp_filter", "back"), DOCTOR_UNKNOWN);
}

static void test_listener(void **state)
{
	struct fixture *f = *state;

	f->facts.binds[0].listening = false;
	assert_only(f, "listener", "[2001:db8:80::1]:80", DOCTOR_WRONG, "START");
	f->facts.sockets_error = -EACCES;
	check(f);
	assert_int_equal(doctor_worst(&f->report, "listener", NULL), DOCTOR_UNKNOWN);
}

static void test_forwarding(void **state)
{
	struct fixture *f = *state;

	put(f, "/proc/sys/net/ipv4/ip_forward", "0\n");
	assert_only(f, "forwarding", "net.ipv4.ip_forward", DOCTOR_WARN,
		"echo 1 > /proc/sys/net/ipv4/ip_forward");
	put(f, "/proc/sys/net/ipv4/ip_forward", "1\n");
	f->facts.default_v6.protocol = RTPROT_RA;
	strcpy(f->facts.default_v6.ifname, "front");
	put(f, "/proc/sys/net/ipv6/conf/front/forwarding", "1\n");
	put(f, "/proc/sys/net/ipv6/conf/front/accept_ra", "1\n");
	assert_only(f, "forwarding", "front", DOCTOR_WARN,
		"echo 2 > /proc/sys/net/ipv6/conf/front/accept_ra");
	put(f, "/proc/sys/net/ipv6/conf/front/accept_ra", "2\n");
	assert_fine(f);
}

static void test_limits(void **state)
{
	struct fixture *f = *state;

	put(f, "/proc/sys/net/core/somaxconn", "128\n");
	assert_only(f, "somaxconn", "net.core.somaxconn", DOCTOR_WARN,
		"echo 4096 > /proc/sys/net/core/somaxconn");
	put(f, "/proc/sys/net/core/somaxconn", "4096\n");
	put(f, "/proc/sys/net/netfilter/nf_conntrack_count", "801\n");
	assert_only(f, "conntrack", "net.netfilter.nf_conntrack_max", DOCTOR_WARN,
		"echo 2000 > /proc/sys/net/netfilter/nf_conntrack_max");
	put(f, "/proc/sys/net/netfilter/nf_conntrack_count", "951\n");
	assert_only(f, "conntrack", "net.netfilter.nf_conntrack_max", DOCTOR_WRONG,
		"echo 2000 > /proc/sys/net/netfilter/nf_conntrack_max");
	put(f, "/proc/sys/net/netfilter/nf_conntrack_count", "800\n");
	assert_fine(f);
}

static void test_ports(void **state)
{
	static const char usual[] = "echo '32768 60999' > /proc/sys/net/ipv4/ip_local_port_range";
	static const char wide[] = "echo '10240 65535' > /proc/sys/net/ipv4/ip_local_port_range";
	struct fixture *f = *state;

	put(f, "/proc/sys/net/ipv4/ip_local_port_range", "10001 10999");
	assert_only(f, "ports", "web", DOCTOR_WRONG, usual);
	put(f, "/proc/sys/net/ipv4/ip_local_port_range", "10000 10999");
	assert_only(f, "ports", "web", DOCTOR_WARN, usual);
	put(f, "/proc/sys/net/ipv4/ip_local_port_range", "10000 19999");
	assert_fine(f);
	f->facts.backends[1].in_use = 8000;
	assert_fine(f);
	f->facts.backends[1].in_use = 8001;
	assert_only(f, "ports", "192.0.2.11:80", DOCTOR_WARN, wide);
	put(f, "/proc/sys/net/ipv4/ip_local_port_range", "1024 65535");
	f->facts.backends[1].in_use = 60000;
	assert_only(f, "ports", "192.0.2.11:80", DOCTOR_WARN, NULL);
	f->facts.backends[1].in_use = 0;
	for (size_t i = 0; i < 3; i++) {
		static const char *const bad[] = { "", "32768", "60999 32768" };

		put(f, "/proc/sys/net/ipv4/ip_local_port_range", bad[i]);
		check(f);
		assert_int_equal(doctor_worst(&f->report, "ports", NULL), DOCTOR_UNKNOWN);
	}
}

static void test_networkd(void **state)
{
	struct fixture *f = *state;
	static const char begin[] =
		"mkdir -p /etc/systemd/networkd.conf.d && printf '[Network]\\n"
		"ManageForeignRoutes=no\\nManageForeignRoutingPolicyRules=no\\n' > "
		"/etc/systemd/networkd.conf.d/";
	char mend[256];

	/* Without networkd its folder may be there, but empty. */
	put(f, "/run/systemd/netif/links/3", "x");
	take_away(f, "/run/systemd/netif/links/3");
	assert_fine(f);
	put(f, "/run/systemd/netif/links/3", "x");
	snprintf(mend, sizeof(mend), "%s50-sixgate.conf", begin);
	assert_only(f, "networkd", "systemd-networkd", DOCTOR_WARN, mend);
	put(f, "/etc/systemd/networkd.conf",
		"ManageForeignRoutes=no\n[Other]\nManageForeignRoutes=no\n[Network]\n"
		"#ManageForeignRoutes=no\nManageForeignRoutingPolicyRules = No\n");
	assert_only(f, "networkd", "systemd-networkd", DOCTOR_WARN, mend);
	put(f, "/usr/lib/systemd/networkd.conf.d/10-a.conf",
		"[Network]\nManageForeignRoutes=false\n");
	assert_fine(f);
	/* A later name wins, and the same name in /etc hides it. */
	put(f, "/usr/lib/systemd/networkd.conf.d/90-b.conf",
		"[Network]\nManageForeignRoutes=yes\n");
	snprintf(mend, sizeof(mend), "%szz-sixgate.conf", begin);
	assert_only(f, "networkd", "systemd-networkd", DOCTOR_WARN, mend);
	put(f, "/etc/systemd/networkd.conf.d/90-b.conf", "");
	assert_fine(f);
	put(f, "/run/systemd/networkd.conf.d/zzz.conf", "[Network]\nManageForeignRoutes=1\n");
	assert_only(f, "networkd", "systemd-networkd", DOCTOR_WARN, NULL);
	put(f, "/etc/systemd/networkd.conf.d/zzz.conf", "[Network]\nManageForeignRoutes=rubbish\n");
	put(f, "/run/systemd/system/x", "");
	assert_fine(f);
	put(f, "/etc/systemd/networkd.conf.d/20-c.conf", "[Network]\nManageForeignRoutes=on\n");
	snprintf(mend, sizeof(mend), "%s50-sixgate.conf && systemctl try-restart systemd-networkd",
		begin);
	assert_only(f, "networkd", "systemd-networkd", DOCTOR_WARN, mend);
}

static void take_socket(void *userdata, const struct doctor_socket *found)
{
	char local[SOCKADDR_TEXT_MAX], remote[SOCKADDR_TEXT_MAX];
	char *out = userdata;
	size_t len = strlen(out);

	snprintf(out + len, 512 - len, "%s %s %d;", sockaddr_format(&found->local, local),
		sockaddr_format(&found->remote, remote), found->listening);
}

static void test_sockets(void **state)
{
	struct fixture *f = *state;
	char out[512] = "";

	put(f, "/proc/self/net/tcp",
		"  sl  local_address rem_address   st tx_queue\n"
		"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n"
		"   1: 010200C0:8001 0A0200C0:0050 01 00000000:00000000\n"
		"   2: 010200C0:8001 0A0200C0\n"
		"   3: 010200C:8001 0A0200C0:0050 01\n"
		"   4: zz0200C0:8001 0A0200C0:0050 01\n"
		"rubbish\n\n");
	assert_int_equal(doctor_proc_sockets(f->root, IPPROTO_TCP, AF_INET, take_socket, out), 0);
	assert_string_equal(out, "127.0.0.1:8080 0.0.0.0:0 1;192.0.2.1:32769 192.0.2.10:80 0;");
	out[0] = '\0';
	put(f, "/proc/self/net/tcp6",
		"   0: B80D0120000080000000000001000000:0050 "
		"00000000000000000000000000000000:0000 0A 0\n");
	assert_int_equal(doctor_proc_sockets(f->root, IPPROTO_TCP, AF_INET6, take_socket, out), 0);
	assert_string_equal(out, "[2001:db8:80::1]:80 [::]:0 1;");
	take_away(f, "/proc/self/net/tcp6");
	assert_int_equal(
		doctor_proc_sockets(f->root, IPPROTO_TCP, AF_INET6, take_socket, out), -ENOENT);
}

static void test_udp_sockets(void **state)
{
	struct fixture *f = *state;
	char out[512] = "";

	put(f, "/proc/self/net/udp",
		"   sl  local_address rem_address   st tx_queue rx_queue\n"
		" 1234: 0100007F:0035 00000000:0000 07 00000000:00000000\n"
		" 1235: 010200C0:8001 0A0200C0:0050 01 00000000:00000000\n"
		" 1236: 010200C0:8001 0A0200C0:0050 0\n");
	assert_int_equal(doctor_proc_sockets(f->root, IPPROTO_UDP, AF_INET, take_socket, out), 0);
	assert_string_equal(out, "127.0.0.1:53 0.0.0.0:0 1;192.0.2.1:32769 192.0.2.10:80 0;");
	out[0] = '\0';
	put(f, "/proc/self/net/udp6",
		"    0: B80D0120000080000000000001000000:0050 "
		"00000000000000000000000000000000:0000 07 0\n"
		"    1: B80D0120000080000000000001000000:0050 "
		"B80D0120000080000000000002000000:0050 0A 0\n");
	assert_int_equal(doctor_proc_sockets(f->root, IPPROTO_UDP, AF_INET6, take_socket, out), 0);
	assert_string_equal(
		out, "[2001:db8:80::1]:80 [::]:0 1;[2001:db8:80::1]:80 [2001:db8:80::2]:80 0;");
	take_away(f, "/proc/self/net/udp");
	assert_int_equal(
		doctor_proc_sockets(f->root, IPPROTO_UDP, AF_INET, take_socket, out), -ENOENT);
}

/* ---- UDP ---- */

static const struct doctor_finding *find(struct fixture *f, const char *name, const char *subject)
{
	check(f);
	for (size_t i = 0; i < f->report.n_findings; i++)
		if (strcmp(f->report.findings[i].check, name) == 0 &&
			strcmp(f->report.findings[i].subject, subject) == 0)
			return &f->report.findings[i];
	show(f);
	fail_msg("no finding %s of %s", name, subject);
	return NULL;
}

static void test_udp_backends(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *owner;
		uint8_t protocol;
		const char *addr;
	} expected[] = {
		{ "web", IPPROTO_TCP, "192.0.2.10:80" },
		{ "web", IPPROTO_TCP, "192.0.2.11:80" },
		{ "web", IPPROTO_UDP, "192.0.2.10:80" },
		{ "web", IPPROTO_UDP, "192.0.2.11:80" },
		{ "dns", IPPROTO_UDP, "192.0.2.12:80" },
	};
	char text[SOCKADDR_TEXT_MAX];

	assert_fine(f);
	assert_int_equal(f->facts.n_backends, 5);
	for (size_t i = 0; i < 5; i++) {
		assert_string_equal(f->facts.backends[i].owner, expected[i].owner);
		assert_int_equal(f->facts.backends[i].protocol, expected[i].protocol);
		assert_string_equal(
			sockaddr_format(&f->facts.backends[i].addr, text), expected[i].addr);
	}
}

static void test_udp_listener(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(find(f, "listener", "[2001:db8:80::1]:80/udp")->text,
		"a UDP socket is bound to [2001:db8:80::1]:80");
	f->facts.binds[2].listening = false;
	assert_only(f, "listener", "[2001:db8:80::1]:80/udp", DOCTOR_WRONG, "START");
	assert_string_equal(find(f, "listener", "[2001:db8:80::1]:80/udp")->text,
		"no UDP socket is bound to [2001:db8:80::1]:80: the gateway does not run here");
	assert_int_equal(doctor_worst(&f->report, "listener", "[2001:db8:80::1]:80"), DOCTOR_OK);
	f->facts.sockets_error = -EACCES;
	assert_int_equal(find(f, "listener", "[2001:db8:80::1]:80/udp")->status, DOCTOR_UNKNOWN);
}

static void test_udp_mtu(void **state)
{
	struct fixture *f = *state;
	struct config_listener *dns = &f->config->listeners[1], *shared = &f->config->listeners[2];

	assert_string_equal(find(f, "mtu", "192.0.2.12")->text,
		"packets to 192.0.2.12 of dns may have 1500 bytes: datagrams with up to 1420 "
		"bytes are passed on in one piece, larger ones in fragments");
	shared->oversize = CONFIG_OVERSIZE_TOO_BIG;
	dns->identity = IDENTITY_NONE;
	assert_string_equal(find(f, "mtu", "192.0.2.12")->text,
		"packets to 192.0.2.12 of dns may have 1500 bytes: datagrams with up to 1472 "
		"bytes are passed on in one piece, larger ones in fragments");
	assert_string_equal(find(f, "mtu", "192.0.2.11")->text,
		"packets to 192.0.2.11 of web may have 1500 bytes: datagrams with up to 1420 "
		"bytes are passed on in one piece, larger ones are not passed on");
	f->facts.net.links[1].mtu = f->facts.net.links[2].mtu = 80;
	assert_string_equal(find(f, "mtu", "192.0.2.11")->text,
		"packets to 192.0.2.11 of web may have 80 bytes");
	f->facts.net.links[1].mtu = f->facts.net.links[2].mtu = 1400;
	f->facts.backends[4].route.mtu = 1300;
	assert_only(f, "mtu", "192.0.2.12", DOCTOR_WARN, "ip -4 route flush cache");
}

static void test_udp_ports(void **state)
{
	struct fixture *f = *state;
	static const char usual[] = "echo '32768 60999' > /proc/sys/net/ipv4/ip_local_port_range";

	assert_string_equal(find(f, "ports", "dns/udp")->text,
		"pool dns has 28232 source ports for UDP sessions");
	/* One port serves one session, whichever of the servers it is with. */
	f->facts.backends[2].in_use = f->facts.backends[3].in_use = 11293;
	assert_only(f, "ports", "web/udp", DOCTOR_WARN,
		"echo '10240 65535' > /proc/sys/net/ipv4/ip_local_port_range");
	f->facts.backends[3].in_use--;
	assert_fine(f);
	put(f, "/proc/sys/net/ipv4/ip_local_port_range", "10001 19999");
	check(f);
	assert_int_equal(doctor_count(&f->report, DOCTOR_WARN), 3);
	assert_string_equal(find(f, "ports", "dns/udp")->mend, usual);
}

/* A UDP listener has no accept queue. */
static void test_udp_backlog(void **state)
{
	struct fixture *f = *state;

	f->config->listeners[1].backlog = f->config->listeners[2].backlog = 100000;
	assert_fine(f);
	f->config->listeners[0].backlog = 100000;
	assert_only(f, "somaxconn", "net.core.somaxconn", DOCTOR_WARN,
		"echo 100000 > /proc/sys/net/core/somaxconn");
}

/* TCP has another address of the loopback than UDP, so that ports may be the same. */
static int open_local(int type, struct sockaddr_any *ret_local)
{
	struct sockaddr_any addr = { .in.sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	addr.in.sin_addr.s_addr =
		htonl(type == SOCK_STREAM ? INADDR_LOOPBACK : INADDR_LOOPBACK + 1);
	assert_int_equal(bind(fd, &addr.sa, sockaddr_len(&addr)), 0);
	assert_int_equal(getsockname(fd, &addr.sa, &len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 1), 0);
	*ret_local = addr;
	return fd;
}

/* Clients' addresses are those of real sockets; so is a server's. */
static struct config *real_config(
	const struct sockaddr_any *binds, const struct sockaddr_any *server)
{
	static const char *const protocols[] = { "tcp", "udp" };
	struct config *config = config_new();
	struct config_listener *listener;
	char text[SOCKADDR_TEXT_MAX];
	struct config_pool *pool;
	const char *reason = "";

	assert_non_null(config);
	assert_int_equal(config_add_pool(config, "p", &pool, &reason), 0);
	sockaddr_format(server, text);
	assert_int_equal(config_add_backend(pool, text, 1, &reason), 0);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(config_add_listener(config, protocols[i], &listener, &reason), 0);
		assert_int_equal(config_set_protocol(listener, protocols[i], &reason), 0);
		for (size_t b = 0; b < 2; b++) {
			sockaddr_format(&binds[b], text);
			assert_int_equal(config_add_bind(config, listener, text, &reason), 0);
		}
	}
	return config;
}

static void test_udp_and_tcp_are_told_apart(void **state)
{
	struct sockaddr_any addrs[2], server, client;
	struct doctor_report report = { 0 };
	int fds[4] = { open_local(SOCK_STREAM, &addrs[0]), open_local(SOCK_DGRAM, &addrs[1]),
		open_local(SOCK_STREAM, &server), open_local(SOCK_DGRAM, &client) };
	struct doctor_facts facts;
	struct config *config = real_config(addrs, &server);

	(void)state;
	assert_int_equal(connect(fds[3], &server.sa, sockaddr_len(&server)), 0);
	assert_int_equal(doctor_facts_gather(config, "x", &facts), 0);
	assert_int_equal(facts.sockets_error, 0);
	assert_int_equal(facts.n_binds, 4);
	for (size_t i = 0; i < 4; i++) /* TCP at the first address, UDP at the second */
		assert_int_equal(facts.binds[i].listening, i == 0 || i == 3);
	assert_int_equal(facts.n_backends, 2);
	assert_int_equal(facts.backends[0].in_use, 0);
	assert_int_equal(facts.backends[1].in_use, 1);
	/* Just the server of TCP is tried. */
	facts.backends[0].error = facts.backends[1].error = 0;
	doctor_check_connect(&facts, &report);
	assert_int_equal(report.n_findings, 2);
	assert_string_equal(report.findings[0].check, "connect");
	assert_string_equal(report.findings[1].check, "header");
	assert_int_equal(doctor_count(&report, DOCTOR_OK), 2);
	doctor_report_clear(&report);
	facts.backends[0].served = false;
	doctor_check_connect(&facts, &report);
	assert_int_equal(report.n_findings, 0);
	doctor_report_clear(&report);
	doctor_facts_clear(&facts);
	config_free(config);
	for (size_t i = 0; i < 4; i++)
		close(fds[i]);
}

/* What a terminal would obey is not passed on; and no command that would be another than shown. */
static void test_clean(void **state)
{
	struct fixture *f = *state;

	doctor_add(
		&f->report, "link", "a\x1b[2Jb", DOCTOR_WRONG, strdup("ip \n x"), "%s", "\x9b\r\n");
	assert_string_equal(f->report.findings[0].subject, "a?[2Jb");
	assert_string_equal(f->report.findings[0].text, "???");
	assert_null(f->report.findings[0].mend);
}

int main(void)
{
#define TEST(name)     cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_UDP(name) cmocka_unit_test_setup_teardown(name, set_up_udp, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_right),
		TEST(test_link),
		TEST(test_link_name_in_a_command),
		TEST(test_ipv6),
		TEST(test_address),
		TEST(test_address_of_nobody),
		TEST(test_source),
		TEST(test_rule),
		TEST(test_routes),
		TEST(test_nft),
		TEST(test_backend),
		TEST(test_mtu),
		TEST(test_rp_filter),
		TEST(test_listener),
		TEST(test_forwarding),
		TEST(test_limits),
		TEST(test_ports),
		TEST(test_networkd),
		TEST(test_sockets),
		TEST(test_udp_sockets),
		TEST_UDP(test_udp_backends),
		TEST_UDP(test_udp_listener),
		TEST_UDP(test_udp_mtu),
		TEST_UDP(test_udp_ports),
		TEST_UDP(test_udp_backlog),
		cmocka_unit_test(test_udp_and_tcp_are_told_apart),
		TEST(test_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
