#include "tlvs.h"

#include <string.h>

#include "unique_id.h"

bool tlvs_passes_any(const struct config_tlvs *config)
{
	for (size_t i = 0; i < sizeof(config->pass); i++)
		if (config->pass[i])
			return true;
	return false;
}

static size_t own_id_len(const struct config_tlvs *config)
{
	return config->unique_id ? PROXYHDR_TLV_HEAD_LEN + UNIQUE_ID_LEN : 0;
}

size_t tlvs_own_len(const struct config_tlvs *config)
{
	return config->custom_len + own_id_len(config) +
	       (config->crc32c ? PROXYHDR_TLV_HEAD_LEN + PROXYHDR_CRC32C_LEN : 0);
}

/*
 * buf has room for it. Not proxyhdr_tlv_append(), which wants a header in front, and would check
 * all of it for each.
 */
static size_t put(uint8_t *buf, uint8_t type, const uint8_t *value, size_t len)
{
	buf[0] = type;
	buf[1] = (uint8_t)(len >> 8);
	buf[2] = (uint8_t)len;
	memcpy(buf + PROXYHDR_TLV_HEAD_LEN, value, len);
	return PROXYHDR_TLV_HEAD_LEN + len;
}

struct tlvs_passed tlvs_pass(const struct config_tlvs *config, const uint8_t *tlvs, size_t len,
	size_t header_len, size_t header_max, uint8_t *buf)
{
	size_t used = header_len + tlvs_own_len(config);
	size_t room = header_max > used ? header_max - used : 0;
	struct tlvs_passed passed = { .left_out = 0 };
	struct proxyhdr_tlv_iter iter;
	struct proxyhdr_tlv tlv;

	proxyhdr_tlv_start(&iter, tlvs, len);
	while (proxyhdr_tlv_next(&iter, &tlv) > 0) {
		bool id = tlv.type == PROXYHDR_TLV_UNIQUE_ID;
		size_t need = PROXYHDR_TLV_HEAD_LEN + (size_t)tlv.len;
		/* It stands in the place of ours, and there is one. */
		size_t has = room + (id ? own_id_len(config) : 0);

		if (!config_tlvs_pass(config, tlv.type) ||
			(id && (passed.unique_id.type || tlv.len == 0)))
			continue;
		if (need > has) {
			passed.left_out++;
			continue;
		}
		room = has - need;
		if (id)
			passed.unique_id = tlv;
		else
			passed.len += put(buf + passed.len, tlv.type, tlv.value, tlv.len);
	}
	return passed;
}

size_t tlvs_put(const struct config_tlvs *config, const uint8_t *unique_id, size_t unique_id_len,
	const uint8_t *passed, size_t passed_len, uint8_t *buf, size_t size)
{
	size_t id_len = unique_id_len ? PROXYHDR_TLV_HEAD_LEN + unique_id_len : 0;
	size_t len = config->custom_len;

	if (config->custom_len + id_len + passed_len > size)
		return 0;
	if (config->custom_len)
		memcpy(buf, config->custom, config->custom_len);
	if (unique_id_len)
		len += put(buf + len, PROXYHDR_TLV_UNIQUE_ID, unique_id, unique_id_len);
	if (passed_len)
		memcpy(buf + len, passed, passed_len);
	return len + passed_len;
}
