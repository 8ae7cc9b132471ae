#include "unit.h"

#include <string.h>

#include "doctor_header.h"

static enum doctor_header_verdict judge(const char *answer, bool ended)
{
	return doctor_header_judge((const uint8_t *)answer, strlen(answer), ended);
}

static void test_judge(void **state)
{
	(void)state;
	assert_int_equal(judge("", false), DOCTOR_HEADER_FINE);
	assert_int_equal(judge("220 mail.example ESMTP\r\n", false), DOCTOR_HEADER_FINE);
	assert_int_equal(judge("HTTP", false), DOCTOR_HEADER_FINE);
	assert_int_equal(judge("HTTP/1.1 400 Bad Request\r\n", false), DOCTOR_HEADER_REFUSED);
	assert_int_equal(judge("HTTP/1.0 400 Bad request\r\n", true), DOCTOR_HEADER_REFUSED);
	assert_int_equal(judge("-ERR unknown command", false), DOCTOR_HEADER_REFUSED);
	assert_int_equal(judge("\x15\x03\x01", true), DOCTOR_HEADER_REFUSED);
	assert_int_equal(judge("", true), DOCTOR_HEADER_CLOSED);
	assert_int_equal(judge("\x15", true), DOCTOR_HEADER_CLOSED);
}

static const char *quote(const char *answer, char buf[static DOCTOR_ANSWER_TEXT])
{
	return doctor_header_quote((const uint8_t *)answer, strlen(answer), buf);
}

static void test_quote(void **state)
{
	char buf[DOCTOR_ANSWER_TEXT], longest[100];

	(void)state;
	assert_string_equal(quote("HTTP/1.1 400 Bad\r\nX: y\r\n", buf), "\"HTTP/1.1 400 Bad\"");
	assert_string_equal(quote("a\x1b[2J\xff\n", buf), "\"a?[2J?\"");
	assert_string_equal(quote("", buf), "\"\"");
	assert_string_equal(quote("\x15\x03\x03", buf), "a TLS alert");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(strlen(quote(longest, buf)), DOCTOR_ANSWER_TEXT - 1);
	assert_int_equal(buf[DOCTOR_ANSWER_TEXT - 2], '"');
}

/* A pool that two listeners share, and one server of it. */
struct site {
	struct config_listener listeners[2];
	struct config_pool pool;
	struct config config;
	struct doctor_facts facts;
	struct doctor_backend backend;
	struct sockaddr_any local;
};

static void site_init(struct site *site)
{
	*site = (struct site){ 0 };
	for (size_t i = 0; i < 2; i++)
		site->listeners[i] = (struct config_listener){ .identity = IDENTITY_PROXY_V2,
			.identity_v6 = IDENTITY_PROXY_V2,
			.protocol = IPPROTO_TCP };
	site->config.listeners = site->listeners;
	site->config.n_listeners = 2;
	site->config.pools = &site->pool;
	site->config.n_pools = 1;
	site->facts.config = &site->config;
	site->backend.pool = &site->pool;
	site->backend.protocol = IPPROTO_TCP;
	site->backend.addr.in.sin_family = site->local.in.sin_family = AF_INET;
	site->backend.addr.in.sin_addr.s_addr = site->local.in.sin_addr.s_addr = htonl(0xc0000201);
}

static bool make(const struct site *site, uint8_t buf[DOCTOR_HEADER_MAX], size_t *ret_len)
{
	return doctor_header_make(&site->facts, &site->backend, &site->local, buf, ret_len);
}

static void test_make(void **state)
{
	static const uint8_t local[] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
	uint8_t buf[DOCTOR_HEADER_MAX];
	struct site site;
	size_t len = 0;

	(void)state;
	site_init(&site);
	assert_true(make(&site, buf, &len));
	assert_int_equal(len, sizeof(local) - 1);
	assert_memory_equal(buf, local, len);
	site.listeners[0].identity = site.listeners[1].identity = IDENTITY_PROXY_V1;
	assert_true(make(&site, buf, &len));
	assert_int_equal(len, strlen("PROXY UNKNOWN\r\n"));
	assert_memory_equal(buf, "PROXY UNKNOWN\r\n", len);
	site_init(&site);
	site.pool.check.header = CONFIG_CHECK_HEADER_PROXY;
	assert_true(make(&site, buf, &len));
	assert_int_equal(len, 28);
}

static void test_make_nothing(void **state)
{
	uint8_t buf[DOCTOR_HEADER_MAX];
	struct site site;
	size_t len = 7;

	(void)state;
	site_init(&site);
	site.listeners[1].identity = IDENTITY_NONE; /* some of its clients have none */
	assert_false(make(&site, buf, &len));
	site_init(&site);
	site.listeners[0].identity = IDENTITY_TRANSPARENT;
	assert_false(make(&site, buf, &len));
	site_init(&site);
	site.pool.check.header = CONFIG_CHECK_HEADER_NONE;
	assert_false(make(&site, buf, &len));
	assert_int_equal(len, 7);
	site.pool.check.port = 8080;
	assert_true(make(&site, buf, &len));
	len = 7;
	site_init(&site);
	site.backend.pool = NULL;
	assert_false(make(&site, buf, &len));
	site_init(&site);
	site.config.n_listeners = 0;
	assert_false(make(&site, buf, &len));
	assert_int_equal(len, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_quote),
		cmocka_unit_test(test_make),
		cmocka_unit_test(test_make_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
