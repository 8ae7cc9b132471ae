#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct fixture {
	struct config *config;
	struct config_listener *listener;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *reason = NULL;

	assert_non_null(f);
	f->config = config_new();
	assert_non_null(f->config);
	assert_int_equal(config_add_listener(f->config, "web", &f->listener, &reason), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	config_free(f->config);
	free(f);
	return 0;
}

/* The reason by its address: the call that sets it may stand in the same line. */
static void assert_refused(
	int err, const char *const *reason, const char *expected, const char *text)
{
	if (err != -EINVAL)
		fail_msg("\"%s\" was taken (%d)", text, err);
	if (!*reason || strcmp(*reason, expected) != 0)
		fail_msg("\"%s\": %s", text, *reason ? *reason : "no reason");
}

static void add(struct fixture *f, const char *text)
{
	const char *reason = NULL;

	if (config_add_bind(f->config, f->listener, text, &reason) != 0)
		fail_msg("\"%s\": %s", text, reason);
}

static void clear(struct fixture *f)
{
	f->listener->n_binds = 0;
}

/* ---- binds ---- */

static void test_bind_forms(void **state)
{
	static const struct {
		const char *text, *addr;
		uint8_t prefix_len;
		uint16_t port_max;
		bool diverted;
		const char *back; /* NULL: as it was written */
	} cases[] = {
		{ "[2001:db8::1]:80", "[2001:db8::1]:80", 128, 80, false, NULL },
		{ "192.0.2.1:80", "192.0.2.1:80", 32, 80, false, NULL },
		{ "[2001:db8::1/128]:80", "[2001:db8::1]:80", 128, 80, false, "[2001:db8::1]:80" },
		{ "192.0.2.1/32:80", "192.0.2.1:80", 32, 80, false, "192.0.2.1:80" },
		{ "[2001:db8:80::/64]:443", "[2001:db8:80::]:443", 64, 443, true, NULL },
		{ "203.0.113.0/24:80", "203.0.113.0:80", 24, 80, true, NULL },
		{ "[8000::/2]:443", "[8000::]:443", 2, 443, true, NULL },
		{ "128.0.0.0/2:443", "128.0.0.0:443", 2, 443, true, NULL },
		{ "[2001:db8::1]:1000-2000", "[2001:db8::1]:1000", 128, 2000, true, NULL },
		{ "192.0.2.1:1000-2000", "192.0.2.1:1000", 32, 2000, true, NULL },
		{ "192.0.2.1:80-80", "192.0.2.1:80", 32, 80, false, "192.0.2.1:80" },
		{ "[2001:db8::7]:*", "[2001:db8::7]:1", 128, 65535, true, NULL },
		{ "[2001:db8::7]:1-65535", "[2001:db8::7]:1", 128, 65535, true, "[2001:db8::7]:*" },
		{ "192.0.2.1:*", "192.0.2.1:1", 32, 65535, true, NULL },
		{ "[2001:db8:64::/96]:*", "[2001:db8:64::]:1", 96, 65535, true, NULL },
		{ "[2001:db8::/127]:65535", "[2001:db8::]:65535", 127, 65535, true, NULL },
		{ "192.0.2.2/31:1-2", "192.0.2.2:1", 31, 2, true, NULL },
		{ "[::]:80", "[::]:80", 0, 80, false, NULL },
		{ "[::/128]:80", "[::]:80", 0, 80, false, "[::]:80" },
		{ "0.0.0.0:80", "0.0.0.0:80", 0, 80, false, NULL },
		{ "[::]:2-65535", "[::]:2", 0, 65535, true, NULL },
		{ "0.0.0.0:1-65534", "0.0.0.0:1", 0, 65534, true, NULL },
		{ "[fe80::1%1]:80", "[fe80::1%1]:80", 128, 80, false, NULL },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		char addr[SOCKADDR_TEXT_MAX], text[CONFIG_BIND_TEXT_MAX];
		const struct config_bind *bind;

		clear(f);
		add(f, cases[i].text);
		assert_int_equal(f->listener->n_binds, 1);
		bind = f->listener->binds;
		assert_string_equal(sockaddr_format(&bind->addr, addr), cases[i].addr);
		assert_int_equal(bind->prefix_len, cases[i].prefix_len);
		assert_int_equal(bind->port_max, cases[i].port_max);
		assert_int_equal(config_bind_diverted(bind), cases[i].diverted);
		assert_int_equal(config_needs_network(f->config), cases[i].diverted);
		assert_string_equal(config_bind_text(bind, text),
			cases[i].back ? cases[i].back : cases[i].text);
	}
}

static void test_bind_of_two_parts(void **state)
{
	struct fixture *f = *state;
	char text[CONFIG_BIND_TEXT_MAX];

	add(f, "*:1000-2000");
	assert_int_equal(f->listener->n_binds, 2);
	assert_string_equal(config_bind_text(&f->listener->binds[0], text), "[::]:1000-2000");
	assert_string_equal(config_bind_text(&f->listener->binds[1], text), "0.0.0.0:1000-2000");
	assert_int_equal(f->listener->binds[0].prefix_len, 0);
	assert_int_equal(f->listener->binds[1].prefix_len, 0);
	assert_true(config_bind_diverted(&f->listener->binds[1]));
}

/* The longest address and ports that there are. */
static void test_bind_text_fits(void **state)
{
	struct config_bind bind = { .prefix_len = 100, .port_max = 65535 };
	char text[CONFIG_BIND_TEXT_MAX];

	(void)state;
	bind.addr.in6.sin6_family = AF_INET6;
	bind.addr.in6.sin6_scope_id = UINT32_MAX;
	memset(&bind.addr.in6.sin6_addr, 0xff, 16);
	sockaddr_set_port(&bind.addr, 10000);
	assert_string_equal(config_bind_text(&bind, text),
		"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295/100]:10000-65535");
}

#define ALL                                                                              \
	"all ports of all addresses would take in this machine's own services: name an " \
	"address, or fewer ports"
#define NO_LEN                                                                            \
	"a prefix has a length of 1 or more: write all addresses of this machine as '*'," \
	" like '*:8080'"
#define HOST_BITS  "the bits beyond the length of a prefix must be zero, like in [2001:db8::/64]:80"
#define LEN	   "the length of a prefix is a number up to 128, or to 32 for IPv4"
#define PORT	   "a port is a number from 1 to 65535, a range like 1000-2000, or * for all"
#define LESSER	   "a range of ports begins with the lesser one, like 1000-2000"
#define NOBODY	   "this prefix takes in addresses that nobody can connect to: name a narrower one"
#define MAPPED	   "write the IPv4 address itself, like 192.0.2.1:80"
#define LINK_LOCAL "a link-local address stands alone, with one port, like [fe80::1%eth0]:80"
#define MULTICAST  "a client cannot connect to a multicast address"
#define BRACKETS   "the length of an IPv6 prefix stands in the brackets: [2001:db8::/64]:80"
#define NO_ADDRESS "this is no address: write 192.0.2.1:80 or [2001:db8::1]:80"
#define V6_FORM	   "write an IPv6 address with its port as [2001:db8::1]:80"
#define TAKEN	   "a listener has this address already: each may be bound once"
#define BEGINS                                                                              \
	"another bind begins at this address and port, where one socket can be: begin one " \
	"of the two at another port or address"

static void test_binds_refused(void **state)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{ "[::]:*", ALL },
		{ "*:*", ALL },
		{ "*:1-65535", ALL },
		{ "0.0.0.0:*", ALL },
		{ "[::/128]:*", ALL },
		{ "[::/0]:*", NO_LEN },
		{ "[::/0]:80", NO_LEN },
		{ "0.0.0.0/0:80", NO_LEN },
		{ "[2001:db8::1/0]:80", NO_LEN },
		{ "[2001:db8::1/64]:80", HOST_BITS },
		{ "[2001:db8::/28]:80", HOST_BITS },
		{ "[2001:db8::1/127]:80", HOST_BITS },
		{ "192.0.2.1/24:80", HOST_BITS },
		{ "192.0.2.2/30:80", HOST_BITS },
		{ "[2001:db8::/129]:80", LEN },
		{ "[2001:db8::/1280]:80", LEN },
		{ "[2001:db8::/]:80", LEN },
		{ "[2001:db8::/-1]:80", LEN },
		{ "[2001:db8::/6 4]:80", LEN },
		{ "[2001:db8::/64/64]:80", LEN },
		{ "192.0.2.0/33:80", LEN },
		{ "192.0.2.0/255.255.255.0:80", LEN },
		{ "192.0.2.0/:80", LEN },
		{ "[2001:db8::]/64:80", BRACKETS },
		{ "[2001:db8::/64:80", V6_FORM },
		{ "[2001:db8::/64]x:80", V6_FORM },
		{ "[2001:db8::/64]", V6_FORM },
		{ "2001:db8::/64", "write an IPv6 address in brackets: [2001:db8::1]:80" },
		{ "192.0.2.0/24", "a port is missing: write 192.0.2.1:80 or [2001:db8::1]:80" },
		{ "/24:80", NO_ADDRESS },
		{ "*/24:80", NO_ADDRESS },
		{ "[/64]:80", NO_ADDRESS },
		{ "192.0.2.1:2000-1000", LESSER },
		{ "*:81-80", LESSER },
		{ "192.0.2.1:0-80", PORT },
		{ "192.0.2.1:80-0", PORT },
		{ "192.0.2.1:80-", PORT },
		{ "192.0.2.1:-80", PORT },
		{ "192.0.2.1:-", PORT },
		{ "192.0.2.1:80-90-100", PORT },
		{ "192.0.2.1:80 - 90", PORT },
		{ "192.0.2.1:1-65536", PORT },
		{ "192.0.2.1:**", PORT },
		{ "192.0.2.1:1-*", PORT },
		{ "192.0.2.1:80/24", PORT },
		{ "*:1-99999999999999999999999999999999999999999999", PORT },
		{ "[::/1]:80", NOBODY },
		{ "[::/64]:80", NOBODY },
		{ "0.0.0.0/8:80", NOBODY },
		{ "[::ffff:0:0/96]:80", MAPPED },
		{ "[::ffff:192.0.2.0/120]:80", MAPPED },
		{ "[::fffe:0:0/95]:80", MAPPED },
		{ "[fe80::/64]:80", LINK_LOCAL },
		{ "[fe80::/9]:80", LINK_LOCAL },
		{ "[fe80::%1/64]:80", LINK_LOCAL },
		{ "[fe80::1]:80-81", LINK_LOCAL },
		{ "[fe80::1%1]:80-81", LINK_LOCAL },
		{ "[2001:db8::%1/64]:80", LINK_LOCAL },
		{ "[fe80::1]:80",
			"a link-local address needs its interface, like [fe80::1%eth0]:80" },
		{ "[ff02::/16]:80", MULTICAST },
		{ "[ff02::1]:80-81", MULTICAST },
		{ "224.0.0.0/4:80", MULTICAST },
		{ "192.0.0.0/2:80", MULTICAST },
		{ "224.0.0.1:*", MULTICAST },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *reason = NULL;
		int err = config_add_bind(f->config, f->listener, cases[i].text, &reason);

		assert_refused(err, &reason, cases[i].reason, cases[i].text);
		assert_int_equal(f->listener->n_binds, 0);
	}
}

static void test_binds_in_the_way(void **state)
{
	static const struct {
		const char *first, *second, *reason; /* NULL: no matter */
	} cases[] = {
		{ "[2001:db8::/64]:443", "[2001:db8:0:0::/64]:443", TAKEN },
		{ "192.0.2.1:*", "192.0.2.1/32:1-65535", TAKEN },
		{ "192.0.2.1:80", "192.0.2.1:80-80", TAKEN },
		{ "[2001:db8::/64]:443", "[2001:db8::]:443", BEGINS },
		{ "[2001:db8::/64]:443", "[2001:db8::/32]:443", BEGINS },
		{ "[2001:db8::1]:80", "[2001:db8::1]:80-90", BEGINS },
		{ "192.0.2.1:1", "192.0.2.1:*", BEGINS },
		{ "*:80", "[::]:80-90", BEGINS },
		{ "0.0.0.0:80-90", "*:80", BEGINS },
		{ "[2001:db8::/64]:443", "[2001:db8::1]:443", NULL },
		{ "[2001:db8::/64]:443", "[2001:db8::/32]:442-443", NULL },
		{ "*:1000-2000", "*:1500", NULL },
		{ "*:80", "203.0.113.0/24:80", NULL },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *reason = NULL;
		int err;

		clear(f);
		add(f, cases[i].first);
		err = config_add_bind(f->config, f->listener, cases[i].second, &reason);
		if (cases[i].reason)
			assert_refused(err, &reason, cases[i].reason, cases[i].second);
		else
			assert_int_equal(err, 0);
	}
}

/* A dual-stack socket takes what the ports of both have in common. */
static void test_overlap_of_ranges(void **state)
{
	static const struct {
		const char *v6, *v4;
		bool overlap;
	} cases[] = {
		{ "[::]:1000-2000", "192.0.2.1:2000", true },
		{ "[::]:1000-2000", "192.0.2.1:2001", false },
		{ "[::]:1000-2000", "192.0.2.1:999", false },
		{ "[::]:1000-2000", "192.0.2.1:1-1000", true },
		{ "[::]:80", "192.0.2.0/24:*", true },
		{ "[::]:80", "192.0.2.0/24:81-90", false },
		{ "[2001:db8::1]:80", "192.0.2.1:80", false },
	};
	struct fixture *f = *state;

	f->listener->v6only = false;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct config_bind *v6 = NULL, *v4 = NULL;
		char text[CONFIG_BIND_TEXT_MAX];
		bool overlap;

		clear(f);
		add(f, cases[i].v6);
		add(f, cases[i].v4);
		overlap = config_find_overlap(f->config, f->listener, &v6, &v4);
		if (overlap != cases[i].overlap)
			fail_msg("%s and %s", cases[i].v6, cases[i].v4);
		if (!overlap)
			continue;
		assert_string_equal(config_bind_text(v6, text), cases[i].v6);
		assert_string_equal(config_bind_text(v4, text), cases[i].v4);
	}
}

/* ---- identity ---- */

#define NO_IPV4                                                                               \
	"only IPv4 clients can be seen by servers as they are, and this listener takes none:" \
	" bind an IPv4 address, or write proxy-v2"
#define NO_CHOICE                                                                          \
	"IPv4 servers cannot see IPv6 clients as they are, and there is no silent choice:" \
	" say with identity-ipv6 what they get, proxy-v2, proxy-v1, none or refuse"
#define NOT_TRANSPARENT                                                                  \
	"this goes with identity transparent only: all clients get what identity says; " \
	"remove it"

static void test_transparent(void **state)
{
	static const struct {
		const char *bind;
		bool v6only, v6_given;
		const char *reason;
	} cases[] = {
		{ "192.0.2.1:80", true, false, NULL },
		{ "192.0.2.1:80", true, true, NULL },
		{ "*:80", true, true, NULL },
		{ "[::]:80", false, true, NULL },
		{ "*:80", true, false, NO_CHOICE },
		{ "[::]:80", false, false, NO_CHOICE },
		{ "[::]:80", true, true, NO_IPV4 },
		{ "[2001:db8::1]:80", false, true, NO_IPV4 },
		{ "[2001:db8::/64]:80", true, false, NO_IPV4 },
	};
	struct fixture *f = *state;

	f->listener->identity = IDENTITY_TRANSPARENT;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *reason = NULL;
		int err;

		clear(f);
		add(f, cases[i].bind);
		f->listener->v6only = cases[i].v6only;
		f->listener->identity_v6 = IDENTITY_PROXY_V1;
		err = config_settle_identity(f->listener, cases[i].v6_given, &reason);
		if (cases[i].reason) {
			assert_refused(err, &reason, cases[i].reason, cases[i].bind);
			continue;
		}
		assert_int_equal(err, 0);
		assert_int_equal(f->listener->identity_v6,
			cases[i].v6_given ? IDENTITY_PROXY_V1 : IDENTITY_REFUSE);
		assert_true(config_is_transparent(f->listener));
		assert_true(config_needs_network(f->config));
	}
	f->listener->embedded = true;
	f->listener->n_binds = 0;
	add(f, "[2001:db8::/96]:*");
	{
		const char *reason = NULL;
		int err = config_settle_identity(f->listener, true, &reason);

		assert_refused(err, &reason,
			"clients of an embedded destination have IPv6 addresses, which no IPv4 "
			"server can see: write proxy-v2, proxy-v1 or none",
			"embedded");
	}
}

static void test_not_transparent(void **state)
{
	struct fixture *f = *state;
	const char *reason = NULL;

	add(f, "*:80");
	f->listener->identity = IDENTITY_NONE;
	assert_int_equal(config_settle_identity(f->listener, false, &reason), 0);
	assert_int_equal(f->listener->identity_v6, IDENTITY_NONE);
	assert_false(config_is_transparent(f->listener));
	assert_false(config_needs_network(f->config));
	assert_refused(config_settle_identity(f->listener, true, &reason), &reason, NOT_TRANSPARENT,
		"none");
	f->config->network.given = true;
	assert_true(config_needs_network(f->config));
}

static void test_identity_words(void **state)
{
	enum identity identity = IDENTITY_COUNT;
	const char *reason = NULL;

	(void)state;
	for (unsigned i = 0; i < IDENTITY_COUNT; i++) {
		const char *word = config_identity_name((enum identity)i);
		int err = config_parse_identity(word, &identity, &reason);

		if (i == IDENTITY_REFUSE)
			assert_refused(err, &reason,
				"identity is proxy-v2, proxy-v1, none or transparent", word);
		else
			assert_int_equal(identity, i);
		err = config_parse_identity_v6(word, &identity, &reason);
		if (i == IDENTITY_TRANSPARENT)
			assert_refused(err, &reason,
				"identity-ipv6 is proxy-v2, proxy-v1, none or refuse", word);
		else
			assert_int_equal(identity, i);
	}
	assert_string_equal(config_identity_name(IDENTITY_TRANSPARENT), "transparent");
	assert_string_equal(config_identity_name(IDENTITY_REFUSE), "refuse");
}

/* ---- embedded destinations ---- */

static void test_embedded_binds(void **state)
{
	static const char form[] = "the server is named within an IPv6 prefix of 32, 40, 48, 56, "
				   "64 or 96 bits, like [2001:db8:64::/96]:*";
	static const char bits[] = "bits 64 to 71 of a prefix that servers are named within must "
				   "be zero (RFC 6052), like in [2001:db8:64::/96]:*";
	static const char global[] = "this prefix is for global servers only (RFC 6052): allow no "
				     "others, or bind a prefix of your own";
	static const struct {
		const char *bind, *reason;
	} cases[] = {
		{ "[2001:db8::/32]:80", NULL },
		{ "[2001:db8::/40]:*", NULL },
		{ "[2001:db8::/48]:*", NULL },
		{ "[2001:db8::/56]:*", NULL },
		{ "[2001:db8::/64]:1-2", NULL },
		{ "[2001:db8::/96]:*", NULL },
		{ "[64:ff9b:1::/96]:*", NULL },
		{ "[64:ff9b::/64]:*", NULL },
		{ "[2001:db8::ff:0:0:0/96]:*", NULL },
		{ "[2001:db8:0:0:0100::/96]:*", bits },
		{ "[2001:db8:0:0:ff00::/96]:*", bits },
		{ "[2001:db8::/33]:*", form },
		{ "[2001:db8::/72]:*", form },
		{ "[2001:db8::]:80", form },
		{ "[::]:80", form },
		{ "192.0.2.1:80", form },
		{ "192.0.0.0/24:80", form },
		{ "128.0.0.0/2:80", form },
		{ "[64:ff9b::/96]:*", global },
	};
	struct fixture *f = *state;
	const char *reason = NULL;

	assert_int_equal(config_add_allow(f->listener, "0.0.0.0/0", &reason), 0);
	clear(f);
	add(f, "[64:ff9b::/96]:*");
	assert_int_equal(config_check_embedded(f->listener, f->listener->binds, &reason), 0);
	assert_int_equal(config_add_allow(f->listener, "10.1.0.0/16", &reason), 0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		int err;

		clear(f);
		add(f, cases[i].bind);
		err = config_check_embedded(f->listener, f->listener->binds, &reason);
		if (cases[i].reason)
			assert_refused(err, &reason, cases[i].reason, cases[i].bind);
		else if (err)
			fail_msg("%s: %s", cases[i].bind, reason);
	}
}

static void test_allow(void **state)
{
	static const char form[] =
		"servers have IPv4 addresses: write 192.0.2.10, or a prefix like 10.0.0.0/8";
	static const char host_bits[] =
		"the bits beyond the length of a prefix must be zero, like in 10.0.0.0/8";
	static const char never[] = "no server can have such an address: name unicast addresses";
	static const struct {
		const char *text, *reason;
	} cases[] = { { "", form }, { "2001:db8::1", form }, { "::/0", form },
		{ "10.0.0.0/", form }, { "10.0.0.0/33", form }, { "10.0.0.0/8:80", form },
		{ "10/8", form }, { "*", form }, { "server", form }, { "10.0.0.1/8", host_bits },
		{ "0.0.0.1/0", host_bits }, { "192.0.2.1/31", host_bits }, { "0.0.0.0", never },
		{ "0.0.0.0/8", never }, { "224.0.0.0/4", never }, { "239.1.0.0/16", never },
		{ "255.255.255.255", never }, { "10.0.0.0/8", "the listener allows this already" },
		{ "192.0.2.10/32", "the listener allows this already" } };
	struct fixture *f = *state;
	const char *reason = NULL;
	char text[32];

	assert_int_equal(config_add_allow(f->listener, "10.0.0.0/8", &reason), 0);
	assert_int_equal(config_add_allow(f->listener, "192.0.2.10", &reason), 0);
	assert_int_equal(config_add_allow(f->listener, "0.0.0.0/0", &reason), 0);
	assert_int_equal(config_add_allow(f->listener, "10.0.0.0/9", &reason), 0);
	assert_int_equal(f->listener->allow[0].addr, 0x0a000000);
	assert_int_equal(f->listener->allow[0].len, 8);
	assert_int_equal(f->listener->allow[1].addr, 0xc000020a);
	assert_int_equal(f->listener->allow[1].len, 32);
	assert_int_equal(f->listener->allow[2].len, 0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		int err;

		reason = NULL;
		err = config_add_allow(f->listener, cases[i].text, &reason);
		assert_refused(err, &reason, cases[i].reason, cases[i].text);
	}
	assert_int_equal(f->listener->n_allow, 4);
	for (unsigned i = 4; i < 256; i++) {
		snprintf(text, sizeof(text), "192.168.0.%u", i);
		assert_int_equal(config_add_allow(f->listener, text, &reason), 0);
	}
	assert_refused(config_add_allow(f->listener, "9.9.9.9", &reason), &reason,
		"a listener may allow 256 addresses and prefixes", "9.9.9.9");
}

/* ---- pools ---- */

static void test_backend_without_port(void **state)
{
	static const char form[] = "a backend is an IPv4 address or a name, and a port, like "
				   "192.0.2.10:80 or db.example:5432";
	static const char *const bad[] = { "*", ":*", "*:*", "[2001:db8::1]:*", "192.0.2.10:**",
		"192.0.2.10:80:*", "192.0.2.10:1-2", "192.0.2.0/24:80",
		"0000000000000000192.0.2.1:*" };
	struct fixture *f = *state;
	char text[SOCKADDR_TEXT_MAX];
	struct config_pool *pool;
	const char *reason = NULL;

	assert_int_equal(config_add_pool(f->config, "p", &pool, &reason), 0);
	assert_int_equal(config_add_backend(pool, "192.0.2.10:*", 1, &reason), 0);
	assert_int_equal(config_add_backend(pool, "192.0.2.10:80", 1, &reason), 0);
	assert_string_equal(sockaddr_format(&pool->backends[0].addr, text), "192.0.2.10:0");
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_refused(config_add_backend(pool, bad[i], 1, &reason), &reason, form, bad[i]);
	assert_refused(config_add_backend(pool, "192.0.2.10:*", 1, &reason), &reason,
		"the pool has this backend already: give it a weight instead", "192.0.2.10:*");
	assert_refused(config_add_backend(pool, "0.0.0.0:*", 1, &reason), &reason,
		"no server can have this address: name one unicast address", "0.0.0.0:*");
}

/* ---- the network ---- */

static void test_network_addresses(void **state)
{
	static const char form[] = "this is no address: write 192.0.2.1 or 2001:db8::1, with or "
				   "without a length like /24";
	static const char unicast[] =
		"no interface can have this address: name one unicast address";
	static const char loopback[] =
		"nobody reaches a loopback address from outside: name another";
	static const char twice[] = "section network has this address already: write it once";
	static const char both[] = "an address is either for clients or a source: take it out of "
				   "one of the two, address and source";
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{ "", form },
		{ "eth0", form },
		{ "192.0.2.1:80", form },
		{ "*", form },
		{ "192.0.2.1/33", LEN },
		{ "2001:db8::1/129", LEN },
		{ "2001:db8::1/", LEN },
		{ "192.0.2.1/0", "an address has a length of 1 to 128, or to 32 for IPv4, like "
				 "2001:db8::1/128" },
		{ "::ffff:192.0.2.9", "write the IPv4 address itself, like 192.0.2.1" },
		{ "::", unicast },
		{ "ff02::1", unicast },
		{ "0.0.0.0", unicast },
		{ "0.1.2.3", unicast },
		{ "224.0.0.1", unicast },
		{ "255.255.255.255", unicast },
		{ "::1", loopback },
		{ "127.0.0.53/8", loopback },
		{ "fe80::1%1",
			"leave out the '%' and what follows: the option interface says where" },
		{ "2001:db8::1", twice },
		{ "2001:db8::1/64", twice },
		{ "203.0.113.80/32", twice },
		{ "192.0.2.1", both },
	};
	struct fixture *f = *state;
	struct config_network *network = &f->config->network;
	const char *reason = NULL;
	char text[64];

	assert_int_equal(config_add_vip(network, "2001:db8::1/128", &reason), 0);
	assert_int_equal(config_add_vip(network, "203.0.113.80", &reason), 0);
	assert_int_equal(config_add_vip(network, "[2001:db8::2]/64", &reason), 0);
	assert_int_equal(config_add_net_source(network, "192.0.2.1/24", &reason), 0);
	assert_string_equal(sockaddr_format(&network->addrs[0].addr, text), "[2001:db8::1]:0");
	assert_int_equal(network->addrs[0].prefix_len, 128);
	assert_int_equal(network->addrs[1].prefix_len, 32);
	assert_int_equal(network->addrs[2].prefix_len, 64);
	assert_string_equal(sockaddr_format(&network->sources[0].addr, text), "192.0.2.1:0");
	assert_int_equal(network->sources[0].prefix_len, 24);
	for (size_t i = 0; i < COUNT(cases); i++) {
		int err = config_add_vip(network, cases[i].text, &reason);

		assert_refused(err, &reason, cases[i].reason, cases[i].text);
	}
	assert_refused(config_add_net_source(network, "2001:db8::9", &reason), &reason,
		"servers are reached over IPv4: write an address like 192.0.2.1/24", "v6");
	assert_refused(
		config_add_net_source(network, "203.0.113.80", &reason), &reason, both, "v4");
	assert_refused(config_add_net_source(network, "192.0.2.1", &reason), &reason, twice, "v4");
	assert_int_equal(network->n_addrs, 3);
	assert_int_equal(network->n_sources, 1);
	for (unsigned i = 3; i < 1024; i++) {
		snprintf(text, sizeof(text), "2001:db8:1::%x", i);
		assert_int_equal(config_add_vip(network, text, &reason), 0);
	}
	assert_refused(config_add_vip(network, "2001:db8:2::1", &reason), &reason,
		"section network may have 1024 addresses of a kind", "last");
}

static void test_interfaces(void **state)
{
	static const char *const good[] = { "e", "eth0", "eth0.166", "br-0_a", "123456789012345",
		"caf\xc3\xa9", "..." };
	static const char *const bad[] = { "", ".", "..", "1234567890123456", "a/b", "a b", "a:1",
		"a\tb", "a\n" };
	char interface[IF_NAMESIZE] = "before";
	const char *reason = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_refused(config_set_interface(interface, bad[i], &reason), &reason,
			"the name of an interface has 1 to 15 characters, without '/', ':' or "
			"space",
			bad[i]);
	assert_string_equal(interface, "before");
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(config_set_interface(interface, good[i], &reason), 0);
		assert_string_equal(interface, good[i]);
	}
}

static void test_network_defaults(void **state)
{
	struct fixture *f = *state;
	const struct config_network *network = &f->config->network;

	assert_false(network->given);
	assert_false(network->keep);
	assert_int_equal(network->notrack, CONFIG_NOTRACK_AUTO);
	assert_string_equal(network->interface, "");
	assert_string_equal(network->source_interface, "");
	assert_int_equal(network->n_addrs, 0);
	assert_int_equal(network->n_sources, 0);
	assert_int_equal(network->table, 166);
	assert_int_equal(network->priority, 166);
	assert_int_equal(network->mark, 0x1000);
	assert_int_equal(network->receive_buffer, 1048576);
	assert_string_equal(f->config->run_directory, "/run/sixgate");
	assert_false(config_needs_network(f->config));
	assert_false(f->listener->embedded);
	assert_int_equal(f->listener->n_allow, 0);
	assert_int_equal(f->listener->identity_v6, IDENTITY_PROXY_V2);
}

static void test_run_directory(void **state)
{
	static const char form[] = "run-directory is a path from / on, of up to 255 characters";
	struct fixture *f = *state;
	const char *reason = NULL;
	char path[257];

	memset(path, '/', sizeof(path));
	path[256] = '\0';
	assert_refused(config_set_run_directory(f->config, path, &reason), &reason, form, "long");
	assert_refused(config_set_run_directory(f->config, "", &reason), &reason, form, "");
	assert_refused(config_set_run_directory(f->config, "run", &reason), &reason, form, "run");
	assert_string_equal(f->config->run_directory, "/run/sixgate");
	path[255] = '\0';
	assert_int_equal(config_set_run_directory(f->config, path, &reason), 0);
	assert_string_equal(f->config->run_directory, path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bind_forms, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bind_of_two_parts, setup, teardown),
		cmocka_unit_test(test_bind_text_fits),
		cmocka_unit_test_setup_teardown(test_binds_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_binds_in_the_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overlap_of_ranges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_transparent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_transparent, setup, teardown),
		cmocka_unit_test(test_identity_words),
		cmocka_unit_test_setup_teardown(test_embedded_binds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_allow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_backend_without_port, setup, teardown),
		cmocka_unit_test_setup_teardown(test_network_addresses, setup, teardown),
		cmocka_unit_test(test_interfaces),
		cmocka_unit_test_setup_teardown(test_network_defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_run_directory, setup, teardown),
	};

	return cmocka_run_group_tests_name("config_address", tests, NULL, NULL);
}
