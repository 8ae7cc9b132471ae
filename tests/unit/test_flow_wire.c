#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "flow_wire.h"

static struct sockaddr_any addr_of(const char *text)
{
	struct sockaddr_any addr = { 0 };
	const char *reason = "";

	assert_int_equal(sockaddr_parse(text, &addr, &reason), 0);
	return addr;
}

static uint8_t held[FLOW_WIRE_HELD_MAX];

/* Every member has a value of its own. */
static struct flow_wire make_tcp(void)
{
	struct flow_wire flow = {
		.protocol = IPPROTO_TCP,
		.identity = 1,
		.first_fin = 1,
		.guarded = true,
		.listener = "web",
		.pool = "servers",
		.bind = addr_of("[2001:db8:80::1]:80"),
		.client = addr_of("[2001:db8:1::10]:50000"),
		.local = addr_of("[2001:db8:80::1]:80"),
		.backend = addr_of("192.0.2.10:8080"),
		.source = addr_of("192.0.2.1:40000"),
		.peer = addr_of("[2001:db8:ffff::1]:4711"),
		.unique_id = { (const uint8_t *)"0123456789abcdef", 16 },
		.accepted_us = 0x1122334455667788,
		.connected_us = 0x1122334455667799,
		.active_ms = 123456789,
		.counted_in = 0x2233445566778899,
		.counted_out = 5,
		.timeouts = { 1, 2, 3, 4, 5, 6 },
	};

	for (size_t i = 0; i < sizeof(held); i++)
		held[i] = (uint8_t)(i * 7);
	flow.side[FLOW_WIRE_CLIENT] = (struct flow_wire_side){
		.readable = true,
		.urgent = true,
		.fin = true,
		.fin_sent = true,
		.bulk = true,
		.streak = 3,
		.bytes = -52,
		.acked = 7,
		.held = { held, sizeof(held) },
	};
	flow.side[FLOW_WIRE_BACKEND] = (struct flow_wire_side){
		.writable = true,
		.ending = true,
		.stalled = true,
		.ended = true,
		.bytes = INT64_MAX,
		.acked = UINT64_MAX,
		.pipe_len = 1048576,
	};
	return flow;
}

static struct flow_wire make_udp(void)
{
	struct flow_wire flow = make_tcp();

	flow.protocol = IPPROTO_UDP;
	memset(flow.side, 0, sizeof(flow.side));
	flow.session = (struct flow_wire_session){
		.bytes_in = 1,
		.bytes_out = 2,
		.datagrams_in = 3,
		.datagrams_out = 4,
		.flow_label = 0xfffff,
		.last_len = 1420,
		.traffic_class = 0xb8,
		.hop_limit = 64,
		.ask = 8,
		.answered = true,
		.confirmed = true,
		.header = { held, 52 },
	};
	return flow;
}

static void assert_bytes_equal(const struct flow_wire_bytes *a, const struct flow_wire_bytes *b)
{
	assert_int_equal(a->len, b->len);
	if (a->len > 0)
		assert_memory_equal(a->data, b->data, a->len);
}

/* But for the blobs, which point elsewhere, the two are the same to the byte. */
static void assert_same(const struct flow_wire *a, const struct flow_wire *b)
{
	struct flow_wire x = *a, y = *b;

	assert_bytes_equal(&a->session.header, &b->session.header);
	x.session.header.data = y.session.header.data = NULL;
	for (int i = 0; i < FLOW_WIRE_SIDES; i++) {
		assert_bytes_equal(&a->side[i].held, &b->side[i].held);
		x.side[i].held.data = y.side[i].held.data = NULL;
	}
	assert_true(sockaddr_equal(&x.client, &y.client) && sockaddr_equal(&x.peer, &y.peer));
	assert_memory_equal(&x.session, &y.session, sizeof(x.session));
	assert_memory_equal(&x.side, &y.side, sizeof(x.side));
	assert_memory_equal(&x.timeouts, &y.timeouts, sizeof(x.timeouts));
	assert_string_equal(x.listener, y.listener);
	assert_string_equal(x.pool, y.pool);
	assert_bytes_equal(&x.unique_id, &y.unique_id);
	assert_true(sockaddr_equal(&x.bind, &y.bind) && sockaddr_equal(&x.local, &y.local));
	assert_true(sockaddr_equal(&x.backend, &y.backend) && sockaddr_equal(&x.source, &y.source));
	assert_true(x.accepted_us == y.accepted_us && x.connected_us == y.connected_us &&
		    x.active_ms == y.active_ms);
	assert_true(x.counted_in == y.counted_in && x.counted_out == y.counted_out);
	assert_true(x.protocol == y.protocol && x.identity == y.identity &&
		    x.first_fin == y.first_fin && x.guarded == y.guarded);
}

static void test_there_and_back(void **state)
{
	const struct flow_wire flows[] = { make_tcp(), make_udp() };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct flow_wire got;
		uint8_t buf[FLOW_WIRE_MAX];
		size_t len = 0;

		memset(&got, 0, sizeof(got));
		assert_int_equal(flow_wire_encode(&flows[i], buf, sizeof(buf), &len), 0);
		assert_int_equal(flow_wire_decode(buf, len, &got), 0);
		assert_same(&flows[i], &got);
		assert_int_equal(flow_wire_fds(&got), i == 0 ? 4 : 1);
	}
}

static void test_every_size_of_buffer(void **state)
{
	struct flow_wire flow = make_udp();
	uint8_t buf[1024];
	size_t len = 0, again = 0;

	(void)state;
	assert_int_equal(flow_wire_encode(&flow, buf, sizeof(buf), &len), 0);
	for (size_t size = 0; size < len; size++) {
		again = 4711;
		assert_int_equal(flow_wire_encode(&flow, buf, size, &again), -ENOSPC);
		assert_int_equal(again, 4711);
	}
	assert_int_equal(flow_wire_encode(&flow, buf, len, &again), 0);
	assert_int_equal(again, len);
}

/* A message that is cut off lacks something, unless the cut is between two fields that may lack. */
static void test_every_prefix(void **state)
{
	struct flow_wire flow = make_udp(), got;
	uint8_t buf[1024];
	size_t len = 0;

	(void)state;
	assert_int_equal(flow_wire_encode(&flow, buf, sizeof(buf), &len), 0);
	for (size_t n = 0; n < len; n++) {
		uint8_t *copy = malloc(n + 1);
		int err;

		assert_non_null(copy);
		memcpy(copy, buf, n);
		err = flow_wire_decode(copy, n, &got);
		assert_true(err == 0 || err == -EBADMSG);
		free(copy);
	}
}

static void test_needed(void **state)
{
	struct flow_wire flow = make_tcp(), got;
	uint8_t buf[FLOW_WIRE_MAX];
	size_t len = 4711;

	(void)state;
	flow.protocol = IPPROTO_ICMP;
	assert_int_equal(flow_wire_encode(&flow, buf, sizeof(buf), &len), -EINVAL);
	flow = make_tcp();
	flow.listener[0] = '\0';
	assert_int_equal(flow_wire_encode(&flow, buf, sizeof(buf), &len), -EINVAL);
	flow = make_tcp();
	flow.client = (struct sockaddr_any){ 0 };
	assert_int_equal(flow_wire_encode(&flow, buf, sizeof(buf), &len), -EINVAL);
	flow = make_tcp();
	flow.backend = flow.client;
	assert_int_equal(flow_wire_encode(&flow, buf, sizeof(buf), &len), -EINVAL);
	flow = make_tcp();
	flow.side[FLOW_WIRE_CLIENT].pipe_len = 1; /* and bytes are held, too */
	assert_int_equal(flow_wire_encode(&flow, buf, sizeof(buf), &len), -EINVAL);
	assert_int_equal(len, 4711);
	assert_int_equal(flow_wire_decode((const uint8_t *)"6GFL\1", 5, &got), -EBADMSG);
}

static void test_versions(void **state)
{
	struct flow_wire flow = make_udp(), got;
	uint8_t buf[1024];
	size_t len = 0;

	(void)state;
	assert_int_equal(flow_wire_encode(&flow, buf, sizeof(buf), &len), 0);
	buf[4] = FLOW_WIRE_VERSION + 1;
	assert_int_equal(flow_wire_decode(buf, len, &got), -EPROTONOSUPPORT);
	buf[4] = FLOW_WIRE_VERSION;
	/* A field of a later release, and an integer that has become wider. */
	memcpy(buf + len, "\xff\xf0\0\3abc\0\x26\0\3\0\0\x11", 14);
	assert_int_equal(flow_wire_decode(buf, len + 14, &got), 0);
	assert_int_equal(got.session.ask, 0x11);
	memcpy(buf + len, "\0\x26\0\3\0\1\0", 7); /* 256 does not fit */
	assert_int_equal(flow_wire_decode(buf, len + 7, &got), -EBADMSG);
}

static void test_hostile_values(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} tails[] = {
		{ "\0\4\0\1\2", 5 },	 /* a flag of 2 */
		{ "\0\4\0\0", 4 },	 /* a flag of nothing */
		{ "\0\1\0\0", 4 },	 /* an integer of nothing */
		{ "\0\5\0\3a\0b", 7 },	 /* NUL in a name */
		{ "\0\x08\0\2\4\0", 6 }, /* half an address */
		{ "\0\x0e\0\x09"
		  "123456789",
			13 }, /* nine bytes */
		{ "\0\5\xff\xff"
		  "a",
			5 }, /* a length beyond the end */
		{ "\0", 1 },
	};
	struct flow_wire flow = make_udp(), got;
	uint8_t buf[1024];
	size_t len = 0;

	(void)state;
	assert_int_equal(flow_wire_encode(&flow, buf, sizeof(buf), &len), 0);
	memset(&got, 0xaa, sizeof(got));
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		memcpy(buf + len, tails[i].bytes, tails[i].len);
		assert_int_equal(flow_wire_decode(buf, len + tails[i].len, &got), -EBADMSG);
		assert_int_equal(got.protocol, 0xaa);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_every_size_of_buffer),
		cmocka_unit_test(test_every_prefix),
		cmocka_unit_test(test_needed),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_hostile_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
