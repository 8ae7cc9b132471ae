/*
 * Fuzzes the reader of the kernel's dumps of nftables for its promises:
 *
 *   - any bytes are an image or an error, without a read beyond what was handed over;
 *   - the image is text, and its length is known;
 *   - the same messages are the same image a second time, after a cut as well.
 *
 * The input is a sequence of messages. Every one is fed from a copy of exactly its bytes. The
 * mutator puts in messages of our own batches, so that no corpus is needed.
 */
#include "nft_image.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fuzz.h"
#include "nft_table.h"

/* How many of the bytes are the next message: what its header says, or all. */
static size_t message_len(const uint8_t *data, size_t size)
{
	struct nlmsghdr header;

	if (size < sizeof(header))
		return size;
	memcpy(&header, data, sizeof(header));
	if (header.nlmsg_len < sizeof(header) || header.nlmsg_len >= size)
		return size;
	return NLMSG_ALIGN(header.nlmsg_len) < size ? NLMSG_ALIGN(header.nlmsg_len) : size;
}

/* The first error of all messages, each of which is fed whatever came before. */
static int feed(struct nft_image *image, const uint8_t *data, size_t size)
{
	int first = 0;

	while (size > 0) {
		size_t len = message_len(data, size);
		void *copy = malloc(len);
		int err;

		REQUIRE(copy);
		memcpy(copy, data, len);
		err = nft_image_feed(image, copy, len);
		free(copy);
		REQUIRE(err <= 0);
		REQUIRE(!image->text || strlen(image->text) == image->len);
		REQUIRE(image->len == 0 || image->len < image->size);
		first = first ? first : err;
		data += len;
		size -= len;
	}
	return first;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nft_image image = { 0 }, again = { 0 };
	char *text = NULL, *text_again = NULL;
	int err = feed(&image, data, size);
	size_t before;

	REQUIRE(feed(&again, data, size) == err);
	before = again.len;
	REQUIRE(feed(&again, data, size) == err);
	nft_image_cut(&again, before);
	REQUIRE(nft_image_finish(&image, &text) == 0);
	REQUIRE(nft_image_finish(&again, &text_again) == 0);
	REQUIRE(strcmp(text, text_again) == 0);
	free(text);
	free(text_again);
	return 0;
}

/* ---- the mutator ---- */

static struct nft_rule rules[] = {
	{ .kind = NFT_RULE_DIVERT, .family = AF_INET6, .prefix_len = 61, .port_max = 443 },
	{ .kind = NFT_RULE_DIVERT, .family = AF_INET, .prefix_len = 0, .port_max = 443 },
	{ .kind = NFT_RULE_PASS, .family = AF_INET6, .prefix_len = 128, .port_max = 65535 },
	{ .kind = NFT_RULE_TRANSPARENT, .family = AF_INET, .mask = 1 },
	{ .kind = NFT_RULE_WILDCARD, .family = AF_INET, .mask = 1 },
	{ .kind = NFT_RULE_NOTRACK, .family = AF_INET, .prefix_len = 24, .port_max = 443 },
};

#define N_RULES (sizeof(rules) / sizeof(rules[0]))

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525U + 1013904223U;
	return *seed >> 8;
}

/* One message of our batch, table, chain or rule. */
static size_t pick(uint32_t *random, const uint8_t *batch, size_t len, const uint8_t **ret_message)
{
	size_t at = 0, n = next_random(random) % 13;

	while (n-- > 0 && at + message_len(batch + at, len - at) < len)
		at += message_len(batch + at, len - at);
	*ret_message = batch + at;
	return message_len(batch + at, len - at);
}

static size_t put_message(uint8_t *data, size_t size, size_t max_size, uint32_t *random)
{
	struct nft_wanted wanted = { .rules = rules, .n_rules = N_RULES };
	const uint8_t *message;
	void *batch = NULL;
	size_t len, batch_len = 0, at = 0;
	uint32_t last;

	REQUIRE(nft_table_encode(&wanted, 1, &batch, &batch_len, &last) == 0);
	len = pick(random, batch, batch_len, &message);
	while (at < size && next_random(random) % 2)
		at += message_len(data + at, size - at);
	if (size + len <= max_size) {
		memmove(data + at + len, data + at, size - at);
		memcpy(data + at, message, len);
		size += len;
	}
	free(batch);
	return size;
}

/* Another length, type or value somewhere in a message: these are all of 16 or 32 bits. */
static void change_word(uint8_t *data, size_t size, uint32_t *random)
{
	size_t at = next_random(random) % (size / 2) * 2;

	if (next_random(random) % 2)
		data[at] = (uint8_t)(next_random(random) % 48);
	else
		data[at] = (uint8_t)(data[at] + next_random(random) % 17 - 8);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	uint32_t random = seed;

	switch (next_random(&random) % 4) {
	case 0:
		return LLVMFuzzerMutate(data, size, max_size);
	case 1:
		return put_message(data, size, max_size, &random);
	default:
		if (size >= 2)
			change_word(data, size, &random);
		return size;
	}
}
