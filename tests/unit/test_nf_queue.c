/* Messages of nfnetlink_queue byte by byte (linux/netfilter/nfnetlink_queue.h), little-endian. */
#include "unit.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>

#include "nf_queue.h"

static const uint8_t packet[] = {
	0x3c, 0, 0, 0, 0, 0x03, 0, 0, /* length, NFQNL_MSG_PACKET, flags */
	0, 0, 0, 0, 0, 0, 0, 0,	      /* sequence number, port */
	0x0a, 0, 0x40, 0xd8,	      /* AF_INET6, version 0, queue 16600 */
	0x0b, 0, 0x01, 0, 0, 0, 1, 2, 0x86, 0xdd, 1,
	0,					  /* NFQA_PACKET_HDR: number, ethertype, hook */
	0x08, 0, 0x05, 0, 0, 0, 0, 9,		  /* NFQA_IFINDEX_INDEV */
	0x08, 0, 0x03, 0, 0, 0, 0, 5,		  /* NFQA_MARK, of no interest */
	0x0b, 0, 0x0a, 0, 1, 2, 3, 4, 5, 6, 7, 0, /* NFQA_PAYLOAD */
};

/* From a copy of just that size, aligned as datagrams are. */
static int parse(const uint8_t *data, size_t len, struct nf_queue_packet *ret_packet)
{
	uint8_t *copy = malloc(len ? len : 1);
	int err;

	assert_non_null(copy);
	memcpy(copy, data, len);
	err = nf_queue_parse(copy, len, ret_packet);
	if (!err)
		assert_true(ret_packet->data >= copy &&
			    ret_packet->data + ret_packet->len <= copy + len);
	free(copy);
	return err;
}

static void test_packet(void **state)
{
	static const uint8_t payload[] = { 1, 2, 3, 4, 5, 6, 7 };
	_Alignas(4) uint8_t copy[sizeof(packet)];
	struct nf_queue_packet got;

	(void)state;
	memcpy(copy, packet, sizeof(packet));
	assert_int_equal(nf_queue_parse(copy, sizeof(copy), &got), 0);
	assert_int_equal(got.id, 0x102);
	assert_int_equal(got.ifindex, 9);
	assert_int_equal(got.len, sizeof(payload));
	assert_memory_equal(got.data, payload, sizeof(payload));
}

static void test_cut_off(void **state)
{
	struct nf_queue_packet got;

	(void)state;
	for (size_t len = 0; len < sizeof(packet); len++)
		assert_int_equal(parse(packet, len, &got), -EBADMSG);
}

static void test_other_messages(void **state)
{
	uint8_t copy[sizeof(packet)];
	struct nf_queue_packet got;

	(void)state;
	memcpy(copy, packet, sizeof(copy));
	copy[4] = 2; /* NFQNL_MSG_CONFIG */
	assert_int_equal(parse(copy, sizeof(copy), &got), -EBADMSG);
	memcpy(copy, packet, sizeof(copy));
	copy[5] = 0; /* NLMSG_ERROR would be 2 */
	assert_int_equal(parse(copy, sizeof(copy), &got), -EBADMSG);
	memcpy(copy, packet, sizeof(copy));
	copy[22] = 0x0c; /* no NFQA_PACKET_HDR */
	assert_int_equal(parse(copy, sizeof(copy), &got), -EBADMSG);
	memcpy(copy, packet, sizeof(copy));
	copy[50] = 0x0c; /* no NFQA_PAYLOAD */
	assert_int_equal(parse(copy, sizeof(copy), &got), -EBADMSG);
	memcpy(copy, packet, sizeof(copy));
	copy[20] = 0x08; /* NFQA_PACKET_HDR that is too short */
	assert_int_equal(parse(copy, sizeof(copy), &got), -EBADMSG);
}

/* A length that is negative as an int, which is how libmnl compares it. */
static void test_length_beyond_int(void **state)
{
	uint8_t copy[sizeof(packet)];
	struct nf_queue_packet got;

	(void)state;
	memcpy(copy, packet, sizeof(copy));
	copy[0] = 0; /* 0x80000000: what is left behind the headers is positive again */
	copy[3] = 0x80;
	copy[52] = 4; /* the last attribute ends early, and what would follow lies outside */
	assert_int_equal(parse(copy, sizeof(copy), &got), -EBADMSG);
	copy[3] = 0xff;
	assert_int_equal(parse(copy, sizeof(copy), &got), -EBADMSG);
	assert_int_equal(parse(copy, NLMSG_HDRLEN, &got), -EBADMSG);
}

/* Whatever one byte is, nothing is read beyond the end. */
static void test_every_byte_wrong(void **state)
{
	uint8_t copy[sizeof(packet)];
	struct nf_queue_packet got;

	(void)state;
	for (size_t i = 0; i < sizeof(packet); i++)
		for (unsigned value = 0; value < 256; value++) {
			memcpy(copy, packet, sizeof(copy));
			copy[i] = (uint8_t)value;
			(void)parse(copy, sizeof(copy), &got);
		}
}

static void test_verdicts(void **state)
{
	static const uint8_t expected[] = {
		0x28, 0, 0, 0, 0x01, 0x03, 0x01, 0, /* length, NFQNL_MSG_VERDICT, NLM_F_REQUEST */
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0xd8, /* and queue 16600 */
		0x0c, 0, 0x02, 0, 0, 0, 0, 1, 0, 0, 1, 2, /* NFQA_VERDICT_HDR: NF_ACCEPT, number */
		0x08, 0, 0x03, 0, 0x68, 0x01, 0x01, 0x03, /* NFQA_MARK */
		0x20, 0, 0, 0, 0x01, 0x03, 0x01, 0,	  /* another */
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0xd8, /* of the same queue */
		0x0c, 0, 0x02, 0, 0, 0, 0, 0, 0, 0, 1, 3, /* NFQA_VERDICT_HDR: NF_DROP, number */
	};
	const struct nf_queue_verdict verdicts[] = {
		{ .id = 0x102, .mark = 0x68010103, .accept = true },
		{ .id = 0x103 },
	};
	struct nf_queue_verdict many[NF_QUEUE_BATCH];
	_Alignas(8) uint8_t buf[NF_QUEUE_BATCH * NF_QUEUE_VERDICT_MAX];

	(void)state;
	assert_int_equal(nf_queue_encode(verdicts, 2, 16600, buf), sizeof(expected));
	assert_memory_equal(buf, expected, sizeof(expected));
	assert_int_equal(nf_queue_encode(verdicts, 0, 16600, buf), 0);
	for (size_t i = 0; i < NF_QUEUE_BATCH; i++)
		many[i] = verdicts[0];
	assert_true(nf_queue_encode(many, NF_QUEUE_BATCH, 16600, buf) <= sizeof(buf));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packet),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_other_messages),
		cmocka_unit_test(test_length_beyond_int),
		cmocka_unit_test(test_every_byte_wrong),
		cmocka_unit_test(test_verdicts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
