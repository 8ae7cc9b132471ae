#include "carried.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum type { TYPE_LISTENER = 1, TYPE_HASH, TYPE_RATE, TYPE_WHO };

#define LISTENERS_MAX 4096U
#define NOBODY	      UINT16_MAX

static const char magic[8] = "sixgate1";

struct header {
	uint16_t type, len;
};

/*
 * As they are in the file, without holes: what is written must not have bytes in it that nobody has
 * set, and a record must have one length whatever the compiler. Order and sizes are the format; a
 * change takes another type.
 */
struct rate_record {
	uint64_t key; /* 0: the listener's own */
	uint64_t used_ns;
	uint16_t listener;
	uint16_t zero[3];
};

struct address {
	uint8_t bytes[16]; /* of IPv4 the first four */
	uint16_t port;	   /* network order */
	uint16_t family;   /* 4, 6 or 0 */
};

/* The unique id follows it. */
struct who_record {
	uint64_t began_us, ended_us;
	struct address client, local, source, backend;
	uint16_t listener;
	uint16_t id_len;
	uint32_t zero;
};

static_assert(sizeof(struct rate_record) == 24, "the file's format");
static_assert(sizeof(struct who_record) == 104, "the file's format");

/* ---- writing ---- */

static bool make_room(struct carried *carried, size_t len)
{
	size_t size = carried->size ? carried->size : 4096;
	uint8_t *data;

	while (size < carried->len + len)
		size *= 2;
	if (carried->failed || carried->len + len > CARRIED_MAX) {
		carried->failed = true;
		return false;
	}
	if (size == carried->size)
		return true;
	data = realloc(carried->data, size);
	if (!data) {
		carried->failed = true;
		return false;
	}
	carried->data = data;
	carried->size = size;
	return true;
}

static void append(struct carried *carried, const void *data, size_t len)
{
	assert(carried->len + len <= carried->size);
	memcpy(carried->data + carried->len, data, len);
	carried->len += len;
}

/* more: bytes behind it. */
static void add(struct carried *carried, enum type type, const void *data, size_t len,
	const void *more, size_t more_len)
{
	const struct header header = { (uint16_t)type, (uint16_t)(len + more_len) };

	if (len + more_len > UINT16_MAX ||
		!make_room(carried, sizeof(magic) + sizeof(header) + len + more_len))
		return;
	if (carried->len == 0)
		append(carried, magic, sizeof(magic));
	append(carried, &header, sizeof(header));
	append(carried, data, len);
	append(carried, more, more_len);
}

void carried_add_listeners(struct carried *carried, const struct config *config)
{
	for (size_t i = 0; i < config->n_listeners && i < LISTENERS_MAX; i++) {
		const char *name = config->listeners[i].name;
		const uint16_t number = (uint16_t)i;

		add(carried, TYPE_LISTENER, &number, sizeof(number), name, strlen(name));
	}
}

void carried_add_hash(struct carried *carried, const struct hash_key *key)
{
	add(carried, TYPE_HASH, key, sizeof(*key), "", 0);
}

void carried_add_rate(struct carried *carried, const struct client_rate *rate)
{
	const struct rate_record record = {
		.key = rate->key,
		.used_ns = rate->used_ns,
		.listener = rate->listener,
	};

	add(carried, TYPE_RATE, &record, sizeof(record), "", 0);
}

static struct address address_of(const struct sockaddr_any *addr)
{
	struct address made = { 0 };

	if (sockaddr_family(addr) == AF_INET) {
		made.family = 4;
		made.port = addr->in.sin_port;
		memcpy(made.bytes, &addr->in.sin_addr, sizeof(addr->in.sin_addr));
	} else if (sockaddr_family(addr) == AF_INET6) {
		made.family = 6;
		made.port = addr->in6.sin6_port;
		memcpy(made.bytes, &addr->in6.sin6_addr, sizeof(addr->in6.sin6_addr));
	}
	return made;
}

void carried_add_who(struct carried *carried, uint16_t listener, const struct who_entry *entry)
{
	const struct who_record record = {
		.began_us = entry->began_us,
		.ended_us = entry->ended_us,
		.client = address_of(&entry->client),
		.local = address_of(&entry->local),
		.source = address_of(&entry->source),
		.backend = address_of(&entry->backend),
		.listener = listener,
		.id_len = entry->unique_id_len,
	};

	add(carried, TYPE_WHO, &record, sizeof(record), entry->unique_id, entry->unique_id_len);
}

/* ---- reading ---- */

struct reading {
	const struct config *config;
	const struct carried_reader *reader;
	uint16_t listeners[LISTENERS_MAX]; /* of this configuration, by their number there */
};

static uint16_t listener_of(const struct reading *reading, uint16_t number)
{
	return number < LISTENERS_MAX ? reading->listeners[number] : NOBODY;
}

static void read_listener(struct reading *reading, const uint8_t *data, size_t len)
{
	uint16_t number;

	if (len < sizeof(number))
		return;
	memcpy(&number, data, sizeof(number));
	data += sizeof(number);
	len -= sizeof(number);
	for (size_t i = 0; i < reading->config->n_listeners && number < LISTENERS_MAX; i++) {
		const char *name = reading->config->listeners[i].name;

		if (strlen(name) == len && memcmp(name, data, len) == 0)
			reading->listeners[number] = (uint16_t)i;
	}
}

static void read_hash(const struct reading *reading, const uint8_t *data, size_t len)
{
	struct hash_key key;

	if (len < sizeof(key))
		return;
	memcpy(&key, data, sizeof(key));
	reading->reader->on_hash(reading->reader->userdata, &key);
}

static void read_rate(const struct reading *reading, const uint8_t *data, size_t len)
{
	struct rate_record record;
	struct client_rate rate;

	if (len < sizeof(record))
		return;
	memcpy(&record, data, sizeof(record));
	rate = (struct client_rate){
		.key = record.key,
		.used_ns = record.used_ns,
		.listener = record.key ? 0 : listener_of(reading, record.listener),
	};
	if (rate.listener != NOBODY)
		reading->reader->on_rate(reading->reader->userdata, &rate);
}

static struct sockaddr_any sockaddr_of(const struct address *address)
{
	struct sockaddr_any made = { 0 };

	if (address->family == 4) {
		made.in.sin_family = AF_INET;
		made.in.sin_port = address->port;
		memcpy(&made.in.sin_addr, address->bytes, sizeof(made.in.sin_addr));
	} else if (address->family == 6) {
		made.in6.sin6_family = AF_INET6;
		made.in6.sin6_port = address->port;
		memcpy(&made.in6.sin6_addr, address->bytes, sizeof(made.in6.sin6_addr));
	}
	return made;
}

static void read_who(const struct reading *reading, const uint8_t *data, size_t len)
{
	struct who_record record;
	struct who_entry entry;
	uint16_t listener;

	if (len < sizeof(record))
		return;
	memcpy(&record, data, sizeof(record));
	listener = listener_of(reading, record.listener);
	if (listener == NOBODY || record.id_len > WHO_ID_MAX ||
		record.id_len > len - sizeof(record) || record.source.family != 4 ||
		record.backend.family != 4 || record.ended_us == 0)
		return;
	entry = (struct who_entry){
		.listener = &reading->config->listeners[listener],
		.client = sockaddr_of(&record.client),
		.local = sockaddr_of(&record.local),
		.source = sockaddr_of(&record.source),
		.backend = sockaddr_of(&record.backend),
		.began_us = record.began_us,
		.ended_us = record.ended_us,
		.unique_id_len = (uint8_t)record.id_len,
	};
	memcpy(entry.unique_id, data + sizeof(record), record.id_len);
	reading->reader->on_who(reading->reader->userdata, &entry);
}

static void read_record(struct reading *reading, uint16_t type, const uint8_t *data, size_t len)
{
	switch (type) {
	case TYPE_LISTENER:
		read_listener(reading, data, len);
		break;
	case TYPE_HASH:
		read_hash(reading, data, len);
		break;
	case TYPE_RATE:
		read_rate(reading, data, len);
		break;
	case TYPE_WHO:
		read_who(reading, data, len);
		break;
	default: /* of another release */
		break;
	}
}

int carried_read(const void *data, size_t len, const struct config *config,
	const struct carried_reader *reader)
{
	struct reading reading = { .config = config, .reader = reader };
	const uint8_t *p = data;
	struct header header;

	if (len < sizeof(magic) || memcmp(p, magic, sizeof(magic)) != 0)
		return -EBADMSG;
	for (size_t i = 0; i < LISTENERS_MAX; i++)
		reading.listeners[i] = NOBODY;
	for (p += sizeof(magic), len -= sizeof(magic); len > 0;
		p += header.len, len -= header.len) {
		if (len < sizeof(header))
			return -EBADMSG;
		memcpy(&header, p, sizeof(header));
		p += sizeof(header);
		len -= sizeof(header);
		if (len < header.len)
			return -EBADMSG;
		read_record(&reading, header.type, p, header.len);
	}
	return 0;
}
