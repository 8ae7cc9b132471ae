#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "config_text.h"
#include "log.h"

static void assert_address(const struct sockaddr_any *addr, const char *expected)
{
	char buf[SOCKADDR_TEXT_MAX];

	assert_string_equal(sockaddr_format(addr, buf), expected);
}

static void test_everything(void **state)
{
	static const char text[] = "# a comment\n"
				   "workers = 4\n"
				   "drain = 1m\n"
				   "max-flows = 1000000\n"
				   "user = \"www-data\"\n"
				   "log = journal\n"
				   "log-level = debug\n"
				   "access-log = \"/var/log/sixgate.log\"\n"
				   "\n"
				   "listener \"web\" {\n"
				   "  bind = { \"[2001:db8::1]:80\", \"192.0.2.1:80\" } // both\n"
				   "  protocol = tcp\n"
				   "  pool = \"web\"\n"
				   "  identity = proxy-v1\n"
				   "  v6only = no\n"
				   "  backlog = 65535\n"
				   "  timeouts {\n"
				   "    connect = 250ms\n"
				   "    idle = 30d\n"
				   "    half-closed = 1s\n"
				   "    dead-peer = 1h\n"
				   "  }\n"
				   "}\n"
				   "listener mail {\n"
				   "  bind = \"*:25\"\n"
				   "  pool = mail\n"
				   "  identity = none\n"
				   "}\n"
				   "/* pools may\n"
				   " * stand behind */\n"
				   "pool mail {\n"
				   "  source = 192.0.2.1\n"
				   "  backend 192.0.2.20:25 {}\n"
				   "}\n"
				   "pool 'web' {\n"
				   "  balance = round-robin\n"
				   "  source = { \"192.0.2.1\", 192.0.2.2 }\n"
				   "  backend \"192.0.2.10:80\" { weight = 65535 }\n"
				   "  backend \"192.0.2.11:80\" { weight = 0 }\n"
				   "  backend '192.0.2.12:80' { }\n"
				   "}\n";
	struct config *config = parsed(text);
	const struct config_listener *web = &config->listeners[0], *mail = &config->listeners[1];
	const struct config_pool *pools = config->pools;

	(void)state;
	assert_int_equal(config->workers, 4);
	assert_int_equal(config->drain_ms, 60000);
	assert_int_equal(config->max_flows, 1000000);
	assert_string_equal(config->user, "www-data");
	assert_int_equal(config->log, LOG_TARGET_JOURNAL);
	assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(config->access_log, LOG_TARGET_FILE);
	assert_string_equal(config->access_log_path, "/var/log/sixgate.log");

	assert_int_equal(config->n_listeners, 2);
	assert_string_equal(web->name, "web");
	assert_int_equal(web->n_binds, 2);
	assert_address(&web->binds[0].addr, "[2001:db8::1]:80");
	assert_address(&web->binds[1].addr, "192.0.2.1:80");
	assert_int_equal(web->pool, 1);
	assert_int_equal(web->identity, IDENTITY_PROXY_V1);
	assert_false(web->v6only);
	assert_int_equal(web->backlog, 65535);
	assert_int_equal(web->timeouts.connect_ms, 250);
	assert_int_equal(web->timeouts.idle_ms, 2592000000U);
	assert_int_equal(web->timeouts.half_closed_ms, 1000);
	assert_int_equal(web->timeouts.dead_peer_ms, 3600000);
	assert_string_equal(mail->name, "mail");
	assert_int_equal(mail->n_binds, 2);
	assert_address(&mail->binds[0].addr, "[::]:25");
	assert_address(&mail->binds[1].addr, "0.0.0.0:25");
	assert_int_equal(mail->pool, 0);
	assert_int_equal(mail->identity, IDENTITY_NONE);

	assert_int_equal(config->n_pools, 2);
	assert_string_equal(pools[0].name, "mail");
	assert_int_equal(pools[0].n_sources, 1);
	assert_address(&pools[0].sources[0], "192.0.2.1:0");
	assert_int_equal(pools[0].n_backends, 1);
	assert_string_equal(pools[1].name, "web");
	assert_int_equal(pools[1].n_sources, 2);
	assert_address(&pools[1].sources[1], "192.0.2.2:0");
	assert_int_equal(pools[1].n_backends, 3);
	assert_address(&pools[1].backends[0].addr, "192.0.2.10:80");
	assert_int_equal(pools[1].backends[0].weight, 65535);
	assert_int_equal(pools[1].backends[1].weight, 0);
	assert_address(&pools[1].backends[2].addr, "192.0.2.12:80");
	assert_int_equal(pools[1].backends[2].weight, 100);
	config_free(config);
}

#define POOL	 "pool p { backend 192.0.2.10:80 {} }\n"
#define LISTENER "listener l { bind = \"*:80\" pool = p }\n"
#define REST	 LISTENER POOL

static void test_defaults(void **state)
{
	struct config *config = parsed(REST);
	const struct config_listener *listener = config->listeners;

	(void)state;
	assert_int_equal(config->workers, 0);
	assert_int_equal(config->drain_ms, 30000);
	assert_int_equal(config->max_flows, 0);
	assert_null(config->user);
	assert_int_equal(config->log, LOG_TARGET_STDERR);
	assert_int_equal(config->log_level, LOG_LEVEL_INFO);
	assert_int_equal(config->access_log, LOG_TARGET_STDOUT);
	assert_true(listener->v6only);
	assert_int_equal(listener->identity, IDENTITY_PROXY_V2);
	assert_int_equal(listener->backlog, 4096);
	assert_int_equal(listener->timeouts.connect_ms, 5000);
	assert_int_equal(listener->timeouts.idle_ms, 600000);
	assert_int_equal(listener->timeouts.half_closed_ms, 600000);
	assert_int_equal(listener->timeouts.dead_peer_ms, 30000);
	assert_int_equal(config->pools->backends[0].weight, 100);
	config_free(config);
}

static void test_syntax(void **state)
{
	static const char *const cases[] = {
		"workers = 2\r\n" REST,
		"workers=2 " REST,
		"workers = '2' " REST,
		"workers\n=\n2\n" REST,
		"\n\n\tworkers = 2 # x = \"\n" REST,
		"workers = 2 // }\n" REST,
		"workers = 2 /* }\n\" */" REST "# no newline",
		"\xef\xbb\xbfworkers = 2 # behind a byte order mark\n" REST,
		REST "workers = 2",
		POOL LISTENER "workers = 2",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config *config = parsed(cases[i]);

		assert_int_equal(config->workers, 2);
		config_free(config);
	}
	config_free(parsed(POOL "listener l { bind += [::]:80 pool = p timeouts { } }"));
	config_free(parsed(POOL "listener l { bind = { [::]:80, } pool = p }"));
}

static void test_limits_are_taken(void **state)
{
	static const char *const cases[] = { "workers = auto", "workers = 1", "workers = 256",
		"drain = 0ms", "drain = 1d", "max-flows = 0", "max-flows = 1000000", "log = stderr",
		"log-level = error", "access-log = off", "access-log = stderr",
		"access-log = journal", "access-log = stdout",
		"listener m { bind = [::]:1 pool = p backlog = 1 v6only = yes }",
		"listener m { bind = [::]:1 pool = p timeouts { connect = 1ms idle = 1s } }",
		"listener m { bind = [::]:1 pool = p timeouts { half-closed = 30d } }",
		"listener m { bind = [::]:1 pool = p timeouts { dead-peer = 1s } }",
		"listener m { bind = [::]:1 pool = p timeouts { connect = 10m } }",
		"listener m { bind = { [::]:1, 192.0.2.1:2 } pool = p v6only = no }",
		"listener m { bind = { [::1]:1, 127.0.0.1:1 } pool = p v6only = no }",
		"pool q { backend 192.0.2.1:80 { weight = 1 } }" };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[400];

		snprintf(text, sizeof(text), "%s\n" REST, cases[i]);
		config_free(parsed(text));
	}
}

#define KNOWN                                                                                   \
	"workers, drain, max-flows, user, run-directory, control-group, state-directory, log, " \
	"log-level, "                                                                           \
	"access-log, hold, who, metrics, network, resolve, listener, pool"
#define WRITE_LIST  "; write 'name = value', 'name = { value, value }' or 'name { ... }'"
#define SEMICOLON   "nothing ends in ';' here; remove it, or quote the value"
#define LONG_STRING "this string does not end in its line; a quotation mark is missing"
#define WRITE	    "; write 'name = value' or 'name { ... }'"
#define BACKSLASH   "a backslash, which no option needs; write what is meant without one"
#define VARIABLE    "'${': the environment is not looked up; write the value itself"
#define UNIT	    ": write a whole number with a unit, ms, s, m, h or d, like 5s"

static void test_udp(void **state)
{
	struct config *config =
		parsed("pool p { backend \"192.0.2.10:53\" {} }"
		       "listener t { bind = \"[2001:db8::1]:53\" pool = p }"
		       "listener d { bind = \"[2001:db8::1]:53\" pool = p protocol = udp }"
		       "listener u { bind = \"[2001:db8:1::/64]:53\" pool = p protocol = udp"
		       " identity = proxy-v2-first oversize = too-big receive-buffer = 65536"
		       " timeouts { idle = 5s unanswered = 300ms }"
		       " sessions { max = 7 when-full = refuse per-client = 0 rate = 8 "
		       "rate-per-client = 9 } }");
	const struct config_listener *plain = &config->listeners[1], *u = &config->listeners[2];

	(void)state;
	assert_int_equal(config->listeners[0].protocol, IPPROTO_TCP);
	assert_int_equal(plain->protocol, IPPROTO_UDP);
	assert_int_equal(plain->binds[0].protocol, IPPROTO_UDP);
	assert_int_equal(plain->identity, IDENTITY_PROXY_V2);
	assert_int_equal(plain->oversize, CONFIG_OVERSIZE_FRAGMENT);
	assert_int_equal(plain->timeouts.idle_ms, 120000);
	assert_int_equal(plain->timeouts.unanswered_ms, 10000);
	assert_false(plain->limits.refuse_when_full);
	assert_true(plain->limits.max > 0 && plain->limits.rate > 0);
	assert_int_equal(u->identity, IDENTITY_PROXY_V2_FIRST);
	assert_int_equal(u->oversize, CONFIG_OVERSIZE_TOO_BIG);
	assert_int_equal(u->receive_buffer, 65536);
	assert_int_equal(u->timeouts.idle_ms, 5000);
	assert_int_equal(u->timeouts.unanswered_ms, 300);
	assert_true(u->limits.refuse_when_full);
	assert_int_equal(u->limits.max, 7);
	assert_int_equal(u->limits.max_per_client, 0);
	assert_int_equal(u->limits.rate, 8);
	assert_int_equal(u->limits.rate_per_client, 9);
	assert_int_equal(u->limits.max_per_address + u->limits.rate_per_address, 0);
	config_free(config);
}

static void test_clients(void **state)
{
	struct config *config =
		parsed(POOL "listener a { bind = [::]:80 pool = p }"
			    "listener b { protocol = udp bind = [::]:81 pool = p clients {"
			    " allow = { 2001:db8::/32, 192.0.2.1 } deny = \"::ffff:10.0.0.0/104\""
			    " allow-file = /a deny-file = /d } }");
	const struct config_clients *a = &config->listeners[0].clients;
	const struct config_clients *b = &config->listeners[1].clients;

	(void)state;
	assert_int_equal(a->n_allow + a->n_deny, 0);
	assert_null(a->allow_file);
	assert_null(a->deny_file);
	assert_int_equal(b->n_allow, 2);
	assert_int_equal(b->allow[1].prefix_len, 32);
	assert_int_equal(b->n_deny, 1);
	assert_int_equal(b->deny[0].prefix_len, 8);
	assert_int_equal(sockaddr_family(&b->deny[0].addr), AF_INET);
	assert_string_equal(b->allow_file, "/a");
	assert_string_equal(b->deny_file, "/d");
	config_free(config);
}

static void test_connections(void **state)
{
	struct config *config = parsed(
		POOL "listener a { bind = [::]:80 pool = p }"
		     "listener b { bind = [::]:81 pool = p connections { max = 1 per-client = 2"
		     " per-address = 3 rate = 4 rate-per-client = 5 rate-per-address = 6 } }");
	const struct config_limits *a = &config->listeners[0].limits;
	const struct config_limits *b = &config->listeners[1].limits;

	(void)state;
	assert_int_equal(a->max + a->max_per_client + a->max_per_address, 0);
	assert_int_equal(a->rate + a->rate_per_client + a->rate_per_address, 0);
	assert_int_equal(b->max, 1);
	assert_int_equal(b->max_per_client, 2);
	assert_int_equal(b->max_per_address, 3);
	assert_int_equal(b->rate, 4);
	assert_int_equal(b->rate_per_client, 5);
	assert_int_equal(b->rate_per_address, 6);
	config_free(config);
	config = parsed("listener l { bind = [::]:80 pool = p } pool p { max-connections = 7"
			" backend \"192.0.2.10:80\" { max-connections = 8 }"
			" backend \"192.0.2.11:80\" { } } "
			"pool q { backend \"192.0.2.10:80\" {} }");
	assert_int_equal(config->pools[0].max_connections, 7);
	assert_int_equal(config->pools[0].backends[0].max_connections, 8);
	assert_int_equal(config->pools[0].backends[1].max_connections, 0);
	assert_int_equal(config->pools[1].max_connections, 0);
	config_free(config);
}

static void test_broken_syntax(void **state)
{
	static const struct broken cases[] = {
		{ "pool p {\n backend 192.0.2.1:80 {\n}\n",
			"1: this brace is never closed; a '}' is missing" },
		{ "workers = 1\n}\n", "2: this '}' closes nothing; remove it, or add the '{'" },
		{ "workers = \"1\n\n", "1: this string never ends; a quotation mark is missing" },
		{ "\nuser = 'x\n", "2: this string never ends; a quotation mark is missing" },
		{ "\n\n/* x\n", "3: this comment never ends; a '*/' is missing" },
		{ "{{{{{{{{{{{{{{{{\n{",
			"2: braces are nested too deeply; a '}' is missing above" },
		{ "workers = 1\nworkers = 2\n",
			"2: given a second time; write it once, or a list { \"a\", \"b\" }" },
		{ "listener l {\n bind = [::]:80\n bind = [::]:81\n}",
			"3: given a second time; write it once, or a list { \"a\", \"b\" }" },
		{ "listener l {\n timeouts { idle = 5s }\n timeouts { idle = 6s }\n}",
			"3: given a second time; write it once, or a list { \"a\", \"b\" }" },
		{ "listener l {\n bind = *:80\n}",
			"2: '*' and '+' stand in strings only; write \"*:80\"" },
		{ "\nuser = \"${A\" log = \"}\"\n", "2: " VARIABLE },
		{ "\nuser = \"${HOME}\"\n", "2: " VARIABLE },
		{ "\n\nuser = ${HOME}\n", "3: " VARIABLE },
		{ "\n\"${}pool\" x { }\n", "2: " VARIABLE },
		{ "workers = \"\\x32\"\n", "1: " BACKSLASH },
		{ "\n\"\\x70ool\" x { }\n", "2: " BACKSLASH },
		{ "\n'po\\\nol' x { }\n", "2: " BACKSLASH },
		{ "\naccess-log = /a\\b\n", "2: " BACKSLASH },
		/* a byte order mark anywhere else */
		{ "\n\xef\xbb\xbfworkers = 2\n",
			"2: unknown option '\xef\xbb\xbfworkers'; known here: " KNOWN },
		{ "access-log = /var/log/c++\n",
			"1: '*' and '+' stand in strings only; write \"*:80\"" },
		{ "worker = 1\n", "1: unknown option 'worker'; did you mean 'workers'?" },
		{ "\nlog_level = info\n", "2: unknown option 'log_level'; did you mean "
					  "'log-level'?" },
		{ "color = red\n", "1: unknown option 'color'; known here: " KNOWN },
		{ "listener l {\n bnd = [::]:80\n}",
			"2: unknown option 'bnd' in listener; did you mean 'bind'?" },
		{ "listener l {\n workers = 1\n}",
			"2: unknown option 'workers' in listener (there is one outside of all "
			"sections); known here: bind, protocol, "
			"pool, backend, allow, identity, identity-ipv6, v6only, backlog, "
			"refuse, oversize, receive-buffer, timeouts, sessions, connections, "
			"clients, accept, accept-proxy, tlv" },
		{ "listener l {\n timeouts {\n\n halfclosed = 5s } }",
			"4: unknown option 'halfclosed' in timeouts; did you mean 'half-closed'?" },
		{ "pool p {\n backend 192.0.2.1:80 {\n wait = 1 } }",
			"3: unknown option 'wait' in backend; known here: weight, backup, "
			"max-connections, addresses" },
		{ "pool p {\n timeouts { } }",
			"2: unknown option 'timeouts' in pool (there is one in listener); known "
			"here: balance, hash, "
			"attempts, "
			"circuit-failures, circuit-time, slow-start, max-connections, "
			"header-max, source, backend, check" },
		{ "workers 1\n", "1: missing equal sign after option 'workers'" WRITE },
		{ "workers: 1\n", "1: unknown option 'workers:'; did you mean 'workers'?" },
		{ "workers = { 1 }\n", "1: unexpected token '{'" WRITE_LIST },
		{ "workers = = 1\n", "1: unexpected token '='" WRITE_LIST },
		{ "listener l {\n bind = \"[::]:80\", \"[::]:81\"\n}",
			"2: unexpected token ','" WRITE_LIST },
		{ "listener l {\n bind = [ \"[::]:80\" ]\n}",
			"2: '[::]:80' in listener: this is no name of an option; a list is { "
			"\"a\", \"b\" }" },
		{ "listener l {\n timeouts { idle = 5 s }\n}",
			"2: 's' in timeouts: this is no name of an option; a time is one word, "
			"like 5s" },
		{ "workers += 1\n", "1: attempt to append to non-list option 'workers'" WRITE },
		{ "workers = 1;\n", "1: " SEMICOLON },
		{ "listener l {\n bind = \"[::]:80\";\n}", "2: " SEMICOLON },
		{ "\nlistener \xe2\x80\x9cl\xe2\x80\x9d { }\n",
			"2: quotation marks are straight ones here: \"web\" or 'web'" },
		{ "listener \"l {\n bind = \"[::]:80\"\n}\n", "1: " LONG_STRING },
		{ "listener l = { }\n", "1: missing opening brace for section 'listener'" WRITE },
		{ "\nlistener { }\n", "2: missing title for section 'listener'; write 'listener "
				      "\"name\" { ... }'" },
		{ "pool p { backend { } }\n", "1: missing title for section 'backend'; write "
					      "'backend \"name\" { ... }'" },
		{ "listener l { }\nlistener l { }\n",
			"2: found duplicate title 'l'; give each a name of its own" },
		{ "pool p {\n backend 192.0.2.1:80 { }\n backend 192.0.2.1:80 { }\n}",
			"3: backend \"192.0.2.1:80\": the pool has this backend already: give it "
			"a weight instead" },
		{ "pool p {\n backend \"192.0.2.1:80\" }",
			"2: a backend ends in { }, write: backend \"192.0.2.10:80\" {}" },
		{ "pool p {\n backend 192.0.2.1:80 weight = 1 }",
			"2: a backend ends in { }, write: backend \"192.0.2.10:80\" {}" },
		{ "workers", "1: premature end of file" WRITE },
		{ "listener l", "1: premature end of file" WRITE },
	};

	(void)state;
	check_broken(cases, COUNT(cases));
}

static void test_broken_values(void **state)
{
	static const struct broken cases[] = {
		{ "\nworkers = many\n" REST,
			"2: workers \"many\": workers is auto or a number from 1 to 256" },
		{ "user = \"a b\"\n", "1: user \"a b\": user is the name of a user of this "
				      "machine, like nobody" },
		{ "# one\n# two\ndrain = 5\n", "3: drain \"5\"" UNIT },
		{ "/* one\n two */ drain = 1.5s\n", "2: drain \"1.5s\"" UNIT },
		{ "drain = 2d\n", "1: drain \"2d\": must be from 0s to 1d" },
		{ "max-flows = 1000001\n",
			"1: max-flows \"1000001\": write a whole number from 0 to 1000000" },
		{ "max-flows = 99999999999999999999999999\n",
			"1: max-flows \"99999999999999999999999999\": write a whole number from 0 "
			"to 1000000" },
		{ "max-flows = -1\n",
			"1: max-flows \"-1\": write a whole number from 0 to 1000000" },
		{ "max-flows = \"\"\n",
			"1: max-flows \"\": write a whole number from 0 to 1000000" },
		{ "log = syslog\n", "1: log \"syslog\": log is stderr or journal" },
		{ "log-level = loud\n",
			"1: log-level \"loud\": log-level is error, warning, info or debug" },
		{ "access-log = access.log\n",
			"1: access-log \"access.log\": access-log is off, stdout, stderr, journal "
			"or a path from / on" },
		{ "user = \"one\ntwo\"\n", "1: " LONG_STRING },
	};

	(void)state;
	check_broken(cases, COUNT(cases));
}

#define OVERLAP(v4) \
	" would take IPv4 clients of " v4 ", too; bind one of them, or write v6only = yes"

static void test_broken_listeners(void **state)
{
	static const struct broken cases[] = {
		{ "", "1: there is no listener; add: listener \"web\" { bind = \"*:80\" pool = "
		      "\"web\" }" },
		{ POOL, "1: there is no listener; add: listener \"web\" { bind = \"*:80\" pool = "
			"\"web\" }" },
		{ POOL "listener \"a b\" { }",
			"2: listener \"a b\": a name has letters, digits, '-', '_' and '.' only" },
		{ POOL "listener l { pool = p }",
			"2: listener \"l\" has no address; add: bind = \"*:80\"" },
		{ POOL "\nlistener l {\n bind = { }\n pool = p }",
			"3: listener \"l\" has no address; add: bind = \"*:80\"" },
		{ POOL "listener l {\n bind = [::]:80 }",
			"2: listener \"l\" has no pool; add: pool = \"name\"" },
		{ POOL "listener l {\n bind = [::]:80\n pool = q }",
			"4: pool \"q\": there is none of this name; add: pool \"q\" { backend "
			"\"192.0.2.10:80\" {} }" },
		{ POOL "listener l {\n bind = 2001:db8::1\n pool = p }",
			"3: bind \"2001:db8::1\": write an IPv6 address in brackets: "
			"[2001:db8::1]:80" },
		{ POOL "listener l {\n bind = {\n [::]:80,\n [::]:0 }\n pool = p }",
			"5: bind \"[::]:0\": a port is a number from 1 to 65535, a range like "
			"1000-2000, or * for all" },
		{ POOL "listener l {\n bind = {\n [::]:80,\n [::]:81,\n [::]:81 }\n pool = p }",
			"6: bind \"[::]:81\": a listener has this address already: each may be "
			"bound once" },
		{ POOL LISTENER "listener m {\n bind = 0.0.0.0:80\n pool = p }",
			"4: bind \"0.0.0.0:80\": a listener has this address already: each may be "
			"bound once" },
		{ POOL "listener l {\n bind = [::]:80\n protocol = sctp\n pool = p }",
			"4: protocol \"sctp\": protocol is tcp or udp" },
		{ POOL "listener l {\n bind = [::]:80-90\n protocol = udp\n pool = p }",
			"3: bind \"[::]:80-90\": a UDP listener takes one port of an address, like "
			"[2001:db8::1]:53: bind each that is needed" },
		{ POOL "listener l { protocol = udp bind = [::]:80 pool = p\n identity = proxy-v1 "
		       "}",
			"3: identity \"proxy-v1\": version 1 knows no datagrams: write proxy-v2" },
		{ POOL "listener l { protocol = udp bind = 0.0.0.0:80 pool = p\n identity = "
		       "transparent }",
			"3: identity \"transparent\": identity of a UDP listener is proxy-v2, "
			"proxy-v2-first or none" },
		{ POOL "listener l { bind = [::]:80 pool = p\n identity = proxy-v2-first }",
			"3: identity \"proxy-v2-first\": this goes with protocol = udp only: write "
			"proxy-v2" },
		{ POOL "listener l { bind = [::]:80 pool = p\n refuse = politely }",
			"3: refuse \"politely\": refuse is reset, port-unreachable, "
			"admin-prohibited or accept-then-reset" },
		{ POOL "listener l { protocol = udp bind = [::]:80 pool = p\n refuse = reset }",
			"3: refuse \"reset\": this goes with protocol = tcp only: remove it" },
		{ "listener l { bind = \"[2001:db8::/96]:80\" backend = embedded\n"
		  " allow = 10.0.0.0/8 refuse = reset }",
			"2: refuse \"reset\": backend = embedded has no pool that could be down: "
			"remove it" },
		{ POOL "listener l { bind = [::]:80 pool = p\n oversize = fragment }",
			"3: oversize \"fragment\": this goes with protocol = udp only: remove it" },
		{ POOL "listener l { protocol = udp bind = [::]:80 pool = p\n oversize = cut }",
			"3: oversize \"cut\": oversize is fragment or too-big" },
		{ POOL "listener l { bind = [::]:80 pool = p\n sessions { max = 5 } }",
			"3: sessions: this goes with protocol = udp only: TCP has connections" },
		{ POOL "listener l { protocol = udp bind = [::]:80 pool = p\n connections { } }",
			"3: connections: this goes with protocol = tcp only: UDP has sessions" },
		{ "pool p { backend 192.0.2.10:80 {\n max-connections = many } }",
			"2: max-connections \"many\": write a whole number from 0 to 10000000" },
		{ POOL "listener l { bind = [::]:80 pool = p clients {\n allow = { ::1,\n "
		       "10.1.0.0/8 "
		       "} } }",
			"4: allow \"10.1.0.0/8\": the bits beyond the length of a prefix must be "
			"zero, "
			"like in 2001:db8:1::/64 or 10.0.0.0/8" },
		{ POOL "listener l { bind = [::]:80 pool = p clients {\n deny-file = denied } }",
			"3: deny-file \"denied\": name a file by its path from / on" },
		{ "pool p {\n max-connections = -1 backend 192.0.2.10:80 {} }",
			"2: max-connections \"-1\": write a whole number from 0 to 10000000" },
		{ POOL "listener l { bind = [::]:80 pool = p connections {\n per-client = 10000001 "
		       "} }",
			"3: per-client \"10000001\": write a whole number from 0 to 10000000" },
		{ POOL "listener l { protocol = udp bind = [::]:80 pool = p\n backlog = 5 }",
			"3: backlog \"5\": this goes with protocol = tcp only: remove it" },
		{ POOL "listener l { protocol = udp bind = [::]:80 pool = p timeouts {\n connect = "
		       "5s "
		       "} }",
			"3: connect \"5s\": this goes with protocol = tcp only: UDP has idle and "
			"unanswered" },
		{ POOL "listener l { bind = [::]:80 pool = p timeouts {\n unanswered = 5s } }",
			"3: unanswered \"5s\": this goes with protocol = udp only: remove it" },
		{ POOL "listener l { protocol = udp bind = [::]:80 pool = p sessions {\n when-full "
		       "= "
		       "wait } }",
			"3: when-full \"wait\": when-full is drop-idle or refuse" },
		{ POOL "listener l {\n bind = [::]:80\n v6only = true\n pool = p }",
			"4: v6only \"true\": write yes or no" },
		{ POOL "listener l {\n bind = \"*:80\"\n v6only = no\n pool = p }",
			"4: v6only \"no\": [::]:80" OVERLAP("0.0.0.0:80") },
		{ POOL "listener l { bind = [::]:80 pool = p\n v6only = no }\n"
		       "listener m { bind = { 192.0.2.1:81, 192.0.2.1:80 } pool = p }",
			"3: v6only \"no\": [::]:80" OVERLAP("192.0.2.1:80") },
		{ POOL LISTENER "listener m {\n bind = { [::1]:80, [::]:81, 127.0.0.1:81 }\n"
				" pool = p\n v6only = no }",
			"6: v6only \"no\": [::]:81" OVERLAP("127.0.0.1:81") },
		{ POOL "listener l {\n bind = 8080\n pool = p }",
			"3: bind \"8080\": an address is missing: write all there are as '*', "
			"like '*:8080'" },
		{ POOL "listener l {\n bind = [::]:80\n backlog = 0\n pool = p }",
			"4: backlog \"0\": write a whole number from 1 to 65535" },
		{ POOL "listener l {\n bind = [::]:80\n backlog = 65536\n pool = p }",
			"4: backlog \"65536\": write a whole number from 1 to 65535" },
		{ POOL "listener l {\n bind = [::]:80\n identity = proxy\n pool = p }",
			"4: identity \"proxy\": identity is proxy-v2, proxy-v1, none or "
			"transparent" },
		{ POOL "listener l { bind = [::]:80 pool = p timeouts {\n connect = 0ms } }",
			"3: connect \"0ms\": must be from 1ms to 10m" },
		{ POOL "listener l { bind = [::]:80 pool = p timeouts {\n connect = 601s } }",
			"3: connect \"601s\": must be from 1ms to 10m" },
		{ POOL "listener l { bind = [::]:80 pool = p timeouts {\n idle = 999ms } }",
			"3: idle \"999ms\": must be from 1s to 30d" },
		{ POOL "listener l { bind = [::]:80 pool = p timeouts {\n half-closed = 31d } }",
			"3: half-closed \"31d\": must be from 1s to 30d" },
		{ POOL "listener l { bind = [::]:80 pool = p timeouts {\n\n dead-peer = 61m } }",
			"4: dead-peer \"61m\": must be from 1s to 1h" },
		{ POOL "listener l { bind = [::]:80 pool = p timeouts {\n idle = never } }",
			"3: idle \"never\"" UNIT },
	};

	(void)state;
	check_broken(cases, COUNT(cases));
}

static void test_zero_byte(void **state)
{
	static const char text[] = "workers = 1\n# \0\n" REST;
	char error[CONFIG_ERROR_MAX];
	struct config *config;

	(void)state;
	assert_int_equal(parse_len(text, sizeof(text) - 1, &config, error), -EINVAL);
	assert_string_equal(error, "t.conf:2: a zero byte; this is no text file");
}

/* A message is cut, not torn out of shape, by what is in it. */
static void test_long_values(void **state)
{
	char text[2000], error[CONFIG_ERROR_MAX], expected[CONFIG_ERROR_MAX];
	struct config *config;

	(void)state;
	snprintf(text, sizeof(text), "workers = %0999d\n", 0);
	snprintf(expected, sizeof(expected),
		"t.conf:1: workers \"%0100d\": workers is auto or a number from 1 to 256", 0);
	assert_int_equal(parse_len(text, strlen(text), &config, error), -EINVAL);
	assert_string_equal(error, expected);
	snprintf(text, sizeof(text), "%0999d = 1\n", 0);
	snprintf(expected, sizeof(expected), "t.conf:1: unknown option '%040d'; known here: " KNOWN,
		0);
	assert_int_equal(parse_len(text, strlen(text), &config, error), -EINVAL);
	assert_string_equal(error, expected);
}

/* The end of a path, and nothing that a terminal would obey. */
static void test_odd_paths(void **state)
{
	static const char hint[] = ": File name too long; name a configuration file of up to 1 MiB";
	char path[5000], end[CONFIG_ERROR_MAX], error[CONFIG_ERROR_MAX], expected[1000];
	struct config *config;

	(void)state;
	memset(path, 'n', sizeof(path));
	strcpy(path + sizeof(path) - 9, "\x1b[2J\x7f\n.c");
	memset(end, 'n', CONFIG_SHORT_PATH_MAX);
	strcpy(end + CONFIG_SHORT_PATH_MAX - 8, "?[2J??.c");
	snprintf(expected, sizeof(expected), "%s:1: unknown option 'x'; known here: " KNOWN, end);
	assert_int_equal(config_file_parse(path, "x = 1", 5, &config, error), -EINVAL);
	assert_string_equal(error, expected);
	snprintf(expected, sizeof(expected), "%s%s", end, hint);
	assert_int_equal(config_file_load(path, &config, error), -ENAMETOOLONG);
	assert_string_equal(error, expected);
	/* Characters are not torn apart. */
	snprintf(path, sizeof(path), "\xc3\xa4%0*d", CONFIG_SHORT_PATH_MAX - 1, 0);
	assert_string_equal(config_short_path(path), path + 2);
}

/* What takes libconfuse longer the more there are. */
static void test_too_many_sections(void **state)
{
	const size_t most = 1024 * 1024;
	char *text = malloc(most + 20), error[CONFIG_ERROR_MAX];
	struct config *config;
	size_t len = 0;

	(void)state;
	assert_non_null(text);
	for (int i = 0; len < most; i++)
		len += (size_t)sprintf(text + len, "pool x%d {}\n", i);
	assert_int_equal(parse_len(text, len, &config, error), -EINVAL);
	assert_string_equal(error, "t.conf:4097: too many sections; a file may have 4096 in all");
	free(text);
}

/* Far more values than any list may have. */
static void test_long_lists(void **state)
{
	enum { N = 20000 };
	char *text = malloc((size_t)N * 2 + 100), error[CONFIG_ERROR_MAX];
	struct config *config;
	size_t len = 0;

	(void)state;
	assert_non_null(text);
	len += (size_t)sprintf(text, POOL "listener l { pool = p bind = {");
	for (int i = 0; i < N; i++)
		len += (size_t)sprintf(text + len, "1,");
	len += (size_t)sprintf(text + len, "}}");
	assert_int_equal(parse_len(text, len, &config, error), -EINVAL);
	assert_string_equal(error, "t.conf:2: bind \"1\": an address is missing: write all there "
				   "are as '*', like '*:8080'");
	free(text);
}

/* One parse leaves nothing behind that the next could stumble over. */
static void test_again_and_again(void **state)
{
	char error[CONFIG_ERROR_MAX];
	struct config *config;

	(void)state;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(parse_len("pool p { backend a }", 20, &config, error), -EINVAL);
		assert_int_equal(parse_len("workers = x", 11, &config, error), -EINVAL);
		config_free(parsed(REST));
	}
}

/* ---- files ---- */

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_config_file.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static const char *in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static const char *file_of(const char *text, size_t len)
{
	const char *path = in_dir("file.conf");
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
	return path;
}

static void assert_no_load(const char *path, int expected, const char *what)
{
	char error[CONFIG_ERROR_MAX], message[CONFIG_ERROR_MAX];
	struct config *config = NULL;

	snprintf(message, sizeof(message), "%s%s", path, what);
	assert_int_equal(config_file_load(path, &config, error), expected);
	assert_string_equal(error, message);
	assert_null(config);
}

static void test_load(void **state)
{
	char error[CONFIG_ERROR_MAX];
	const char *path = file_of(REST, strlen(REST));
	struct config *config;

	(void)state;
	assert_int_equal(config_file_load(path, &config, error), 0);
	assert_int_equal(config->n_listeners, 1);
	config_free(config);
	path = file_of("\nworkers = x\n", 13);
	assert_no_load(
		path, -EINVAL, ":2: workers \"x\": workers is auto or a number from 1 to 256");
	unlink(path);
}

static void test_load_refused(void **state)
{
	static const char hint[] = "; name a configuration file of up to 1 MiB";
	const size_t most = 1024 * 1024;
	char *big = malloc(most + 1), error[CONFIG_ERROR_MAX], what[128];
	struct config *config;
	const char *path;

	(void)state;
	assert_non_null(big);
	memset(big, '\n', most + 1);
	snprintf(what, sizeof(what), ": No such file or directory%s", hint);
	assert_no_load(in_dir("none.conf"), -ENOENT, what);
	snprintf(what, sizeof(what), ": Is a directory%s", hint);
	assert_no_load(in_dir("."), -EISDIR, what);
	path = file_of(big, most + 1);
	snprintf(what, sizeof(what), ": File too large%s", hint);
	assert_no_load(path, -EFBIG, what);
	memcpy(big, REST, strlen(REST));
	path = file_of(big, most);
	assert_int_equal(config_file_load(path, &config, error), 0);
	config_free(config);
	assert_int_equal(chmod(path, 0), 0);
	if (geteuid() != 0) {
		snprintf(what, sizeof(what), ": Permission denied%s", hint);
		assert_no_load(path, -EACCES, what);
	}
	unlink(path);
	free(big);
}

/* A fifo that nobody writes to is no reason to wait; one that is written to slowly is. */
static void test_load_fifo(void **state)
{
	const struct timespec moment = { .tv_nsec = 50000000 };
	char path[128], error[CONFIG_ERROR_MAX];
	struct config *config;
	int keeper, status;
	pid_t pid;

	(void)state;
	snprintf(path, sizeof(path), "%s", in_dir("fifo"));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_no_load(path, -EINVAL,
		":1: there is no listener; add: listener \"web\" { bind = "
		"\"*:80\" pool = \"web\" }");
	keeper = open(path, O_RDWR | O_CLOEXEC);
	assert_true(keeper >= 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		ssize_t n;

		nanosleep(&moment, NULL);
		n = write(keeper, REST, strlen(REST));
		nanosleep(&moment, NULL);
		_exit(n != (ssize_t)strlen(REST));
	}
	/* The child's copy keeps the fifo open for writing until all has been said. */
	close(keeper);
	assert_int_equal(config_file_load(path, &config, error), 0);
	config_free(config);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	unlink(path);
}

/* Somebody who serves clients does not wait for it. */
static void test_snapshot_of_fifo(void **state)
{
	char path[128], error[CONFIG_ERROR_MAX];
	int keeper, fd = -1;

	(void)state;
	snprintf(path, sizeof(path), "%s", in_dir("open-fifo"));
	assert_int_equal(mkfifo(path, 0600), 0);
	keeper = open(path, O_RDWR | O_CLOEXEC);
	assert_true(keeper >= 0);
	assert_int_equal(config_file_snapshot(path, false, &fd, error), -EAGAIN);
	assert_int_equal(fd, -1);
	assert_non_null(strstr(error, "name a configuration file"));
	close(keeper);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_limits_are_taken),
		cmocka_unit_test(test_udp),
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_clients),
		cmocka_unit_test(test_broken_syntax),
		cmocka_unit_test(test_broken_values),
		cmocka_unit_test(test_broken_listeners),
		cmocka_unit_test(test_zero_byte),
		cmocka_unit_test(test_long_values),
		cmocka_unit_test(test_odd_paths),
		cmocka_unit_test(test_too_many_sections),
		cmocka_unit_test(test_long_lists),
		cmocka_unit_test(test_again_and_again),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_load_refused),
		cmocka_unit_test(test_load_fifo),
		cmocka_unit_test(test_snapshot_of_fifo),
	};

	return cmocka_run_group_tests_name("config_file", tests, make_dir, remove_dir);
}
