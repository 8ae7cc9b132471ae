#include "unit.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "access_log.h"

static struct sockaddr_any addr(const char *text)
{
	struct sockaddr_any result;
	const char *reason;

	assert_int_equal(sockaddr_parse(text, &result, &reason), 0);
	return result;
}

static struct access_log_record example(void)
{
	struct access_log_record record = {
		.ended_us = 1763870400123456U,
		.bytes_in = 1234567890123U,
		.bytes_out = 42,
		.duration_us = 1500250,
		.connect_us = 350,
		.client = addr("[2001:db8::1]:50000"),
		.local = addr("[2001:db8::80]:443"),
		.backend = addr("192.0.2.10:80"),
		.source = addr("192.0.2.1:40000"),
		.connected = true,
		.end = ACCESS_LOG_RESET,
		.by = ACCESS_LOG_BY_CLIENT,
		.identity = IDENTITY_PROXY_V2,
		.worker = 3,
		.listener = "web",
	};

	return record;
}

static void test_every_field(void **state)
{
	struct access_log_record record = example();
	char line[1024];

	(void)state;
	assert_int_equal(access_log_format(&record, line, sizeof(line)), 0);
	assert_string_equal(line,
		"{\"time\":\"2025-11-23T04:00:00.123Z\",\"listener\":\"web\",\"protocol\":\"tcp\","
		"\"client\":\"[2001:db8::1]:50000\",\"local\":\"[2001:db8::80]:443\","
		"\"backend\":\"192.0.2.10:80\",\"source\":\"192.0.2.1:40000\","
		"\"identity\":\"proxy-v2\",\"bytes_in\":1234567890123,\"bytes_out\":42,"
		"\"duration_ms\":1500.25,\"connect_ms\":0.35,\"end\":\"reset\","
		"\"by\":\"client\",\"worker\":3}");
}

static void test_what_is_not_known_is_null(void **state)
{
	struct access_log_record record = example();
	char line[1024];
	json_t *json;

	(void)state;
	record.connected = false;
	memset(&record.backend, 0, sizeof(record.backend));
	memset(&record.source, 0, sizeof(record.source));
	assert_int_equal(access_log_format(&record, line, sizeof(line)), 0);
	json = json_loads(line, 0, NULL);
	assert_non_null(json);
	assert_true(json_is_null(json_object_get(json, "connect_ms")));
	assert_true(json_is_null(json_object_get(json, "backend")));
	assert_true(json_is_null(json_object_get(json, "source")));
	json_decref(json);
}

static void test_peer(void **state)
{
	struct access_log_record record = example();
	char line[1024];

	(void)state;
	record.peer = addr("[2001:db8::a1]:40000");
	assert_int_equal(access_log_format(&record, line, sizeof(line)), 0);
	assert_non_null(strstr(line, "\"client\":\"[2001:db8::1]:50000\""));
	assert_non_null(strstr(line, "\"worker\":3,\"peer\":\"[2001:db8::a1]:40000\"}"));
}

static void check_id(const char *id, size_t len, const char *expected)
{
	struct access_log_record record = example();
	char line[1024];

	memcpy(record.unique_id, id, len);
	record.unique_id_len = (uint8_t)len;
	assert_int_equal(access_log_format(&record, line, sizeof(line)), 0);
	assert_non_null(strstr(line, expected));
}

static void test_unique_id(void **state)
{
	char id[ACCESS_LOG_UNIQUE_ID_MAX], expected[400] = "\"unique_id\":\"0x";

	(void)state;
	check_id("0123:ab\"c", 9, "\"unique_id\":\"0123:ab\\\"c\"");
	check_id("a b", 3, "\"unique_id\":\"0x612062\"");
	check_id("\0\xff", 2, "\"unique_id\":\"0x00ff\"");
	memset(id, 0xee, sizeof(id));
	for (size_t i = 0; i < sizeof(id); i++)
		strcat(expected, "ee");
	strcat(expected, "\"}");
	check_id(id, sizeof(id), expected);
}

/* Whatever bytes a broken worker writes, the result is one line of JSON. */
static void test_garbage(void **state)
{
	struct access_log_record record;
	char line[2048];

	(void)state;
	for (int fill = 0; fill < 256; fill++) {
		json_t *json;
		int err;

		memset(&record, fill, sizeof(record));
		record.connected = fill & 1;
		err = access_log_format(&record, line, sizeof(line));
		if (err == -ENOMEM) /* a name that is not UTF-8 */
			continue;
		assert_int_equal(err, 0);
		assert_null(strchr(line, '\n'));
		json = json_loads(line, 0, NULL);
		assert_non_null(json);
		json_decref(json);
	}
}

static void test_too_small(void **state)
{
	struct access_log_record record = example();
	char line[64];

	(void)state;
	assert_int_equal(access_log_format(&record, line, sizeof(line)), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_field),
		cmocka_unit_test(test_what_is_not_known_is_null),
		cmocka_unit_test(test_peer),
		cmocka_unit_test(test_unique_id),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_too_small),
	};

	return cmocka_run_group_tests_name("access_log", tests, NULL, NULL);
}
