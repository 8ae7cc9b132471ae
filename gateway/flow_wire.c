#include "flow_wire.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/*
 * Theory of operation
 *
 * A table says of each member its number, its kind and where it is, and one loop writes, another
 * one reads. So the two cannot differ, and a member that is forgotten in one of them cannot be.
 *
 * Why not a struct as it lies in memory: the next release may have it otherwise, and a flow that is
 * read wrongly is worse than one that is lost. Why not JSON, as in estate: tens of thousands of
 * flows leave at a time, with up to 64 KiB of bytes in them.
 *
 * Numbers of the backend's side are those of the client's and SIDE_STRIDE, so a side may have 32.
 */
#define MAGIC	    "6GFL"
#define PREFIX_LEN  5U
#define FIELD_LEN   4U
#define ADDR_LEN    23U /* family, port, address, scope */
#define SIDE_STRIDE 32U /* between the field types of the two sides */

enum kind {
	KIND_UINT, /* of the member's size; also int64_t, as its bits */
	KIND_FLAG,
	KIND_ADDR,
	KIND_TEXT, /* an array of characters with its NUL */
	KIND_BYTES,
};

struct field {
	uint16_t type;
	uint8_t kind;
	uint16_t offset;
	uint16_t size;
};

#define FIELD(number, what, member)                                              \
	{                                                                        \
		.type = (number), .kind = (what),                                \
		.offset = (uint16_t)offsetof(struct flow_wire, member),          \
		.size = (uint16_t)sizeof(((const struct flow_wire *)0)->member), \
	}

/* Those of the backend's side are these, SIDE_STRIDE higher. */
#define SIDE_FIELD(number, what, member) FIELD(number, what, side[0].member)

static const struct field fields[] = {
	FIELD(1, KIND_UINT, protocol),
	FIELD(2, KIND_UINT, identity),
	FIELD(3, KIND_UINT, first_fin),
	FIELD(4, KIND_FLAG, guarded),
	FIELD(5, KIND_TEXT, listener),
	FIELD(6, KIND_TEXT, pool),
	FIELD(7, KIND_ADDR, bind),
	FIELD(8, KIND_ADDR, client),
	FIELD(9, KIND_ADDR, local),
	FIELD(10, KIND_ADDR, backend),
	FIELD(11, KIND_ADDR, source),
	FIELD(12, KIND_ADDR, peer),
	FIELD(13, KIND_BYTES, unique_id),
	FIELD(14, KIND_UINT, accepted_us),
	FIELD(15, KIND_UINT, connected_us),
	FIELD(16, KIND_UINT, active_ms),
	FIELD(17, KIND_UINT, timeouts.connect),
	FIELD(18, KIND_UINT, timeouts.connect_total),
	FIELD(19, KIND_UINT, timeouts.idle),
	FIELD(20, KIND_UINT, timeouts.half_closed),
	FIELD(21, KIND_UINT, timeouts.dead_peer),
	FIELD(22, KIND_UINT, timeouts.unanswered),
	FIELD(23, KIND_UINT, counted_in),
	FIELD(24, KIND_UINT, counted_out),
	FIELD(30, KIND_UINT, session.bytes_in),
	FIELD(31, KIND_UINT, session.bytes_out),
	FIELD(32, KIND_UINT, session.datagrams_in),
	FIELD(33, KIND_UINT, session.datagrams_out),
	FIELD(34, KIND_UINT, session.flow_label),
	FIELD(35, KIND_UINT, session.last_len),
	FIELD(36, KIND_UINT, session.traffic_class),
	FIELD(37, KIND_UINT, session.hop_limit),
	FIELD(38, KIND_UINT, session.ask),
	FIELD(39, KIND_FLAG, session.answered),
	FIELD(40, KIND_FLAG, session.confirmed),
	FIELD(41, KIND_BYTES, session.header),
};

static const struct field side_fields[] = {
	SIDE_FIELD(64, KIND_FLAG, readable),
	SIDE_FIELD(65, KIND_FLAG, writable),
	SIDE_FIELD(66, KIND_FLAG, urgent),
	SIDE_FIELD(67, KIND_FLAG, fin),
	SIDE_FIELD(68, KIND_FLAG, ending),
	SIDE_FIELD(69, KIND_FLAG, fin_sent),
	SIDE_FIELD(70, KIND_FLAG, stalled),
	SIDE_FIELD(71, KIND_FLAG, bulk),
	SIDE_FIELD(72, KIND_FLAG, ended),
	SIDE_FIELD(73, KIND_UINT, streak),
	SIDE_FIELD(74, KIND_UINT, bytes),
	SIDE_FIELD(75, KIND_UINT, acked),
	SIDE_FIELD(76, KIND_UINT, pipe_len),
	SIDE_FIELD(77, KIND_BYTES, held),
};

static_assert(sizeof(side_fields) / sizeof(side_fields[0]) <= SIDE_STRIDE,
	"the sides' numbers do not overlap");
static_assert(sizeof(MAGIC) == PREFIX_LEN, "the version stands where the NUL would");

#define N_FIELDS      (sizeof(fields) / sizeof(fields[0]))
#define N_SIDE_FIELDS (sizeof(side_fields) / sizeof(side_fields[0]))
#define N_ALL	      (N_FIELDS + FLOW_WIRE_SIDES * N_SIDE_FIELDS)

/* All fields by turns, the sides' at their places. */
static struct field field_at(size_t i)
{
	struct field field;
	size_t side;

	assert(i < N_ALL);
	if (i < N_FIELDS)
		return fields[i];
	side = (i - N_FIELDS) / N_SIDE_FIELDS;
	field = side_fields[(i - N_FIELDS) % N_SIDE_FIELDS];
	field.type = (uint16_t)(field.type + side * SIDE_STRIDE);
	field.offset = (uint16_t)(field.offset + side * sizeof(struct flow_wire_side));
	return field;
}

/* ---- values ---- */

static uint64_t uint_load(const void *place, size_t size)
{
	uint8_t one;
	uint16_t two;
	uint32_t four;
	uint64_t eight = 0;

	switch (size) {
	case sizeof(one):
		memcpy(&one, place, sizeof(one));
		return one;
	case sizeof(two):
		memcpy(&two, place, sizeof(two));
		return two;
	case sizeof(four):
		memcpy(&four, place, sizeof(four));
		return four;
	default:
		memcpy(&eight, place, sizeof(eight));
		return eight;
	}
}

static int uint_store(void *place, size_t size, uint64_t value)
{
	const uint8_t one = (uint8_t)value;
	const uint16_t two = (uint16_t)value;
	const uint32_t four = (uint32_t)value;

	/* A giver of a later release may have widened it: what fits is taken, and nothing is cut.
	 */
	if (size < sizeof(value) && value >> (8 * size))
		return -EBADMSG;
	memcpy(place,
		size == sizeof(one)    ? (const void *)&one
		: size == sizeof(two)  ? (const void *)&two
		: size == sizeof(four) ? (const void *)&four
				       : (const void *)&value,
		size);
	return 0;
}

static void put_uint(uint8_t *buf, size_t len, uint64_t value)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
}

static uint64_t get_uint(const uint8_t *data, size_t len)
{
	uint64_t value = 0;

	for (size_t i = 0; i < len; i++)
		value = value << 8 | data[i];
	return value;
}

static void put_addr(uint8_t buf[ADDR_LEN], const struct sockaddr_any *addr)
{
	bool v6 = sockaddr_family(addr) == AF_INET6;

	memset(buf, 0, ADDR_LEN);
	buf[0] = v6 ? 6 : 4;
	put_uint(buf + 1, 2, sockaddr_port(addr));
	if (v6) {
		memcpy(buf + 3, &addr->in6.sin6_addr, 16);
		put_uint(buf + 19, 4, addr->in6.sin6_scope_id);
	} else {
		memcpy(buf + 3, &addr->in.sin_addr, 4);
	}
}

static int get_addr(const uint8_t *data, size_t len, struct sockaddr_any *ret_addr)
{
	struct sockaddr_any addr = { 0 };

	if (len < ADDR_LEN || (data[0] != 4 && data[0] != 6))
		return -EBADMSG;
	if (data[0] == 6) {
		addr.in6.sin6_family = AF_INET6;
		memcpy(&addr.in6.sin6_addr, data + 3, 16);
		addr.in6.sin6_scope_id = (uint32_t)get_uint(data + 19, 4);
	} else {
		addr.in.sin_family = AF_INET;
		memcpy(&addr.in.sin_addr, data + 3, 4);
	}
	sockaddr_set_port(&addr, (uint16_t)get_uint(data + 1, 2));
	*ret_addr = addr;
	return 0;
}

/* ---- encode ---- */

/* Sticky: once something did not fit, nothing more is written. */
struct writer {
	uint8_t *buf;
	size_t size, len;
	int err;
};

/* Room for the value of a field; NULL if there is none. */
static uint8_t *put_field(struct writer *writer, uint16_t type, size_t len)
{
	uint8_t *at = writer->buf + writer->len;

	assert(writer->len <= writer->size && len <= UINT16_MAX);
	if (!writer->err && writer->size - writer->len < FIELD_LEN + len)
		writer->err = -ENOSPC;
	if (writer->err)
		return NULL;
	put_uint(at, 2, type);
	put_uint(at + 2, 2, len);
	writer->len += FIELD_LEN + len;
	return at + FIELD_LEN;
}

static void put_data(struct writer *writer, uint16_t type, const void *data, size_t len)
{
	uint8_t *value = len > 0 ? put_field(writer, type, len) : NULL;

	if (value)
		memcpy(value, data, len);
}

/* Defaults are left out. */
static void encode_field(struct writer *writer, const struct field *field, const void *place)
{
	const struct flow_wire_bytes *bytes = place;
	uint8_t *value;

	switch ((enum kind)field->kind) {
	case KIND_UINT:
		if (uint_load(place, field->size) == 0)
			return;
		value = put_field(writer, field->type, field->size);
		if (value)
			put_uint(value, field->size, uint_load(place, field->size));
		break;
	case KIND_FLAG:
		if (*(const bool *)place)
			put_data(writer, field->type, "\1", 1);
		break;
	case KIND_ADDR:
		if (sockaddr_len(place) == 0)
			return;
		value = put_field(writer, field->type, ADDR_LEN);
		if (value)
			put_addr(value, place);
		break;
	case KIND_TEXT:
		put_data(writer, field->type, place, strnlen(place, field->size));
		break;
	case KIND_BYTES:
		put_data(writer, field->type, bytes->data, bytes->len);
		break;
	}
}

/* What no flow can be without, and what cannot be both. */
static bool is_whole(const struct flow_wire *flow)
{
	for (int i = 0; i < FLOW_WIRE_SIDES; i++)
		if (flow->side[i].held.len > FLOW_WIRE_HELD_MAX ||
			(flow->side[i].held.len > 0 && flow->side[i].pipe_len > 0))
			return false;
	return (flow->protocol == IPPROTO_TCP || flow->protocol == IPPROTO_UDP) &&
	       flow->listener[0] && sockaddr_len(&flow->client) > 0 &&
	       sockaddr_len(&flow->local) > 0 && sockaddr_family(&flow->backend) == AF_INET;
}

int flow_wire_encode(const struct flow_wire *flow, uint8_t *buf, size_t size, size_t *ret_len)
{
	struct writer writer = { .buf = buf, .size = size, .len = PREFIX_LEN };

	if (!is_whole(flow))
		return -EINVAL;
	if (size < PREFIX_LEN)
		return -ENOSPC;
	memcpy(buf, MAGIC, PREFIX_LEN - 1);
	buf[PREFIX_LEN - 1] = FLOW_WIRE_VERSION;
	for (size_t i = 0; i < N_ALL; i++) {
		struct field field = field_at(i);

		encode_field(&writer, &field, (const uint8_t *)flow + field.offset);
	}
	if (!writer.err)
		*ret_len = writer.len;
	return writer.err;
}

/* ---- decode ---- */

static int decode_field(
	const struct field *field, const uint8_t *value, uint16_t len, void *ret_place)
{
	switch ((enum kind)field->kind) {
	case KIND_UINT:
		return len == 0 || len > 8
			       ? -EBADMSG
			       : uint_store(ret_place, field->size, get_uint(value, len));
	case KIND_FLAG:
		if (len != 1 || value[0] > 1)
			return -EBADMSG;
		*(bool *)ret_place = value[0];
		return 0;
	case KIND_ADDR:
		return get_addr(value, len, ret_place);
	case KIND_TEXT:
		if (len >= field->size || memchr(value, '\0', len))
			return -EBADMSG;
		memset(ret_place, 0, field->size);
		memcpy(ret_place, value, len);
		return 0;
	case KIND_BYTES:
		*(struct flow_wire_bytes *)ret_place =
			(struct flow_wire_bytes){ .data = value, .len = len };
		return 0;
	}
	return -EBADMSG;
}

static int decode_one(struct flow_wire *flow, uint16_t type, const uint8_t *value, uint16_t len)
{
	for (size_t i = 0; i < N_ALL; i++) {
		struct field field = field_at(i);

		if (field.type == type)
			return decode_field(&field, value, len, (uint8_t *)flow + field.offset);
	}
	return 0; /* of a later release */
}

int flow_wire_decode(const uint8_t *data, size_t len, struct flow_wire *ret_flow)
{
	struct flow_wire flow = { 0 };
	size_t at = PREFIX_LEN;
	int err = 0;

	if (len < PREFIX_LEN || memcmp(data, MAGIC, PREFIX_LEN - 1) != 0)
		return -EBADMSG;
	if (data[PREFIX_LEN - 1] != FLOW_WIRE_VERSION)
		return -EPROTONOSUPPORT;
	while (!err && at < len) {
		uint16_t type, value_len;

		if (len - at < FIELD_LEN)
			return -EBADMSG;
		type = (uint16_t)get_uint(data + at, 2);
		value_len = (uint16_t)get_uint(data + at + 2, 2);
		at += FIELD_LEN;
		if (len - at < value_len)
			return -EBADMSG;
		err = decode_one(&flow, type, data + at, value_len);
		at += value_len;
	}
	if (!err && !is_whole(&flow))
		err = -EBADMSG;
	if (!err)
		*ret_flow = flow;
	return err;
}

size_t flow_wire_fds(const struct flow_wire *flow)
{
	size_t n = 2;

	if (flow->protocol == IPPROTO_UDP)
		return 1;
	for (int i = 0; i < FLOW_WIRE_SIDES; i++)
		n += flow->side[i].pipe_len > 0 ? 2 : 0;
	return n;
}
