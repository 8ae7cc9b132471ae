/* What configuration files say of the network, of transparent and of embedded listeners. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config_text.h"

#define POOL "pool p { backend 192.0.2.10:80 {} }\n"
#define REST "listener l { bind = \"*:80\" pool = p }\n" POOL

static void assert_bind(const struct config_bind *bind, const char *expected)
{
	char buf[CONFIG_BIND_TEXT_MAX];

	assert_string_equal(config_bind_text(bind, buf), expected);
}

static void assert_address(
	const struct config_address *address, const char *expected, uint8_t prefix_len)
{
	char buf[SOCKADDR_TEXT_MAX];

	assert_string_equal(sockaddr_format_host(&address->addr, buf), expected);
	assert_int_equal(address->prefix_len, prefix_len);
}

static void test_network(void **state)
{
	struct config *config =
		parsed("run-directory = \"/run/other\" control-group = adm state-directory = "
		       "\"/var/other\"\n"
		       "network {\n"
		       "  source = { \"192.0.2.1/24\", 192.0.2.2 }\n"
		       "  interface = \"eth0\"\n"
		       "  address = { \"2001:db8:80::1/128\", \"203.0.113.80\" }\n"
		       "  source-interface = eth1\n"
		       "  keep = yes notrack = no table = 4294967295 priority = 32765\n"
		       "  mark = 0xFfFfFfFf receive-buffer = 67108864\n"
		       "}\n" REST);
	const struct config_network *network = &config->network;

	(void)state;
	assert_string_equal(config->run_directory, "/run/other");
	assert_string_equal(config->state_directory, "/var/other");
	assert_string_equal(config->control_group, "adm");
	assert_true(network->given);
	assert_string_equal(network->interface, "eth0");
	assert_string_equal(network->source_interface, "eth1");
	assert_int_equal(network->n_addrs, 2);
	assert_address(&network->addrs[0], "2001:db8:80::1", 128);
	assert_address(&network->addrs[1], "203.0.113.80", 32);
	assert_int_equal(network->n_sources, 2);
	assert_address(&network->sources[0], "192.0.2.1", 24);
	assert_address(&network->sources[1], "192.0.2.2", 32);
	assert_true(network->keep);
	assert_int_equal(network->notrack, CONFIG_NOTRACK_NO);
	assert_int_equal(network->table, UINT32_MAX);
	assert_int_equal(network->priority, 32765);
	assert_int_equal(network->mark, UINT32_MAX);
	assert_int_equal(network->receive_buffer, 67108864);
	config_free(config);
}

static void assert_state_directory(const char *environment, const char *text, const char *expected)
{
	struct config *config;

	assert_int_equal(setenv("STATE_DIRECTORY", environment, 1), 0);
	config = parsed(text);
	assert_string_equal(config->state_directory, expected);
	config_free(config);
	unsetenv("STATE_DIRECTORY");
}

static void test_state_directory_of_environment(void **state)
{
	char error[CONFIG_ERROR_MAX];
	struct config *config = NULL;

	(void)state;
	assert_state_directory("/var/lib/a:/var/lib/b", REST, "/var/lib/a");
	assert_state_directory("/var/lib/a", "state-directory = /var/b\n" REST, "/var/b");
	assert_state_directory("a", "state-directory = /var/b\n" REST, "/var/b");
	assert_state_directory("", REST, "/var/lib/sixgate");
	assert_int_equal(setenv("STATE_DIRECTORY", "lib", 1), 0);
	assert_int_equal(parse_len(REST, strlen(REST), &config, error), -EINVAL);
	unsetenv("STATE_DIRECTORY");
	assert_null(config);
	assert_string_equal(error,
		"t.conf: STATE_DIRECTORY \"lib\" of the environment: state-directory is a path "
		"from / "
		"on, of up to 255 characters; unset it, or write state-directory");
}

static void test_network_of_little(void **state)
{
	struct config *config = parsed("network { }\n" REST);

	(void)state;
	assert_true(config->network.given);
	assert_true(config_needs_network(config));
	assert_string_equal(config->network.interface, "");
	assert_int_equal(config->network.table, CONFIG_NET_TABLE);
	assert_int_equal(config->network.mark, CONFIG_NET_MARK);
	config_free(config);
	config = parsed(REST);
	assert_false(config->network.given);
	assert_false(config_needs_network(config));
	config_free(config);
	config = parsed("network { interface = eth0 source = 192.0.2.1 notrack = yes mark = 1\n"
			" table = 1 priority = 1 receive-buffer = 4096 keep = no }\n" REST);
	assert_string_equal(config->network.source_interface, "eth0");
	assert_int_equal(config->network.notrack, CONFIG_NOTRACK_YES);
	assert_int_equal(config->network.mark, 1);
	assert_int_equal(config->network.table, 1);
	assert_int_equal(config->network.priority, 1);
	assert_int_equal(config->network.receive_buffer, 4096);
	assert_false(config->network.keep);
	config_free(config);
	config = parsed("network { table = 252 notrack = auto mark = 16 }\n" REST);
	assert_int_equal(config->network.table, 252);
	assert_int_equal(config->network.notrack, CONFIG_NOTRACK_AUTO);
	assert_int_equal(config->network.mark, 16);
	config_free(config);
}

static void test_binds(void **state)
{
	struct config *config = parsed("listener l {\n bind = { \"[2001:db8:80::/64]:443\", "
				       "[2001:db8:80::1]:1000-2000,\n"
				       " 203.0.113.0/24:80, \"[2001:db8:80::7]:*\" } pool = p }\n"
				       "pool p { backend \"192.0.2.10:*\" {} }\n");
	const struct config_listener *listener = config->listeners;

	(void)state;
	assert_int_equal(listener->n_binds, 4);
	assert_bind(&listener->binds[0], "[2001:db8:80::/64]:443");
	assert_bind(&listener->binds[1], "[2001:db8:80::1]:1000-2000");
	assert_bind(&listener->binds[2], "203.0.113.0/24:80");
	assert_bind(&listener->binds[3], "[2001:db8:80::7]:*");
	assert_int_equal(sockaddr_port(&config->pools[0].backends[0].addr), 0);
	assert_true(config_needs_network(config));
	config_free(config);
}

static void test_identity(void **state)
{
	static const struct {
		const char *options;
		enum identity identity, v6;
	} cases[] = {
		{ "", IDENTITY_PROXY_V2, IDENTITY_PROXY_V2 },
		{ "identity = none", IDENTITY_NONE, IDENTITY_NONE },
		{ "identity = proxy-v1", IDENTITY_PROXY_V1, IDENTITY_PROXY_V1 },
		{ "identity = transparent identity-ipv6 = proxy-v2", IDENTITY_TRANSPARENT,
			IDENTITY_PROXY_V2 },
		{ "identity-ipv6 = refuse identity = transparent", IDENTITY_TRANSPARENT,
			IDENTITY_REFUSE },
		{ "identity = transparent identity-ipv6 = none", IDENTITY_TRANSPARENT,
			IDENTITY_NONE },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config *config;
		char text[300];

		snprintf(text, sizeof(text), POOL "listener l { bind = \"*:80\" pool = p %s }",
			cases[i].options);
		config = parsed(text);
		assert_int_equal(config->listeners[0].identity, cases[i].identity);
		assert_int_equal(config->listeners[0].identity_v6, cases[i].v6);
		config_free(config);
	}
}

static void test_embedded(void **state)
{
	struct config *config = parsed("listener l {\n"
				       " bind = \"[2001:db8:64::/96]:*\"\n"
				       " backend = embedded\n"
				       " allow = { \"10.0.0.0/8\", \"192.0.2.10\" }\n"
				       "}\n");
	const struct config_listener *listener = config->listeners;

	(void)state;
	assert_true(listener->embedded);
	assert_int_equal(listener->n_allow, 2);
	assert_int_equal(listener->allow[0].addr, 0x0a000000);
	assert_int_equal(listener->allow[0].len, 8);
	assert_int_equal(listener->allow[1].addr, 0xc000020a);
	assert_int_equal(listener->allow[1].len, 32);
	assert_int_equal(config->n_pools, 0);
	assert_true(config_needs_network(config));
	config_free(config);
}

#define NO_INTERFACE ": its interface is missing; add: interface = \"eth0\""
#define NAME	     ": the name of an interface has 1 to 15 characters, without '/', ':' or space"
#define MARK	     ": write a number from 1 to 0xffffffff, like 0x1000"
#define OWN	     ": 253 to 255 are the kernel's own; write another number, like 166"

static void test_broken_network(void **state)
{
	static const struct broken cases[] = {
		{ "\nrun-directory = run\n", "2: run-directory \"run\": run-directory is a path "
					     "from / on, of up to 255 characters" },
		{ "run-directory = /var/sixgate\nstate-directory = /var/sixgate/\n",
			"2: state-directory \"/var/sixgate/\": run-directory and state-directory "
			"are two: give each its own" },
		{ "\nrun-directory = /var/lib/sixgate\n",
			"2: run-directory \"/var/lib/sixgate\": run-directory and state-directory "
			"are two: give each its own" },
		{ "\ncontrol-group = \"a b\"\n", "2: control-group \"a b\": control-group is the "
						 "name of a group of this machine, like adm" },
		{ "\nstate-directory = lib\n", "2: state-directory \"lib\": state-directory is a "
					       "path from / on, of up to 255 characters" },
		{ "network {\n interfaces = eth0 }",
			"2: unknown option 'interfaces' in network; did you mean 'interface'?" },
		{ "network {\n adress = ::1 }",
			"2: unknown option 'adress' in network; did you mean 'address'?" },
		{ "network {\n color = red }",
			"2: unknown option 'color' in network; known here: interface, address, "
			"source-interface, source, keep, notrack, table, priority, mark, "
			"receive-buffer" },
		{ "network { }\nnetwork { }\n",
			"2: given a second time; write it once, or a list { \"a\", \"b\" }" },
		{ "network {\n address = \"2001:db8::1/128\" }",
			"2: address \"2001:db8::1/128\"" NO_INTERFACE },
		{ "network { source-interface = eth0\n address = 192.0.2.1 }",
			"2: address \"192.0.2.1\"" NO_INTERFACE },
		{ "network {\n source = 192.0.2.1/24 }",
			"2: source \"192.0.2.1/24\"" NO_INTERFACE },
		{ "network {\n interface = eth0/1 }", "2: interface \"eth0/1\"" NAME },
		{ "network {\n\n source-interface = 1234567890123456 }",
			"3: source-interface \"1234567890123456\"" NAME },
		{ "network { interface = eth0\n address = { 192.0.2.1,\n 2001:db8::/129 } }",
			"3: address \"2001:db8::/129\": the length of a prefix is a number up to "
			"128, or to 32 for IPv4" },
		{ "network { interface = eth0\n address = 192.0.2.1\n source = 192.0.2.1/24 }",
			"3: source \"192.0.2.1/24\": an address is either for clients or a source: "
			"take it out of one of the two, address and source" },
		{ "network { interface = eth0\n source = 2001:db8::1 }",
			"2: source \"2001:db8::1\": servers are reached over IPv4: write an "
			"address like 192.0.2.1/24" },
		{ "network {\n keep = maybe }", "2: keep \"maybe\": write yes or no" },
		{ "network {\n notrack = never }",
			"2: notrack \"never\": notrack is auto, yes or no" },
		{ "network {\n table = 0 }",
			"2: table \"0\": write a whole number from 1 to 4294967295" },
		{ "network {\n table = 4294967296 }",
			"2: table \"4294967296\": write a whole number from 1 to 4294967295" },
		{ "network {\n table = main }",
			"2: table \"main\": write a whole number from 1 to 4294967295" },
		{ "network {\n table = 253 }", "2: table \"253\"" OWN },
		{ "network {\n table = 255 }", "2: table \"255\"" OWN },
		{ "network {\n priority = 0 }",
			"2: priority \"0\": write a whole number from 1 to 32765" },
		{ "network {\n priority = 32766 }",
			"2: priority \"32766\": write a whole number from 1 to 32765" },
		{ "network {\n mark = 0 }", "2: mark \"0\"" MARK },
		{ "network {\n mark = 0x0 }", "2: mark \"0x0\"" MARK },
		{ "network {\n mark = 0x }", "2: mark \"0x\"" MARK },
		{ "network {\n mark = 1000h }", "2: mark \"1000h\"" MARK },
		{ "network {\n mark = ff }", "2: mark \"ff\"" MARK },
		{ "network {\n mark = -1 }", "2: mark \"-1\"" MARK },
		{ "network {\n mark = \" 1\" }", "2: mark \" 1\"" MARK },
		{ "network {\n mark = 0x-1 }", "2: mark \"0x-1\"" MARK },
		{ "network {\n mark = 4294967296 }", "2: mark \"4294967296\"" MARK },
		{ "network {\n mark = 0xfffffffffffffffff }",
			"2: mark \"0xfffffffffffffffff\"" MARK },
		{ "network {\n receive-buffer = 4095 }",
			"2: receive-buffer \"4095\": write a whole number from 4096 to 67108864" },
		{ "network {\n receive-buffer = 67108865 }",
			"2: receive-buffer \"67108865\": write a whole number from 4096 to "
			"67108864" },
	};

	(void)state;
	check_broken(cases, COUNT(cases));
}

#define DIVERTED                                                                           \
	" is a prefix or a range of ports, which takes IPv6 clients only; write v6only = " \
	"yes, and bind IPv4 addresses of their own"
#define BEGINS                                                                                \
	": another bind begins at this address and port, where one socket can be: begin one " \
	"of the two at another port or address"
#define NO_CHOICE                                                                             \
	": IPv4 servers cannot see IPv6 clients as they are, and there is no silent choice: " \
	"say with identity-ipv6 what they get, proxy-v2, proxy-v1, none or refuse"
#define ONLY_TRANSPARENT                                                                   \
	": this goes with identity transparent only: all clients get what identity says; " \
	"remove it"
#define L POOL "listener l { pool = p\n"

static void test_broken_listeners(void **state)
{
	static const struct broken cases[] = {
		{ L " bind = {\n \"[::1]:80\",\n \"*:*\" } }",
			"5: bind \"*:*\": all ports of all addresses would take in this machine's "
			"own services: name an address, or fewer ports" },
		{ L " bind = \"[2001:db8::1/64]:80\" }",
			"3: bind \"[2001:db8::1/64]:80\": the bits beyond the length of a prefix "
			"must be zero, like in [2001:db8::/64]:80" },
		{ L " bind = { \"[2001:db8::/64]:80\",\n \"[2001:db8::/48]:80\" } }",
			"4: bind \"[2001:db8::/48]:80\"" BEGINS },
		{ L " bind = \"[2001:db8::/64]:80\"\n v6only = no }",
			"4: v6only \"no\": [2001:db8::/64]:80" DIVERTED },
		{ L " bind = { \"[::1]:80\", \"[2001:db8::1]:*\" }\n v6only = no }",
			"4: v6only \"no\": [2001:db8::1]:*" DIVERTED },
		{ L " bind = \"*:80-90\"\n v6only = no }",
			"4: v6only \"no\": [::]:80-90" DIVERTED },
		{ L " bind = { \"[::]:85\", \"192.0.2.0/24:80-90\" }\n v6only = no }",
			"4: v6only \"no\": [::]:85 would take IPv4 clients of 192.0.2.0/24:80-90, "
			"too; bind one of them, or write v6only = yes" },
		{ L " bind = \"*:80\"\n identity = transparent }",
			"4: identity \"transparent\"" NO_CHOICE },
		{ L " bind = [::]:80 v6only = no\n identity = transparent }",
			"4: identity \"transparent\"" NO_CHOICE },
		{ L " bind = [::]:80\n identity-ipv6 = refuse\n identity = transparent }",
			"5: identity \"transparent\": only IPv4 clients can be seen by servers as "
			"they are, and this listener takes none: bind an IPv4 address, or write "
			"proxy-v2" },
		{ L " bind = \"*:80\"\n identity-ipv6 = proxy-v2 }",
			"4: identity-ipv6 \"proxy-v2\"" ONLY_TRANSPARENT },
		{ L " bind = \"*:80\"\n identity-ipv6 = none\n identity = none }",
			"4: identity-ipv6 \"none\"" ONLY_TRANSPARENT },
		{ L " bind = \"*:80\" identity = transparent\n identity-ipv6 = transparent }",
			"4: identity-ipv6 \"transparent\": identity-ipv6 is proxy-v2, proxy-v1, "
			"none or refuse" },
		{ L " bind = \"*:80\"\n identity = refuse }",
			"4: identity \"refuse\": identity is proxy-v2, proxy-v1, none or "
			"transparent" },
		{ L " bind = \"*:80\"\n allow = 10.0.0.0/8 }",
			"4: allow \"10.0.0.0/8\": this goes with backend = embedded only: remove "
			"it" },
	};

	(void)state;
	check_broken(cases, COUNT(cases));
}

#define E "listener l { backend = embedded allow = 10.0.0.0/8\n"
#define FORM                                                                                  \
	": the server is named within an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits, like " \
	"[2001:db8:64::/96]:*"

static void test_broken_embedded(void **state)
{
	static const struct broken cases[] = {
		{ "listener l { bind = [2001:db8::/96]:80\n backend = 192.0.2.1:80 }",
			"2: backend \"192.0.2.1:80\": a listener's backend is embedded; servers "
			"themselves stand in a pool: pool = \"name\"" },
		{ POOL "listener l { bind = [2001:db8::/96]:80 backend = embedded\n pool = p }",
			"3: pool \"p\": the destination names the server here; remove this or "
			"backend = embedded" },
		{ "\nlistener l { bind = [2001:db8::/96]:80 backend = embedded }",
			"2: listener \"l\" allows no server to be named; add those that clients "
			"may reach: allow = \"10.0.0.0/8\"" },
		{ "listener l { bind = [2001:db8::/96]:80 backend = embedded allow = { } }",
			"1: listener \"l\" allows no server to be named; add those that clients "
			"may reach: allow = \"10.0.0.0/8\"" },
		{ "listener l { bind = [2001:db8::/96]:80 backend = embedded\n allow = {\n "
		  "10.0.0.0/8,\n 10.0.0.1/8 } }",
			"4: allow \"10.0.0.1/8\": the bits beyond the length of a prefix must be "
			"zero, like in 10.0.0.0/8" },
		{ E " bind = \"[2001:db8::1]:80\" }", "2: bind \"[2001:db8::1]:80\"" FORM },
		{ E " bind = {\n \"[2001:db8::/96]:80\",\n \"*:81\" } }", "4: bind \"*:81\"" FORM },
		{ E " bind = { \"[2001:db8::/96]:80\",\n 192.0.2.0/24:80 } }",
			"3: bind \"192.0.2.0/24:80\"" FORM },
		{ E " bind = \"[2001:db8::/80]:80\" }", "2: bind \"[2001:db8::/80]:80\"" FORM },
		{ E " bind = \"[2001:db8:0:0:100::/96]:80\" }",
			"2: bind \"[2001:db8:0:0:100::/96]:80\": bits 64 to 71 of a prefix that "
			"servers are named within must be zero (RFC 6052), like in "
			"[2001:db8:64::/96]:*" },
		{ E " bind = \"[64:ff9b::/96]:80\" }",
			"2: bind \"[64:ff9b::/96]:80\": this prefix is for global servers only "
			"(RFC 6052): allow no others, or bind a prefix of your own" },
		{ E " bind = \"[2001:db8::/96]:80\"\n v6only = no }",
			"3: v6only \"no\": [2001:db8::/96]:80" DIVERTED },
		{ E " bind = \"[2001:db8::/96]:80\"\n identity = transparent\n"
		    " identity-ipv6 = none }",
			"3: identity \"transparent\": clients of an embedded destination have "
			"IPv6 addresses, which no IPv4 server can see: write proxy-v2, proxy-v1 "
			"or none" },
		{ "\nlistener l { backend = embedded allow = 10.0.0.0/8 }",
			"2: listener \"l\" has no address; add: bind = \"*:80\"" },
	};

	(void)state;
	check_broken(cases, COUNT(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_state_directory_of_environment),
		cmocka_unit_test(test_network_of_little),
		cmocka_unit_test(test_binds),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_embedded),
		cmocka_unit_test(test_broken_network),
		cmocka_unit_test(test_broken_listeners),
		cmocka_unit_test(test_broken_embedded),
	};

	return cmocka_run_group_tests_name("config_network", tests, NULL, NULL);
}
