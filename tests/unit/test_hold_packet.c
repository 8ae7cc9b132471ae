#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hold_packet.h"

/* From 2001:db8:1::10 port 40000 to 2001:db8:80::1 port 80. */
static const uint8_t syn6[] = {
	0x60, 0, 0, 0, 0, 20, 6, 64, /* version, payload length, next header TCP, hop limit */
	0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,	  /* source */
	0x20, 0x01, 0x0d, 0xb8, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, /* destination */
	0x9c, 0x40, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0, /* SYN */
};

/* From 198.51.100.10 port 40000 to 203.0.113.80 port 80, with four bytes of options. */
static const uint8_t syn4[] = {
	0x46, 0, 0, 44, 0, 1, 0x40, 0, 64, 6, 0, 0, /* header of 24 bytes, do not fragment, TCP */
	198, 51, 100, 10, 203, 0, 113, 80,	    /* source, destination */
	1, 1, 1, 1,				    /* no operation, four times */
	0x9c, 0x40, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0, /* SYN */
};

/* From a copy of just that size, so that a sanitizer sees every byte too many. */
static int parse(const uint8_t *data, size_t len, uint32_t ifindex, struct sockaddr_any *client,
	struct sockaddr_any *local)
{
	uint8_t *copy = malloc(len + 1);
	struct hold_packet packet;
	int err;

	assert_non_null(copy);
	memcpy(copy + 1, data, len); /* at an odd address, too */
	packet.client = *client;
	packet.local = *local;
	err = hold_packet_parse(copy + 1, len, ifindex, &packet);
	free(copy);
	*client = packet.client;
	*local = packet.local;
	if (!err)
		assert_int_equal(packet.isn, 0x01020304);
	return err;
}

static void check(const uint8_t *data, size_t len, uint32_t ifindex, const char *client_text,
	const char *local_text)
{
	struct sockaddr_any client = { 0 }, local = { 0 };
	char text[SOCKADDR_TEXT_MAX];

	assert_int_equal(parse(data, len, ifindex, &client, &local), 0);
	assert_string_equal(sockaddr_format(&client, text), client_text);
	assert_string_equal(sockaddr_format(&local, text), local_text);
}

static void check_refused(const uint8_t *data, size_t len)
{
	struct sockaddr_any client, local, before;

	memset(&before, 0xa5, sizeof(before));
	client = local = before;
	assert_int_equal(parse(data, len, 0, &client, &local), -EBADMSG);
	assert_memory_equal(&client, &before, sizeof(before));
	assert_memory_equal(&local, &before, sizeof(before));
}

static void test_plain(void **state)
{
	(void)state;
	check(syn6, sizeof(syn6), 3, "[2001:db8:1::10]:40000", "[2001:db8:80::1]:80");
	check(syn4, sizeof(syn4), 3, "198.51.100.10:40000", "203.0.113.80:80");
}

static void test_cut_off(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof(syn6); len++)
		check_refused(syn6, len);
	for (size_t len = 0; len < sizeof(syn4); len++)
		check_refused(syn4, len);
}

static void test_link_local_has_scope(void **state)
{
	uint8_t packet[sizeof(syn6)];
	struct sockaddr_any client = { 0 }, local = { 0 };

	(void)state;
	memcpy(packet, syn6, sizeof(packet));
	packet[8] = 0xfe;
	packet[9] = 0x80;
	assert_int_equal(parse(packet, sizeof(packet), 7, &client, &local), 0);
	assert_int_equal(client.in6.sin6_scope_id, 7);
	assert_int_equal(local.in6.sin6_scope_id, 0);
}

static void test_other_flags(void **state)
{
	uint8_t packet[sizeof(syn6)];

	(void)state;
	memcpy(packet, syn6, sizeof(packet));
	for (unsigned flags = 0; flags < 256; flags++) {
		packet[40 + 13] = (uint8_t)flags;
		/* Urgent, push and the two of congestion may be with it. */
		if ((flags & 0x17) == 0x02)
			check(packet, sizeof(packet), 0, "[2001:db8:1::10]:40000",
				"[2001:db8:80::1]:80");
		else
			check_refused(packet, sizeof(packet));
	}
}

static void test_port_zero(void **state)
{
	uint8_t packet[sizeof(syn6)];

	(void)state;
	memcpy(packet, syn6, sizeof(packet));
	packet[40] = packet[41] = 0;
	check_refused(packet, sizeof(packet));
	memcpy(packet, syn6, sizeof(packet));
	packet[43] = 0;
	check_refused(packet, sizeof(packet));
}

/* The packet with `n` extension headers of that kind, each of 8 * (units + 1) bytes. */
static size_t extended(uint8_t *packet, uint8_t kind, unsigned n, uint8_t units)
{
	size_t at = 40;

	memcpy(packet, syn6, 40);
	packet[6] = n > 0 ? kind : 6;
	for (unsigned i = 0; i < n; i++) {
		memset(packet + at, 0, 8U * (units + 1U));
		packet[at] = i + 1 < n ? kind : 6;
		packet[at + 1] = units;
		at += 8U * (units + 1U);
	}
	memcpy(packet + at, syn6 + 40, 20);
	return at + 20;
}

static void test_extension_headers(void **state)
{
	static const uint8_t known[] = { 0, 43, 60 };
	uint8_t packet[40 + 20 + 9 * 64];

	(void)state;
	for (size_t i = 0; i < sizeof(known); i++)
		for (unsigned n = 1; n <= 8; n++) {
			size_t len = extended(packet, known[i], n, (uint8_t)(n % 3));

			check(packet, len, 0, "[2001:db8:1::10]:40000", "[2001:db8:80::1]:80");
			for (size_t cut = 0; cut < len; cut++)
				check_refused(packet, cut);
		}
	check_refused(packet, extended(packet, 60, 9, 0)); /* no honest packet has so many */
	check_refused(packet, extended(packet, 44, 1, 0)); /* a fragment */
	check_refused(packet, extended(packet, 51, 1, 0)); /* authentication */
	check_refused(packet, extended(packet, 17, 0, 0) - 1);
	packet[6] = 17;
	check_refused(packet, sizeof(syn6));
}

static void test_length_beyond_the_end(void **state)
{
	uint8_t packet[40 + 20 + 8];
	size_t len = extended(packet, 60, 1, 0);

	(void)state;
	packet[41] = 255;
	check_refused(packet, len);
}

static void test_ip4_header(void **state)
{
	uint8_t packet[sizeof(syn4)];

	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		memcpy(packet, syn4, sizeof(packet));
		packet[0] = (uint8_t)(0x40 | i);
		if (i != 6 && i != 5)
			check_refused(packet, sizeof(packet));
	}
	memcpy(packet, syn4, sizeof(packet));
	packet[6] = 0x20; /* more fragments */
	check_refused(packet, sizeof(packet));
	packet[6] = 0;
	packet[7] = 1; /* not the first */
	check_refused(packet, sizeof(packet));
	memcpy(packet, syn4, sizeof(packet));
	packet[9] = 17;
	check_refused(packet, sizeof(packet));
	packet[9] = 6;
	packet[0] = 0x56;
	check_refused(packet, sizeof(packet));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_link_local_has_scope),
		cmocka_unit_test(test_other_flags),
		cmocka_unit_test(test_port_zero),
		cmocka_unit_test(test_extension_headers),
		cmocka_unit_test(test_length_beyond_the_end),
		cmocka_unit_test(test_ip4_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
