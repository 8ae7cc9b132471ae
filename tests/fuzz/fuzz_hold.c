/*
 * What the holder reads: a stranger's packet, a message of the packet queue, and what a worker that
 * went mad would send. The first byte says which.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "hold_link.h"
#include "hold_packet.h"
#include "nf_queue.h"

static void read_packet(const uint8_t *data, size_t size)
{
	struct hold_packet packet;

	if (hold_packet_parse(data, size, 3, &packet) < 0)
		return;
	assert(sockaddr_family(&packet.client) == sockaddr_family(&packet.local));
	assert(sockaddr_port(&packet.client) > 0 && sockaddr_port(&packet.local) > 0);
}

static void read_message(const uint8_t *data, size_t size)
{
	struct nf_queue_packet packet;

	if (nf_queue_parse(data, size, &packet) < 0)
		return;
	assert(packet.data >= data && packet.len <= size - (size_t)(packet.data - data));
	read_packet(packet.data, packet.len);
}

static void read_records(const uint8_t *data, size_t size)
{
	struct hold_reply reply;
	struct hold_ask ask;

	if (size >= sizeof(ask)) {
		memcpy(&ask, data, sizeof(ask));
		if (hold_link_ask_ok(&ask, 3))
			assert(ask.bind < 3 && sockaddr_len(&ask.local) > 0);
	}
	if (size >= sizeof(reply)) {
		memcpy(&reply, data, sizeof(reply));
		if (hold_link_reply_ok(&reply))
			assert(reply.answer < HOLD_ANSWERS);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (size == 0)
		return 0;
	copy = malloc(size > 1 ? size - 1 : 1); /* of just that size, aligned as messages are */
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	switch (data[0] % 3) {
	case 0:
		read_packet(copy, size - 1);
		break;
	case 1:
		read_message(copy, size - 1);
		break;
	default:
		read_records(copy, size - 1);
	}
	free(copy);
	return 0;
}
