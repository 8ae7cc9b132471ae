#include "unit.h"

#include <netinet/in.h>
#include <string.h>

#include "socket_name.h"

static void test_there_and_back(void **state)
{
	static const char *const names[] = {
		"tcp [2001:db8::1]:80 0",
		"tcp v6only [::]:80 3",
		"tcp 0.0.0.0:80 12",
		"udp 192.0.2.1:53 1",
		"tcp [2001:db8:81::/64]:443 0",
		"tcp [2001:db8::1]:30000-31000 2",
		"udp 192.0.2.0/24:5000-5001 7",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct socket_name name = { 0 };
		char text[ESTATE_NAME_MAX];

		assert_true(socket_name_parse(names[i], &name));
		assert_string_equal(socket_name_text(&name, "", text), names[i]);
	}
}

static void test_what_is_read(void **state)
{
	struct socket_name name = { 0 };

	(void)state;
	assert_true(socket_name_parse("tcp v6only [::]:80 3", &name));
	assert_true(name.v6only && name.row == 3 && name.bind.protocol == IPPROTO_TCP);
	assert_true(name.bind.prefix_len == 0 && name.bind.port_max == 80);
	assert_true(socket_name_parse("udp [2001:db8::/64]:1-9 0", &name));
	assert_true(!name.v6only && name.bind.protocol == IPPROTO_UDP);
	assert_true(name.bind.prefix_len == 64 && name.bind.port_max == 9);
	assert_true(socket_name_parse("tcp 192.0.2.1:80 0", &name));
	assert_true(name.bind.prefix_len == 32);
}

static void test_other_names(void **state)
{
	static const char *const names[] = {
		"",
		"tcp",
		"tcp ",
		"tcp 0",
		"control",
		"guard table",
		"process 1 channel",
		"tcp [::]:80 0 owner",
		"tcp [::]:80",
		"tcp [::]:* 0",
		"tcp [::]:80-x 0",
		"tcp [::]:99999 0",
		"tcp [2001:db8::/]:80 0",
		"tcp [2001:db8::/999]:80 0",
		"tcp[::]:80 0",
		"sctp [::]:80 0",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct socket_name name = { 0 };

		assert_false(socket_name_parse(names[i], &name));
		assert_int_equal(name.bind.protocol, 0);
	}
}

static bool contends(const char *a, const char *b)
{
	struct socket_name x = { 0 }, y = { 0 };

	assert_true(socket_name_parse(a, &x) && socket_name_parse(b, &y));
	assert_int_equal(socket_name_contends(&x, &y.bind), socket_name_contends(&y, &x.bind));
	return socket_name_contends(&x, &y.bind);
}

static void test_rivals(void **state)
{
	(void)state;
	assert_true(contends("tcp [2001:db8::1]:80 0", "tcp [::]:80 0"));
	assert_true(contends("tcp 192.0.2.1:80 0", "tcp [::]:80 0"));
	assert_true(contends("udp [2001:db8::]:53-60 0", "udp [2001:db8::/64]:53 0"));
	assert_false(contends("tcp [2001:db8::1]:80 0", "tcp [2001:db8::2]:80 0"));
	assert_false(contends("tcp [2001:db8::1]:80 0", "tcp [::]:81 0"));
	assert_false(contends("tcp [2001:db8::1]:80 0", "udp [::]:80 0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_what_is_read),
		cmocka_unit_test(test_other_names),
		cmocka_unit_test(test_rivals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
