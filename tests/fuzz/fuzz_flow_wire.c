/*
 * Fuzzes the reader of flows that another process hands over: whatever it takes, it can say again
 * in the same words, and its blobs lie within the message.
 */
#include "flow_wire.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static void require_within(const struct flow_wire_bytes *bytes, const uint8_t *data, size_t size)
{
	REQUIRE(bytes->len == 0 ||
		(bytes->data >= data && bytes->data + bytes->len <= data + size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t first[4 * FLOW_WIRE_MAX], second[4 * FLOW_WIRE_MAX];
	struct flow_wire flow, again;
	size_t len = 0, len_again = 0;

	if (flow_wire_decode(data, size, &flow) < 0)
		return 0;
	for (int i = 0; i < FLOW_WIRE_SIDES; i++)
		require_within(&flow.side[i].held, data, size);
	require_within(&flow.session.header, data, size);
	require_within(&flow.unique_id, data, size);
	REQUIRE(flow_wire_fds(&flow) <= FLOW_WIRE_FDS_MAX);
	REQUIRE(flow_wire_encode(&flow, first, sizeof(first), &len) == 0);
	REQUIRE(flow_wire_decode(first, len, &again) == 0);
	REQUIRE(flow_wire_encode(&again, second, sizeof(second), &len_again) == 0);
	REQUIRE(len == len_again && memcmp(first, second, len) == 0);
	return 0;
}
