#include "unit.h"

#include <errno.h>
#include <string.h>

#include "icmp_error.h"

static struct sockaddr_any addr(const char *text)
{
	struct sockaddr_any parsed;
	const char *reason;

	assert_int_equal(sockaddr_parse(text, &parsed, &reason), 0);
	return parsed;
}

struct fixture {
	struct sockaddr_any client, local;
	struct icmp_error_quote quote;
	uint8_t payload[65536];
	uint8_t buf[ICMP_ERROR_MAX];
	size_t len;
};

static struct fixture *made(const char *client, const char *local, size_t payload_len)
{
	static struct fixture f;

	f = (struct fixture){ .client = addr(client), .local = addr(local) };
	for (size_t i = 0; i < sizeof(f.payload); i++)
		f.payload[i] = (uint8_t)(i * 7 + i / 256);
	f.quote = (struct icmp_error_quote){ .client = &f.client,
		.local = &f.local,
		.flow_label = 0xabcde,
		.traffic_class = 0xb8,
		.hop_limit = 61,
		.payload = f.payload,
		.payload_len = payload_len,
		.datagram_len = payload_len };
	return &f;
}

static uint16_t sum_of(const uint8_t *data, size_t len, uint32_t start)
{
	uint64_t sum = start;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Byte by byte, worked out by hand; the UDP checksum by another program. */
static void test_too_big_v6(void **state)
{
	struct fixture *f = made("[2001:db8::1]:4660", "[2001:db8:80::2]:53", 3);
	static const uint8_t expected[] = { 2, 0, 0, 0, 0, 0, 5, 0xbc, /* Packet Too Big, 1468 */
		0x6b, 0x8a, 0xbc, 0xde, 0, 11, 17, 61,		       /* IPv6 */
		0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x20, 0x01, 0x0d, 0xb8,
		0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, /* UDP */
		0x12, 0x34, 0, 53, 0, 11, 0x83, 0x73, 0, 7, 14 };

	(void)state;
	assert_int_equal(
		icmp_error_encode(ICMP_ERROR_TOO_BIG, 1468, &f->quote, f->buf, &f->len), 0);
	assert_int_equal(f->len, sizeof(expected));
	assert_memory_equal(f->buf, expected, sizeof(expected));
}

static void test_kinds(void **state)
{
	static const struct {
		enum icmp_error_kind kind;
		uint8_t type6, code6, code4;
	} kinds[] = { { ICMP_ERROR_PORT, 1, 4, 3 }, { ICMP_ERROR_ADDRESS, 1, 3, 1 },
		{ ICMP_ERROR_NO_ROUTE, 1, 0, 0 }, { ICMP_ERROR_PROHIBITED, 1, 1, 13 },
		{ ICMP_ERROR_TOO_BIG, 2, 0, 4 } };

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct fixture *f = made("[2001:db8::1]:1", "[2001:db8::2]:2", 0);

		assert_int_equal(
			icmp_error_encode(kinds[i].kind, 1400, &f->quote, f->buf, &f->len), 0);
		assert_int_equal(f->len, 8 + 40 + 8);
		assert_int_equal(f->buf[0], kinds[i].type6);
		assert_int_equal(f->buf[1], kinds[i].code6);
		f = made("192.0.2.1:1", "192.0.2.2:2", 9);
		assert_int_equal(
			icmp_error_encode(kinds[i].kind, 1400, &f->quote, f->buf, &f->len), 0);
		assert_int_equal(f->len, 8 + 20 + 8 + 9);
		assert_int_equal(f->buf[0], 3);
		assert_int_equal(f->buf[1], kinds[i].code4);
		assert_int_equal(
			f->buf[6] << 8 | f->buf[7], kinds[i].kind == ICMP_ERROR_TOO_BIG ? 1400 : 0);
		assert_int_equal(sum_of(f->buf, f->len, 0), 0xffff);
		assert_int_equal(sum_of(f->buf + 8, 20, 0), 0xffff);
		/* The pseudo header: addresses, protocol, length. */
		assert_int_equal(
			sum_of(f->buf + 28, f->len - 28, sum_of(f->buf + 20, 8, 17 + 8 + 9)),
			0xffff);
	}
}

static void test_checksum_of_all_lengths(void **state)
{
	(void)state;
	for (size_t n = 0; n < 200; n++) {
		struct fixture *f = made("[2001:db8::1]:1", "[2001:db8::2]:2", n);

		assert_int_equal(
			icmp_error_encode(ICMP_ERROR_PORT, 0, &f->quote, f->buf, &f->len), 0);
		assert_int_equal(sum_of(f->buf + 48, f->len - 48,
					 sum_of(f->buf + 16, 32, 17 + 8 + (uint32_t)n)),
			0xffff);
	}
}

/* No error's packet is longer than every link takes; the lengths tell of the whole datagram. */
static void test_cut(void **state)
{
	struct fixture *f = made("[2001:db8::1]:1", "[2001:db8::2]:2", 5000);

	(void)state;
	assert_int_equal(icmp_error_encode(ICMP_ERROR_PORT, 0, &f->quote, f->buf, &f->len), 0);
	assert_int_equal(f->len + 40, 1280);
	assert_int_equal(f->buf[12] << 8 | f->buf[13], 5008);
	assert_int_equal(f->buf[52] << 8 | f->buf[53], 5008);
	assert_memory_equal(f->buf + 56, f->payload, f->len - 56);
	f = made("192.0.2.1:1", "192.0.2.2:2", 5000);
	assert_int_equal(icmp_error_encode(ICMP_ERROR_PORT, 0, &f->quote, f->buf, &f->len), 0);
	assert_int_equal(f->len + 20, 576);
}

/* A server's error may quote less than there was. */
static void test_not_all_at_hand(void **state)
{
	struct fixture *f = made("[2001:db8::1]:1", "[2001:db8::2]:2", 10);

	(void)state;
	f->quote.datagram_len = 900;
	assert_int_equal(icmp_error_encode(ICMP_ERROR_PORT, 0, &f->quote, f->buf, &f->len), 0);
	assert_int_equal(f->len, 8 + 40 + 8 + 10);
	assert_int_equal(f->buf[52] << 8 | f->buf[53], 908);
	assert_int_equal(f->buf[54] << 8 | f->buf[55], 0);
}

static void test_refused(void **state)
{
	struct fixture *f = made("[2001:db8::1]:1", "192.0.2.2:2", 10);

	(void)state;
	f->len = 77;
	assert_int_equal(
		icmp_error_encode(ICMP_ERROR_PORT, 0, &f->quote, f->buf, &f->len), -EINVAL);
	f = made("[2001:db8::1]:1", "[2001:db8::2]:2", 65528);
	f->len = 77;
	assert_int_equal(
		icmp_error_encode(ICMP_ERROR_PORT, 0, &f->quote, f->buf, &f->len), -EINVAL);
	assert_int_equal(f->len, 77);
	f->quote.datagram_len = f->quote.payload_len = 65527;
	assert_int_equal(icmp_error_encode(ICMP_ERROR_PORT, 0, &f->quote, f->buf, &f->len), 0);
	f->quote.datagram_len = 5;
	assert_int_equal(
		icmp_error_encode(ICMP_ERROR_PORT, 0, &f->quote, f->buf, &f->len), -EINVAL);
}

static void test_mtu(void **state)
{
	const struct sockaddr_any v6 = addr("[2001:db8::1]:1"), v4 = addr("192.0.2.1:1");

	(void)state;
	assert_int_equal(icmp_error_mtu(&v6, 1500, 52), 1468);
	assert_int_equal(icmp_error_mtu(&v6, 9000, 52), 8968);
	assert_int_equal(icmp_error_mtu(&v6, 1280, 52), 1280);
	assert_int_equal(icmp_error_mtu(&v6, 0, 52), 1280);
	assert_int_equal(icmp_error_mtu(&v4, 1500, 28), 1472);
	assert_int_equal(icmp_error_mtu(&v4, 0, 28), 68);
}

static void test_of_icmp4(void **state)
{
	enum icmp_error_kind kind = ICMP_ERROR_TOO_BIG;

	(void)state;
	assert_int_equal(icmp_error_of_icmp4(3, 3, &kind), 0);
	assert_int_equal(kind, ICMP_ERROR_PORT);
	assert_int_equal(icmp_error_of_icmp4(3, 1, &kind), 0);
	assert_int_equal(kind, ICMP_ERROR_ADDRESS);
	assert_int_equal(icmp_error_of_icmp4(3, 13, &kind), 0);
	assert_int_equal(kind, ICMP_ERROR_PROHIBITED);
	assert_int_equal(icmp_error_of_icmp4(3, 4, &kind), 0);
	assert_int_equal(kind, ICMP_ERROR_TOO_BIG);
	assert_int_equal(icmp_error_of_icmp4(3, 14, &kind), -ENOENT);
	assert_int_equal(icmp_error_of_icmp4(11, 0, &kind), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_too_big_v6),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_checksum_of_all_lengths),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_not_all_at_hand),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_mtu),
		cmocka_unit_test(test_of_icmp4),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
