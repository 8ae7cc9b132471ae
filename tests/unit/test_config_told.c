#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_text.h"

#define POOL "pool p { backend 192.0.2.10:80 {} }\n"
#define BIND "listener l { bind = [::]:80 pool = p\n"

static void test_accept_proxy(void **state)
{
	struct config *config = parsed(
		POOL "listener a { bind = [::]:80 pool = p accept-proxy { from = { "
		     "\"2001:db8:ffff::/48\", 192.0.2.1, \"10.0.0.0/8\" } timeout = 1m } }\n"
		     "listener b { bind = [::]:81 pool = p accept-proxy { from = \"::/0\" } }\n"
		     "listener c { bind = [::]:82 pool = p }\n");
	const struct config_accept_proxy *a = &config->listeners[0].accept_proxy;
	char text[SOCKADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(a->n_from, 3);
	assert_string_equal(sockaddr_format(&a->from[0].addr, text), "[2001:db8:ffff::]:0");
	assert_int_equal(a->from[0].prefix_len, 48);
	assert_int_equal(a->from[1].prefix_len, 32);
	assert_int_equal(a->from[2].prefix_len, 8);
	assert_int_equal(a->timeout_ms, 60000);
	assert_int_equal(config->listeners[1].accept_proxy.from[0].prefix_len, 0);
	assert_int_equal(config->listeners[1].accept_proxy.timeout_ms, 3000);
	assert_int_equal(config->listeners[2].accept_proxy.n_from, 0);
	config_free(config);
}

static void test_accept_proxy_refused(void **state)
{
	static const struct broken cases[] = {
		{ POOL BIND "accept-proxy {\n} }",
			"4: accept-proxy: it does not say whose header is believed; add: from = "
			"\"2001:db8:ffff::/48\"" },
		{ POOL BIND "accept-proxy { from = {\n::1,\n\"2001:db8::1/48\" } } }",
			"5: from \"2001:db8::1/48\": the bits beyond the length of a prefix must "
			"be "
			"zero, like in 2001:db8::/48" },
		{ POOL BIND "accept-proxy { from = { ::1, ::1 } } }",
			"3: from \"::1\": the list has this already: write it once" },
		{ POOL BIND "accept-proxy { from = \"::ffff:192.0.2.1\" } }",
			"3: from \"::ffff:192.0.2.1\": write the IPv4 address itself, like "
			"192.0.2.1" },
		{ POOL BIND "accept-proxy { from = \"fe80::1%1\" } }",
			"3: from \"fe80::1%1\": leave out the '%' and what follows: an interface "
			"is "
			"not looked at" },
		{ POOL BIND "accept-proxy { from = \"ff02::1\" } }",
			"3: from \"ff02::1\": no proxy can have this address: name unicast "
			"addresses" },
		{ POOL BIND "accept-proxy { from = 0.0.0.0 } }",
			"3: from \"0.0.0.0\": no proxy can have this address: name unicast "
			"addresses" },
		{ POOL BIND "accept-proxy { from = proxy.example } }",
			"3: from \"proxy.example\": this is no address: write 192.0.2.1 or "
			"2001:db8::1, with or without a length like /24" },
		{ POOL BIND "accept-proxy { from = ::1 timeout = 99ms } }",
			"3: timeout \"99ms\": must be from 100ms to 1m" },
		{ POOL "listener l { bind = [::]:80 pool = p protocol = udp\naccept-proxy { from = "
		       "::1 } }",
			"3: accept-proxy: this goes with protocol = tcp only: remove it" },
		{ POOL "listener l { bind = 0.0.0.0:80 pool = p identity = transparent\n"
		       "accept-proxy { from = ::1 } }",
			"3: accept-proxy: a client that another proxy names cannot be shown by its "
			"own address; write identity = proxy-v2, or remove this" },
	};

	(void)state;
	check_broken(cases, COUNT(cases));
}

static void test_many_proxies(void **state)
{
	struct config_accept_proxy accept_proxy = { 0 };
	const char *reason = NULL;
	char text[32];

	(void)state;
	for (unsigned i = 0; i < CONFIG_FROM_MAX; i++) {
		snprintf(text, sizeof(text), "10.0.%u.0/24", i);
		assert_int_equal(config_add_from(&accept_proxy, text, &reason), 0);
	}
	assert_int_equal(config_add_from(&accept_proxy, "::1", &reason), -EINVAL);
	assert_string_equal(reason, "the list may have 256 addresses and prefixes");
	free(accept_proxy.from);
}

#define FROM "accept-proxy { from = ::1 }\n"

static void test_tlv(void **state)
{
	static const uint8_t custom[] = { 0xe0, 0, 6, 's', 'i', 't', 'e', '-', '1', 0xf7, 0, 0,
		0xea, 0, 2, 1, '%' };
	struct config *config = parsed(
		"pool p { header-max = 120 backend 192.0.2.10:80 {} }\n" BIND FROM
		"tlv { crc32c = yes unique-id = yes pass = { authority, 0xeb, \"0x5\" }\n"
		"custom 0xE0 { value = site-1 }\n"
		"custom \"0xf7\" { value = \"\" } custom 0xEA { value = \"%01%25\" } } }\n"
		"listener m { bind = [::]:81 pool = p }\n"
		"listener u { bind = [::]:80 pool = p protocol = udp tlv { crc32c = yes } }\n"
		"listener t { bind = { 0.0.0.0:82, [::]:82 } pool = p identity = transparent "
		"identity-ipv6 = proxy-v2 tlv { unique-id = yes } }\n");
	const struct config_tlvs *l = &config->listeners[0].tlvs;

	(void)state;
	assert_true(l->crc32c && l->unique_id);
	assert_int_equal(l->custom_len, sizeof(custom));
	assert_memory_equal(l->custom, custom, sizeof(custom));
	for (unsigned type = 0; type < 256; type++)
		assert_int_equal(
			config_tlvs_pass(l, (uint8_t)type), type == 2 || type == 5 || type == 0xeb);
	assert_int_equal(config->listeners[0].header_max, 120);
	assert_int_equal(config->listeners[1].header_max, 120);
	assert_int_equal(config->listeners[1].tlvs.custom_len, 0);
	assert_true(config->listeners[2].tlvs.crc32c);
	config_free(config);
	config = parsed(POOL BIND "}");
	assert_int_equal(config->pools[0].header_max, 4096);
	assert_int_equal(config->listeners[0].header_max, 4096);
	config_free(config);
}

static void test_tlv_refused(void **state)
{
	static const char forms[] =
		"what is passed on is alpn, authority, unique-id, ssl, netns, or "
		"a number from 0x01 to 0xFF";
	static const char types[] = "a TLV of your own has a type from 0xE0 to 0xEF, or for "
				    "experiments from 0xF0 to 0xF7";
	static const char *const bad_pass[] = { "", "sni", "0x", "0x0", "0x100", "234", "0xEA ",
		"0xG0", "-1" };
	static const char *const bad_types[] = { "", "0xDF", "0xF8", "0x05", "alpn", "224" };
	static const struct broken cases[] = {
		{ POOL BIND "identity = proxy-v1\ntlv { crc32c = yes } }",
			"4: tlv: only a header of version 2 has room for this; write identity = "
			"proxy-v2, or remove it" },
		{ POOL BIND "identity = none tlv { } }",
			"3: tlv: only a header of version 2 has room for this; write identity = "
			"proxy-v2, or remove it" },
		{ POOL BIND "tlv {\ncrc32c = 1 } }", "4: crc32c \"1\": write yes or no" },
		{ POOL BIND "tlv { pass = {\nalpn } } }",
			"4: pass \"alpn\": no other proxy's header is read, so there is nothing to "
			"pass on; add accept-proxy { from = ... }, or remove this" },
		{ POOL "listener l { protocol = udp bind = [::]:80 pool = p\ntlv { pass = alpn } }",
			"3: pass \"alpn\": in datagrams no other proxy's header is read, so there "
			"is nothing to pass on: remove it" },
		{ POOL BIND FROM "tlv { pass = { alpn,\n0x01 } } }",
			"5: pass \"0x01\": the list has this already: write it once" },
		{ POOL BIND FROM "tlv { pass = 0x03 } }",
			"4: pass \"0x03\": a checksum goes with one header only; a new one is made "
			"by crc32c = yes" },
		{ POOL BIND FROM "tlv { pass = 0x04 } }",
			"4: pass \"0x04\": this type says nothing, and is never passed on: remove "
			"it" },
		{ POOL BIND FROM "tlv { pass = 0x22 } }",
			"4: pass \"0x22\": this type stands inside of ssl: pass that on" },
		{ POOL BIND FROM "tlv { pass = 0xEA\ncustom 0xea { value = x } } }",
			"5: custom \"0xea\": a fixed TLV has this type, and servers would get two: "
			"take one of the two away, custom or pass" },
		{ POOL BIND "tlv {\ncustom 0xE0 {\n} } }",
			"5: custom \"0xE0\": its value is missing; add: value = \"site-1\"" },
		{ POOL BIND "tlv { custom 0xE0 { value = x }\ncustom 0xe0 { value = x } } }",
			"4: custom \"0xe0\": there is one of this type already: write it once" },
		{ POOL BIND "tlv { custom 0xE0 { value = \"%0\" } } }",
			"3: value \"%0\": two hexadecimal digits follow a %, like %0d%0a for the "
			"end "
			"of a line; write %25 for a % of its own" },
		{ "pool p {\nheader-max = 27\nbackend 192.0.2.10:80 {} }" BIND "}",
			"2: header-max \"27\": write a whole number from 28 to 4096" },
		{ "pool p {\nheader-max = 51\nbackend 192.0.2.10:80 {} }" BIND "}",
			"2: header-max \"51\": the header of listener \"l\" takes up to 52 bytes; "
			"write 52 if the servers of pool \"p\" take that, or identity = proxy-v2 "
			"or "
			"none in the listener" },
	};
	struct config_tlvs tlvs = { 0 };
	char value[256] = "";
	const char *reason = NULL;

	(void)state;
	check_broken(cases, COUNT(cases));
	for (size_t i = 0; i < COUNT(bad_pass); i++) {
		assert_int_equal(config_add_pass(&tlvs, bad_pass[i], &reason), -EINVAL);
		assert_string_equal(reason, forms);
	}
	for (size_t i = 0; i < COUNT(bad_types); i++) {
		assert_int_equal(config_add_custom(&tlvs, bad_types[i], "", 0, &reason), -EINVAL);
		assert_string_equal(reason, types);
	}
	assert_int_equal(config_add_custom(&tlvs, "0xE0", value, 256, &reason), -EINVAL);
	assert_string_equal(reason, "its value may have 255 bytes");
	assert_null(tlvs.custom);
}

/* What the header may take, to the byte. */
static void test_header_max(void **state)
{
	static const struct {
		const char *listener;
		unsigned len;
	} cases[] = {
		{ "bind = [::]:80", 52 },
		{ "bind = 0.0.0.0:80", 28 },
		{ "bind = 0.0.0.0:80 accept-proxy { from = ::1 }", 52 },
		{ "bind = \"*:80\" tlv { crc32c = yes }", 59 },
		{ "bind = 0.0.0.0:80 tlv { crc32c = yes unique-id = yes }", 70 },
		{ "bind = [::]:80 tlv { unique-id = yes custom 0xE0 { value = abc } }", 93 },
		{ "bind = [::]:80 identity = proxy-v1", 104 },
		{ "bind = 0.0.0.0:80 identity = proxy-v1", 56 },
		{ "bind = [::]:80 protocol = udp tlv { unique-id = yes }", 87 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[300], error[CONFIG_ERROR_MAX], expected[80];
		struct config *config = NULL;

		snprintf(text, sizeof(text),
			"pool p { header-max = %u backend 192.0.2.10:80 {} } listener l { pool = p "
			"%s "
			"}",
			cases[i].len, cases[i].listener);
		config_free(parsed(text));
		if (cases[i].len == CONFIG_HEADER_MIN)
			continue;
		snprintf(text, sizeof(text),
			"pool p { header-max = %u backend 192.0.2.10:80 {} } listener l { pool = p "
			"%s "
			"}",
			cases[i].len - 1, cases[i].listener);
		assert_int_equal(
			config_file_parse("t", text, strlen(text), &config, error), -EINVAL);
		snprintf(expected, sizeof(expected), "takes up to %u bytes; write %u if",
			cases[i].len, cases[i].len);
		if (!strstr(error, expected))
			fail_msg("%s", error);
	}
}

/* Custom values that are too much for datagrams, or for a listener that has no pool. */
static void test_long_custom(void **state)
{
	char value[256], text[8000], error[CONFIG_ERROR_MAX];
	struct config *config = NULL;
	size_t len;

	(void)state;
	memset(value, 'v', 255);
	value[255] = '\0';
	snprintf(text, sizeof(text),
		POOL "listener l { protocol = udp bind = [::]:80 pool = p tlv {\n"
		     "custom 0xE0 { value = %.185s }\n} }",
		value);
	config_free(parsed(text));
	snprintf(text, sizeof(text),
		POOL "listener l { protocol = udp bind = [::]:80 pool = p tlv {\n"
		     "custom 0xE0 { value = %.186s }\n} }",
		value);
	assert_int_equal(config_file_parse("t", text, strlen(text), &config, error), -EINVAL);
	assert_string_equal(error,
		"t:4: tlv: the header of listener \"l\" takes 241 bytes, and in datagrams it may "
		"have 240: shorten a custom value, or remove one");
	len = (size_t)snprintf(text, sizeof(text),
		"listener l { bind = \"[2001:db8::/96]:80\" backend = embedded allow = 10.0.0.1 "
		"tlv {");
	for (unsigned type = 0xe0; type <= 0xef; type++)
		len += (size_t)snprintf(
			text + len, sizeof(text) - len, "custom 0x%x { value = %s } ", type, value);
	snprintf(text + len, sizeof(text) - len, "} }");
	assert_int_equal(config_file_parse("t", text, strlen(text), &config, error), -EINVAL);
	assert_string_equal(error,
		"t:1: tlv: the header of listener \"l\" takes 4180 bytes, and it may have 4096: "
		"shorten a custom value, or remove one");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accept_proxy),
		cmocka_unit_test(test_accept_proxy_refused),
		cmocka_unit_test(test_many_proxies),
		cmocka_unit_test(test_tlv),
		cmocka_unit_test(test_tlv_refused),
		cmocka_unit_test(test_header_max),
		cmocka_unit_test(test_long_custom),
	};

	return cmocka_run_group_tests_name("config_told", tests, NULL, NULL);
}
