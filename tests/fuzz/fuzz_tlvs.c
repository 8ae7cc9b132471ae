/*
 * Fuzzes what goes on of an upstream's header for its promises:
 *
 *   - whatever header the decoder takes, what comes of it is a valid header, which is not longer
 *     than header-max and has the same addresses;
 *   - it has our own TLVs, and of the upstream's nothing but types that are passed on, never two
 *     unique ids, and one checksum, made anew;
 *   - what was left out would indeed not have fitted.
 *
 * The first bytes choose the configuration, the rest is the upstream's TLVs.
 */
#include "tlvs.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "identity.h"

#define HEAD	36U /* of the input: what makes the configuration */
#define V6	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0"
#define ADDRESS 36U

static uint8_t custom[] = { 0xe0, 0, 2, 'h', 'i' };

static struct config_tlvs choose(const uint8_t *data)
{
	struct config_tlvs config = { .crc32c = data[0] & 1, .unique_id = data[0] & 2 };

	if (data[0] & 4) {
		config.custom = custom;
		config.custom_len = sizeof(custom);
	}
	memcpy(config.pass, data + 4, sizeof(config.pass));
	if (data[0] & 8) /* else hardly any is passed */
		memset(config.pass, 0xff, sizeof(config.pass));
	/* As config_add_pass() has it. */
	config.pass[0] &= (uint8_t) ~(1U << 3 | 1U << 4);
	config.pass[0xe0 / 8] &= (uint8_t)~1U;
	return config;
}

/* The upstream's header with these TLVs; false: none that is taken. */
static bool make_upstream(const uint8_t *tlvs, size_t len, uint8_t *buf, struct proxyhdr *ret)
{
	static const uint8_t start[] = { '\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T',
		'\n', 0x21, 0x21 };
	size_t block = ADDRESS + len;

	memcpy(buf, start, sizeof(start));
	buf[14] = (uint8_t)(block >> 8);
	buf[15] = (uint8_t)block;
	memcpy(buf + 16,
		V6 "\x01" V6 "\x02"
		   "\xc3\x50\x01\xbb",
		ADDRESS);
	if (len)
		memcpy(buf + 16 + ADDRESS, tlvs, len);
	return proxyhdr_decode(buf, 16 + block, PROXYHDR_ACCEPT_V2, ret, NULL) == 0;
}

static void check(const struct config_tlvs *config, const struct proxyhdr *made,
	const struct tlvs_passed *passed)
{
	size_t ids = 0, sums = 0, others = 0;
	struct proxyhdr_tlv_iter iter;
	struct proxyhdr_tlv tlv;

	proxyhdr_tlv_start(&iter, made->tlvs, made->tlvs_len);
	while (proxyhdr_tlv_next(&iter, &tlv) > 0) {
		if (tlv.type == PROXYHDR_TLV_UNIQUE_ID)
			ids++;
		else if (tlv.type == PROXYHDR_TLV_CRC32C)
			sums++;
		else if (config->custom_len && tlv.type == custom[0])
			others++;
		else
			REQUIRE(config_tlvs_pass(config, tlv.type) &&
				tlv.type != PROXYHDR_TLV_NOOP);
	}
	REQUIRE(ids == (config->unique_id || passed->unique_id.len));
	REQUIRE(sums == config->crc32c);
	REQUIRE(others == (config->custom_len > 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t theirs[PROXYHDR_V2_MAX], buf[PROXYHDR_V2_MAX], area[IDENTITY_HEADER_MAX],
		ours[IDENTITY_HEADER_MAX];
	const struct sockaddr_any src = { .in6 = { AF_INET6, htons(50000),
						  .sin6_addr.s6_addr[15] = 1 } };
	const struct sockaddr_any dst = { .in6 = { AF_INET6, htons(443),
						  .sin6_addr.s6_addr[15] = 2 } };
	static const uint8_t id[32] = "0123456789abcdef0123456789abcde";
	struct identity_extra extra = { .tlvs = area };
	struct proxyhdr header, made;
	struct config_tlvs config;
	struct tlvs_passed passed;
	size_t max, least, len;
	const uint8_t *name;

	if (size < HEAD || size - HEAD > 4000)
		return 0;
	config = choose(data);
	least = PROXYHDR_V2_INET6_LEN + tlvs_own_len(&config);
	max = least + ((size_t)data[1] << 8 | data[2]) % (IDENTITY_HEADER_MAX - least + 1);
	if (!make_upstream(data + HEAD, size - HEAD, theirs, &header))
		return 0;
	passed = tlvs_pass(&config, header.tlvs, header.tlvs_len, PROXYHDR_V2_INET6_LEN, max, buf);
	name = passed.unique_id.len ? passed.unique_id.value : id;
	len = passed.unique_id.len ? passed.unique_id.len : config.unique_id ? sizeof(id) : 0;
	extra.crc32c = config.crc32c;
	extra.tlvs_len = tlvs_put(&config, name, len, buf, passed.len, area, sizeof(area));
	REQUIRE(extra.tlvs_len > 0 || (passed.len == 0 && len == 0 && config.custom_len == 0));
	REQUIRE(identity_header(IDENTITY_PROXY_V2, IPPROTO_TCP, &src, &dst, &extra, ours, &len) ==
		0);
	REQUIRE(len <= max);
	REQUIRE(proxyhdr_decode(ours, len, PROXYHDR_ACCEPT_V2, &made, NULL) == 0);
	REQUIRE(made.consumed == len && made.src.port == 50000 && made.dst.port == 443);
	check(&config, &made, &passed);
	/* All that is left out is longer than the room that is left, if only a little. */
	if (passed.left_out)
		REQUIRE(header.tlvs_len + least > max);
	return 0;
}
