/*
 * Fuzzes the reader of what an earlier image knew of clients, down to the tables that it fills:
 * whatever it takes is of a listener that there is, and can be written and read again.
 */
#include "carried.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

struct seen {
	const struct config *config;
	struct client_limits *limits;
	struct who *who;
	struct carried again;
	size_t n;
};

static void on_hash(void *userdata, const struct hash_key *key)
{
	struct seen *seen = userdata;

	seen->n++;
	if (seen->limits)
		client_limits_set_hash(seen->limits, key);
	carried_add_hash(&seen->again, key);
}

static void on_rate(void *userdata, const struct client_rate *rate)
{
	struct seen *seen = userdata;

	seen->n++;
	REQUIRE(rate->key || rate->listener < seen->config->n_listeners);
	if (seen->limits)
		client_limits_set_rate(seen->limits, rate, 1);
	carried_add_rate(&seen->again, rate);
}

static void on_who(void *userdata, const struct who_entry *entry)
{
	struct seen *seen = userdata;

	seen->n++;
	REQUIRE(entry->listener >= seen->config->listeners);
	REQUIRE(entry->listener < seen->config->listeners + seen->config->n_listeners);
	REQUIRE(entry->unique_id_len <= WHO_ID_MAX && entry->ended_us);
	REQUIRE(sockaddr_family(&entry->source) == AF_INET);
	if (seen->who)
		(void)who_restore(seen->who, entry);
	carried_add_who(&seen->again, (uint16_t)(entry->listener - seen->config->listeners), entry);
}

static int read_into(struct seen *seen, const void *data, size_t size)
{
	const struct carried_reader reader = { on_hash, on_rate, on_who, seen };

	carried_add_listeners(&seen->again, seen->config);
	return carried_read(data, size, seen->config, &reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct client_limits *limits;
	struct config_listener listeners[] = {
		{ .name = (char[]){ "web" }, .protocol = IPPROTO_TCP },
		{ .name = (char[]){ "dns" }, .protocol = IPPROTO_UDP },
	};
	struct config config = {
		.who = { .keep_ms = 1000, .entries = 4 },
		.max_flows = 2,
		.listeners = listeners,
		.n_listeners = 2,
	};
	struct seen first = { .config = &config }, second = { .config = &config };
	struct who_entry entry;
	size_t at = 0;

	if (!limits) /* its table is large: once for all */
		limits = client_limits_create(2, 2);
	first.limits = limits;
	first.who = who_create(&config, 2);
	(void)read_into(&first, data, size);
	while (first.who && who_next_ended(first.who, &at, 0, &entry))
		REQUIRE(entry.listener == &listeners[0] || entry.listener == &listeners[1]);
	if (!first.again.failed) {
		REQUIRE(read_into(&second, first.again.data, first.again.len) == 0);
		REQUIRE(second.n == first.n && second.again.len == first.again.len);
		REQUIRE(memcmp(first.again.data, second.again.data, first.again.len) == 0);
	}
	who_destroy(first.who);
	free(first.again.data);
	free(second.again.data);
	return 0;
}
