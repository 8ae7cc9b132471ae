#include "unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "carried.h"

struct heard {
	const struct config *config;
	size_t n_hashes, n_rates, n_who;
	struct hash_key hash;
	struct client_rate rates[4];
	struct who_entry who[4];
};

static void on_hash(void *userdata, const struct hash_key *key)
{
	struct heard *heard = userdata;

	heard->n_hashes++;
	heard->hash = *key;
}

static void on_rate(void *userdata, const struct client_rate *rate)
{
	struct heard *heard = userdata;

	if (heard->n_rates < 4)
		heard->rates[heard->n_rates++] = *rate;
}

static void on_who(void *userdata, const struct who_entry *entry)
{
	struct heard *heard = userdata;

	if (heard->n_who < 4)
		heard->who[heard->n_who++] = *entry;
}

static int read_all(const struct config *config, const void *data, size_t len, struct heard *heard)
{
	const struct carried_reader reader = { on_hash, on_rate, on_who, heard };

	*heard = (struct heard){ .config = config };
	return carried_read(data, len, config, &reader);
}

static struct sockaddr_any ipv6(uint8_t last, uint16_t port)
{
	struct sockaddr_any addr = {
		.in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) },
	};

	addr.in6.sin6_addr.s6_addr[0] = 0x20;
	addr.in6.sin6_addr.s6_addr[15] = last;
	return addr;
}

static struct sockaddr_any ipv4(uint32_t host, uint16_t port)
{
	return (struct sockaddr_any){
		.in = { .sin_family = AF_INET,
			.sin_port = htons(port),
			.sin_addr.s_addr = htonl(host) },
	};
}

static struct config_listener two[] = { { .name = (char[]){ "web" } },
	{ .name = (char[]){ "dns" } } };
static struct config_listener turned[] = { { .name = (char[]){ "new" } },
	{ .name = (char[]){ "dns" } }, { .name = (char[]){ "web" } } };
static const struct config before = { .listeners = two, .n_listeners = 2 };
static const struct config after = { .listeners = turned, .n_listeners = 3 };
static const struct config other = { .listeners = turned, .n_listeners = 1 };

static struct who_entry an_entry(void)
{
	return (struct who_entry){
		.client = ipv6(1, 1000),
		.local = ipv6(2, 443),
		.source = ipv4(0x0a000001, 2000),
		.backend = ipv4(0x0a000002, 80),
		.began_us = 5,
		.ended_us = 7,
		.unique_id = "abc",
		.unique_id_len = 3,
	};
}

static struct carried all_of_it(void)
{
	const struct hash_key hash = { { 1, 2 } };
	const struct who_entry entry = an_entry();
	struct carried carried = { 0 };

	carried_add_listeners(&carried, &before);
	carried_add_hash(&carried, &hash);
	carried_add_rate(&carried, &(struct client_rate){ .listener = 1, .used_ns = 10 });
	carried_add_rate(&carried, &(struct client_rate){ .key = 99, .used_ns = 11 });
	carried_add_who(&carried, 0, &entry);
	assert_false(carried.failed);
	return carried;
}

static void test_goes_by_name(void **state)
{
	const struct who_entry entry = an_entry();
	struct carried carried = all_of_it();
	struct heard heard;

	(void)state;
	assert_int_equal(read_all(&after, carried.data, carried.len, &heard), 0);
	assert_int_equal(heard.n_hashes, 1);
	assert_int_equal(heard.hash.k[1], 2);
	assert_int_equal(heard.n_rates, 2);
	assert_int_equal(heard.rates[0].listener, 1);
	assert_int_equal(heard.rates[0].used_ns, 10);
	assert_int_equal(heard.rates[1].key, 99);
	assert_int_equal(heard.n_who, 1);
	assert_ptr_equal(heard.who[0].listener, &turned[2]);
	assert_true(sockaddr_equal(&heard.who[0].client, &entry.client));
	assert_true(sockaddr_equal(&heard.who[0].local, &entry.local));
	assert_true(sockaddr_equal(&heard.who[0].source, &entry.source));
	assert_true(sockaddr_equal(&heard.who[0].backend, &entry.backend));
	assert_int_equal(heard.who[0].began_us, 5);
	assert_int_equal(heard.who[0].ended_us, 7);
	assert_int_equal(heard.who[0].unique_id_len, 3);
	assert_memory_equal(heard.who[0].unique_id, "abc", 3);
	/* Without the listeners there are the clients' rates alone. */
	assert_int_equal(read_all(&other, carried.data, carried.len, &heard), 0);
	assert_int_equal(heard.n_rates, 1);
	assert_int_equal(heard.n_who, 0);
	free(carried.data);
}

static void test_other_releases(void **state)
{
	struct carried carried = all_of_it();
	const uint16_t unknown[] = { 77, 4, 0, 0 }, longer[] = { 2, 18, 1, 0, 0, 0, 3, 0, 0, 0, 9 };
	uint8_t data[4096];
	struct heard heard;
	size_t len = 8;

	(void)state;
	memcpy(data, carried.data, 8);
	memcpy(data + len, unknown, sizeof(unknown));
	len += sizeof(unknown);
	memcpy(data + len, longer, sizeof(longer));
	len += sizeof(longer);
	memcpy(data + len, carried.data + 8, carried.len - 8);
	len += carried.len - 8;
	assert_int_equal(read_all(&after, data, len, &heard), 0);
	assert_int_equal(heard.n_hashes, 2);
	assert_int_equal(heard.n_who, 1);
	free(carried.data);
}

static void test_cut_anywhere(void **state)
{
	struct carried carried = all_of_it();
	struct heard heard;
	size_t good = 0;

	(void)state;
	for (size_t len = 0; len < carried.len; len++) {
		int err = read_all(&after, carried.data, len, &heard);

		assert_true(err == 0 || err == -EBADMSG);
		good += err == 0;
		assert_int_equal(heard.n_who, 0);
	}
	assert_int_equal(good, 6); /* behind the magic, and behind each record but the last */
	free(carried.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goes_by_name),
		cmocka_unit_test(test_other_releases),
		cmocka_unit_test(test_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
