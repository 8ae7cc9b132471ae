#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "upstream.h"

#define V1  "PROXY TCP6 2001:db8::1 2001:db8::80 50000 443\r\n"
#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V2  SIG "\x21\x11\x00\x0c\xc6\x33\x64\x07\xcb\x00\x71\x50\x9c\x40\x01\xbb"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct sockaddr_any host(const char *text)
{
	struct sockaddr_any result;
	const char *reason;

	assert_int_equal(sockaddr_parse_host(text, &result, &reason), 0);
	return result;
}

static void assert_address(const struct sockaddr_any *addr, const char *expected)
{
	char buf[SOCKADDR_TEXT_MAX];

	assert_string_equal(sockaddr_format(addr, buf), expected);
}

/* ---- whom to believe ---- */

static void test_trusted(void **state)
{
	static const struct {
		const char *peer;
		bool trusted;
	} cases[] = {
		{ "2001:db8:ffff::1", true },
		{ "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true },
		{ "2001:db8:fffe:ffff:ffff:ffff:ffff:ffff", false },
		{ "2001:db8:1::5", true },
		{ "2001:db8:1::4", false },
		{ "192.0.2.127", true },
		{ "192.0.2.128", false },
		{ "::ffff:192.0.2.1", true },
		{ "::ffff:192.0.2.200", false },
		{ "::192.0.2.1", false },
		{ "::1", false },
		{ "127.0.0.1", false },
	};
	static const char *const from[] = { "2001:db8:ffff::/48", "192.0.2.0/25", "2001:db8:1::5" };
	struct config_accept_proxy accept_proxy = { 0 };
	const char *reason = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sockaddr_any peer = host(cases[i].peer);

		assert_false(upstream_is_trusted(&accept_proxy, &peer));
	}
	for (size_t i = 0; i < COUNT(from); i++)
		assert_int_equal(config_add_from(&accept_proxy, from[i], &reason), 0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sockaddr_any peer = host(cases[i].peer);

		if (upstream_is_trusted(&accept_proxy, &peer) != cases[i].trusted)
			fail_msg("%s", cases[i].peer);
	}
	free(accept_proxy.from);
}

/* ---- reading ---- */

struct wire {
	int near, far;
};

static struct wire wire_open(void)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	return (struct wire){ fds[0], fds[1] };
}

static void wire_close(struct wire *wire)
{
	close(wire->near);
	if (wire->far >= 0)
		close(wire->far);
}

static void say(const struct wire *wire, const void *data, size_t len)
{
	assert_int_equal(write(wire->far, data, len), (ssize_t)len);
}

static int read_header(const struct wire *wire, bool ended, struct proxyhdr *ret, const char **why)
{
	static uint8_t buf[UPSTREAM_HEADER_MAX];

	return upstream_read(wire->near, buf, ended, ret, why);
}

/* What is left in the socket. */
static void assert_rest(const struct wire *wire, const char *expected)
{
	char rest[64] = "";
	ssize_t n = recv(wire->near, rest, sizeof(rest) - 1, 0);

	assert_int_equal(n < 0 ? 0 : n, strlen(expected));
	assert_string_equal(rest, expected);
}

static void test_byte_by_byte(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} cases[] = { { V1, sizeof(V1) - 1 }, { V2, sizeof(V2) - 1 } };

	(void)state;
	for (size_t c = 0; c < COUNT(cases); c++) {
		struct wire wire = wire_open();
		struct proxyhdr header = { .version = 77 };
		const char *reason = NULL;

		for (size_t i = 0; i < cases[c].len; i++) {
			assert_int_equal(read_header(&wire, false, &header, &reason), -EAGAIN);
			say(&wire, cases[c].text + i, 1);
		}
		assert_int_equal(header.version, 77);
		assert_null(reason);
		say(&wire, "rest", 4);
		assert_int_equal(read_header(&wire, false, &header, &reason), 0);
		assert_int_equal(header.version, c + 1);
		assert_rest(&wire, "rest");
		wire_close(&wire);
	}
}

static void test_ends(void **state)
{
	struct proxyhdr header = { 0 };
	const char *reason = NULL;
	struct wire wire = wire_open();

	(void)state;
	say(&wire, V1, 20);
	assert_int_equal(read_header(&wire, false, &header, &reason), -EAGAIN);
	close(wire.far);
	wire.far = -1;
	assert_int_equal(read_header(&wire, true, &header, &reason), -EBADMSG);
	assert_string_equal(reason, "it ended in the middle of its header");
	wire_close(&wire);

	wire = wire_open();
	close(wire.far);
	wire.far = -1;
	assert_int_equal(read_header(&wire, true, &header, &reason), -ENODATA);
	wire_close(&wire);
	assert_int_equal(
		upstream_read(-1, (uint8_t[UPSTREAM_HEADER_MAX]){ 0 }, false, &header, &reason),
		-EBADF);
}

/* An end behind the header is the payload's. */
static void test_header_then_end(void **state)
{
	struct wire wire = wire_open();
	struct proxyhdr header;
	const char *reason = NULL;

	(void)state;
	say(&wire, V2 "bye", sizeof(V2) - 1 + 3);
	close(wire.far);
	wire.far = -1;
	assert_int_equal(read_header(&wire, true, &header, &reason), 0);
	assert_rest(&wire, "bye");
	wire_close(&wire);
}

static void test_length(void **state)
{
	static const char longer[] = "its header is longer than 4096 bytes";
	uint8_t data[UPSTREAM_HEADER_MAX + 1] = SIG "\x20";
	struct proxyhdr header;
	const char *reason = NULL;
	struct wire wire = wire_open();

	(void)state;
	data[14] = (UPSTREAM_HEADER_MAX - 16) >> 8;
	data[15] = (UPSTREAM_HEADER_MAX - 16) & 0xff;
	say(&wire, data, sizeof(data) - 2);
	assert_int_equal(read_header(&wire, false, &header, &reason), -EAGAIN);
	say(&wire, "xy", 2);
	assert_int_equal(read_header(&wire, false, &header, &reason), 0);
	assert_int_equal(header.consumed, UPSTREAM_HEADER_MAX);
	assert_rest(&wire, "y");
	wire_close(&wire);

	/* Known at once, as soon as the length is there. */
	wire = wire_open();
	data[15]++;
	say(&wire, data, 15);
	assert_int_equal(read_header(&wire, false, &header, &reason), -EAGAIN);
	say(&wire, data + 15, 1);
	assert_int_equal(read_header(&wire, false, &header, &reason), -EBADMSG);
	assert_string_equal(reason, longer);
	wire_close(&wire);
}

static void test_no_header(void **state)
{
	struct wire wire = wire_open();
	struct proxyhdr header;
	const char *reason = NULL;

	(void)state;
	say(&wire, "GET / HTTP/1.1\r\n", 16);
	assert_int_equal(read_header(&wire, false, &header, &reason), -EBADMSG);
	assert_string_equal(reason, proxyhdr_reason_text(PROXYHDR_REASON_SIGNATURE));
	wire_close(&wire);
}

/* ---- what it says ---- */

static struct proxyhdr decoded(const void *data, size_t len)
{
	struct proxyhdr header;

	assert_int_equal(
		proxyhdr_decode(data, len, PROXYHDR_ACCEPT_V1 | PROXYHDR_ACCEPT_V2, &header, NULL),
		0);
	return header;
}

static void test_named(void **state)
{
	struct proxyhdr header = decoded(V2, sizeof(V2) - 1);
	struct sockaddr_any src, dst;

	(void)state;
	assert_int_equal(upstream_ends(&header, &src, &dst), 0);
	assert_address(&src, "198.51.100.7:40000");
	assert_address(&dst, "203.0.113.80:443");
	header = decoded(V1, sizeof(V1) - 1);
	assert_int_equal(upstream_ends(&header, &src, &dst), 0);
	assert_address(&src, "[2001:db8::1]:50000");
	assert_address(&dst, "[2001:db8::80]:443");
}

static void test_nobody_named(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} cases[] = { { "PROXY UNKNOWN ::1 ::2 3 4\r\n", 27 }, { SIG "\x20\x00\x00\x00", 16 },
		{ SIG "\x20\x11\x00\x0c"
		      "abcdefghijkl",
			28 },
		{ SIG "\x21\x00\x00\x02"
		      "xx",
			18 } };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct proxyhdr header = decoded(cases[i].text, cases[i].len);
		struct sockaddr_any src = host("::1"), dst = host("::1");

		assert_int_equal(upstream_ends(&header, &src, &dst), 0);
		assert_int_equal(sockaddr_family(&src), AF_UNSPEC);
		assert_int_equal(sockaddr_family(&dst), AF_UNSPEC);
	}
}

static void test_unix(void **state)
{
	uint8_t data[232] = SIG "\x21\x31\x00\xd8/run/a";
	struct proxyhdr header = decoded(data, sizeof(data));
	struct sockaddr_any src = host("::1"), dst = host("::2");

	(void)state;
	assert_int_equal(upstream_ends(&header, &src, &dst), -EAFNOSUPPORT);
	assert_address(&src, "[::1]:0");
	assert_address(&dst, "[::2]:0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trusted),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_header_then_end),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_no_header),
		cmocka_unit_test(test_named),
		cmocka_unit_test(test_nobody_named),
		cmocka_unit_test(test_unix),
	};

	return cmocka_run_group_tests_name("upstream", tests, NULL, NULL);
}
