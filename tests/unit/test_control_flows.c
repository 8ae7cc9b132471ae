#include "unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "control_flows.h"

#define NOW (UINT64_C(1795497129) * 1000000)

static struct config_listener listeners[] = {
	{ .name = (char[]){ "web" }, .protocol = IPPROTO_TCP },
	{ .name = (char[]){ "dns" }, .protocol = IPPROTO_UDP },
};
static const struct config config = { .listeners = listeners, .n_listeners = 2 };

static int filter_of(const char *text, struct who_filter *ret, struct control_error *error)
{
	json_t *args = json_loads(text, 0, NULL);
	int err;

	assert_non_null(args);
	err = control_flows_filter(args, &config, NOW, ret, error);
	json_decref(args);
	return err;
}

static void test_nothing(void **state)
{
	struct who_filter filter;
	struct control_error error;

	(void)state;
	assert_int_equal(control_flows_filter(NULL, &config, NOW, &filter, &error), 0);
	assert_null(filter.listener);
	assert_int_equal(sockaddr_family(&filter.client.addr), AF_UNSPEC);
	assert_int_equal(sockaddr_family(&filter.backend), AF_UNSPEC);
	assert_int_equal(filter.protocol, 0);
	assert_true(filter.from_us == 0 && filter.to_us == UINT64_MAX);
}

static void test_everything(void **state)
{
	struct who_filter filter;
	struct control_error error;

	(void)state;
	assert_int_equal(filter_of("{\"client\": \"2001:db8::/32\", \"backend\": \"10.0.0.1:80\","
				   " \"listener\": \"dns\", \"protocol\": \"udp\","
				   " \"older-than\": \"5s\", \"younger-than\": \"1h\"}",
				 &filter, &error),
		0);
	assert_ptr_equal(filter.listener, &listeners[1]);
	assert_int_equal(filter.client.len, 32);
	assert_int_equal(sockaddr_port(&filter.backend), 80);
	assert_int_equal(filter.protocol, IPPROTO_UDP);
	assert_true(filter.to_us == NOW - 5000000U);
	assert_true(filter.from_us == NOW - UINT64_C(3600000000));
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *args, *says;
	} wrong[] = {
		{ "{\"client\": \"somebody\"}", "client \"somebody\": " },
		{ "{\"backend\": \"[2001:db8::1]:80\"}", "IPv4" },
		{ "{\"listener\": \"mail\"}", "listener \"mail\": there is none" },
		{ "{\"protocol\": \"sctp\"}", "write tcp or udp" },
		{ "{\"older-than\": \"5\"}", "older-than \"5\": write a time" },
		{ "{\"younger-than\": \"soon\"}", "younger-than \"soon\": write a time" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct who_filter filter = { .protocol = 99 };
		struct control_error error;

		assert_int_equal(filter_of(wrong[i].args, &filter, &error), -EINVAL);
		assert_int_equal(error.code, CONTROL_BAD_ARGUMENT);
		assert_non_null(strstr(error.text, wrong[i].says));
		assert_int_equal(filter.protocol, 99);
	}
}

/* A time before all time is the beginning. */
static void test_long_ago(void **state)
{
	struct who_filter filter;
	struct control_error error;

	(void)state;
	assert_int_equal(filter_of("{\"younger-than\": \"100000d\"}", &filter, &error), 0);
	assert_true(filter.from_us == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_long_ago),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
