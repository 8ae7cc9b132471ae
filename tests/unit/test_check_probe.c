#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "check_probe.h"

static const struct sockaddr_any local = {
	.in = { .sin_family = AF_INET, .sin_addr = { 0x010200c0 }, .sin_port = 0x3930 },
};
static const struct sockaddr_any backend = {
	.in = { .sin_family = AF_INET, .sin_addr = { 0x0a0200c0 }, .sin_port = 0x5000 },
};

static size_t request(const struct config_check *check, enum identity identity, uint8_t *buf)
{
	size_t len = 0;

	assert_int_equal(check_probe_request(check, identity, &local, &backend, buf, &len), 0);
	return len;
}

static void check_request(
	const struct config_check *check, enum identity identity, const void *expected, size_t len)
{
	uint8_t buf[CHECK_PROBE_MAX];

	assert_int_equal(request(check, identity, buf), len);
	assert_memory_equal(buf, expected, len);
}

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static void test_headers(void **state)
{
	static const char lone[] = SIGNATURE "\x20\0\0";
	static const char proxy[] =
		SIGNATURE "\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x0a\x30\x39\0\x50";
	static const char datagram[] =
		SIGNATURE "\x21\x12\0\x0c\xc0\0\x02\x01\xc0\0\x02\x0a\x30\x39\0\x50"
			  "ping";
	static const char v1[] = "PROXY TCP4 192.0.2.1 192.0.2.10 12345 80\r\n";
	struct config_check check = { .type = CONFIG_CHECK_TCP };

	(void)state;
	check_request(&check, IDENTITY_PROXY_V2, lone, 16);
	check_request(&check, IDENTITY_PROXY_V2_FIRST, lone, 16);
	check_request(&check, IDENTITY_PROXY_V1, "PROXY UNKNOWN\r\n", 15);
	check_request(&check, IDENTITY_NONE, "", 0);
	check_request(&check, IDENTITY_TRANSPARENT, "", 0);
	check.port = 8080;
	check_request(&check, IDENTITY_PROXY_V2, "", 0);
	check.header = CONFIG_CHECK_HEADER_LOCAL;
	check_request(&check, IDENTITY_PROXY_V2, lone, 16);
	check_request(&check, IDENTITY_NONE, lone, 16);
	check.header = CONFIG_CHECK_HEADER_PROXY;
	check_request(&check, IDENTITY_PROXY_V2, proxy, 28);
	check_request(&check, IDENTITY_PROXY_V1, v1, strlen(v1));
	check.type = CONFIG_CHECK_UDP;
	check.send = (char[]){ "ping" };
	check.send_len = 4;
	check_request(&check, IDENTITY_PROXY_V2, datagram, 32);
	check.header = CONFIG_CHECK_HEADER_NONE;
	check_request(&check, IDENTITY_PROXY_V2, "ping", 4);
}

static void test_http_request(void **state)
{
	static const char plain[] =
		"GET / HTTP/1.1\r\nHost: 192.0.2.10:80\r\nUser-Agent: sixgate\r\n"
		"Connection: close\r\n\r\n";
	static const char full[] = "PROXY UNKNOWN\r\nHEAD /up?a=b HTTP/1.1\r\nHost: example.org\r\n"
				   "User-Agent: sixgate\r\nConnection: close\r\n\r\n";
	char longest[CONFIG_CHECK_TEXT_MAX + 1] = { 0 };
	struct config_check check = { .type = CONFIG_CHECK_HTTP };
	uint8_t buf[CHECK_PROBE_MAX];

	(void)state;
	check_request(&check, IDENTITY_NONE, plain, strlen(plain));
	memset(longest, 'x', CONFIG_CHECK_TEXT_MAX);
	check.method = check.path = check.host = longest;
	check.header = CONFIG_CHECK_HEADER_PROXY;
	assert_true(request(&check, IDENTITY_PROXY_V1, buf) > 3 * CONFIG_CHECK_TEXT_MAX);
	check = (struct config_check){
		.type = CONFIG_CHECK_HTTP,
		.method = (char[]){ "HEAD" },
		.path = (char[]){ "/up?a=b" },
		.host = (char[]){ "example.org" },
	};
	check_request(&check, IDENTITY_PROXY_V1, full, strlen(full));
}

/* Byte by byte: it must not make up its mind too early, nor another way with less. */
static void check_answer(
	const struct config_check *check, const char *answer, enum check_verdict expected)
{
	const char *reason = NULL;
	size_t len = strlen(answer);
	enum check_verdict verdict = CHECK_MORE;

	for (size_t i = 0; i < len && verdict == CHECK_MORE; i++)
		verdict = check_probe_judge(check, (const uint8_t *)answer, i, false, &reason);
	if (verdict == CHECK_MORE)
		verdict = check_probe_judge(check, (const uint8_t *)answer, len, true, &reason);
	assert_int_equal(verdict, expected);
	assert_int_equal(reason != NULL, expected == CHECK_FAIL);
}

static void test_http_answers(void **state)
{
	struct config_check check = {
		.type = CONFIG_CHECK_HTTP,
		.status_min = 200,
		.status_max = 399,
	};

	(void)state;
	check_answer(&check, "HTTP/1.1 200 OK\r\n\r\n", CHECK_PASS);
	check_answer(&check, "HTTP/1.0 399\r\n\r\n", CHECK_PASS);
	check_answer(&check, "HTTP/1.1 400 OK\r\n\r\n", CHECK_FAIL);
	check_answer(&check, "HTTP/1.1 199 OK\r\n\r\n", CHECK_FAIL);
	check_answer(&check, "HTTP/1.1 2x0 OK\r\n\r\n", CHECK_FAIL);
	check_answer(&check, "HTTP/2.0 200 OK\r\n\r\n", CHECK_FAIL);
	check_answer(&check, "SSH-2.0-OpenSSH_9.2p1\r\n", CHECK_FAIL);
	check_answer(&check, "HTTP/1.1", CHECK_FAIL);
	check_answer(&check, "", CHECK_FAIL);
	check.expect = (char[]){ "all well" };
	check.expect_len = 8;
	check_answer(&check, "HTTP/1.1 200 OK\r\n\r\nall is well", CHECK_FAIL);
	check_answer(&check, "HTTP/1.1 200 OK\r\n\r\nis all well?", CHECK_PASS);
	check_answer(&check, "HTTP/1.1 500 OK\r\n\r\nall well", CHECK_FAIL);
}

static void test_other_answers(void **state)
{
	static uint8_t endless[CHECK_PROBE_ANSWER];
	struct config_check check = {
		.type = CONFIG_CHECK_SEND_EXPECT, .expect = (char[]){ "220 " }, .expect_len = 4
	};
	const char *reason = NULL;

	(void)state;
	check_answer(&check, "220 mail ESMTP\r\n", CHECK_PASS);
	check_answer(&check, "421 busy\r\n", CHECK_FAIL);
	check_answer(&check, "", CHECK_FAIL);
	assert_int_equal(check_probe_judge(&check, endless, sizeof(endless) - 1, false, &reason),
		CHECK_MORE);
	assert_int_equal(
		check_probe_judge(&check, endless, sizeof(endless), false, &reason), CHECK_FAIL);
	check.type = CONFIG_CHECK_UDP;
	check_answer(&check, "", CHECK_FAIL);
	check_answer(&check, "220 yes", CHECK_PASS);
	check.expect = NULL;
	check_answer(&check, "", CHECK_PASS);
	check_answer(&check, "?", CHECK_PASS);
	check.type = CONFIG_CHECK_TCP;
	check_answer(&check, "", CHECK_PASS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_http_request),
		cmocka_unit_test(test_http_answers),
		cmocka_unit_test(test_other_answers),
	};

	return cmocka_run_group_tests_name("check_probe", tests, NULL, NULL);
}
