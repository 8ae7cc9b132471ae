#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The numbers are proxy-protocol.txt's, section 2.2. */
#define CUSTOM_MIN  0xE0U
#define CUSTOM_MAX  0xF7U /* with those that are for experiments */
#define TLV_HEAD    3U
#define TYPE_CRC32C 0x03U
#define TYPE_NOOP   0x04U
#define IN_SSL_MIN  0x21U /* these stand inside of an SSL TLV */
#define IN_SSL_MAX  0x2FU

/* "0x" and one or two hexadecimal digits, not zero. */
static int parse_type(const char *text, uint8_t *ret_type)
{
	unsigned long type;

	if (text[0] != '0' || (text[1] != 'x' && text[1] != 'X') || strlen(text) < 3 ||
		strlen(text) > 4 || strspn(text + 2, "0123456789abcdefABCDEF") != strlen(text + 2))
		return -EINVAL;
	type = strtoul(text + 2, NULL, 16);
	if (type == 0)
		return -EINVAL;
	*ret_type = (uint8_t)type;
	return 0;
}

static int parse_name(const char *text, uint8_t *ret_type)
{
	static const struct {
		const char *name;
		uint8_t type;
	} names[] = { { "alpn", 0x01 }, { "authority", 0x02 }, { "unique-id", 0x05 },
		{ "ssl", 0x20 }, { "netns", 0x30 } };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(text, names[i].name) == 0) {
			*ret_type = names[i].type;
			return 0;
		}
	return parse_type(text, ret_type);
}

static bool has_custom(const struct config_tlvs *tlvs, uint8_t type)
{
	for (size_t at = 0; at < tlvs->custom_len;
		at += TLV_HEAD + ((size_t)tlvs->custom[at + 1] << 8 | tlvs->custom[at + 2]))
		if (tlvs->custom[at] == type)
			return true;
	return false;
}

static const char both[] = "a fixed TLV has this type, and servers would get two: take one of the "
			   "two away, custom or pass";

int config_add_pass(struct config_tlvs *tlvs, const char *text, const char **ret_reason)
{
	const char *flaw = NULL;
	uint8_t type = 0;

	if (parse_name(text, &type) < 0)
		flaw = "what is passed on is alpn, authority, unique-id, ssl, netns, or a number "
		       "from 0x01 to 0xFF";
	else if (type == TYPE_CRC32C)
		flaw = "a checksum goes with one header only; a new one is made by crc32c = yes";
	else if (type == TYPE_NOOP)
		flaw = "this type says nothing, and is never passed on: remove it";
	else if (type >= IN_SSL_MIN && type <= IN_SSL_MAX)
		flaw = "this type stands inside of ssl: pass that on";
	else if (config_tlvs_pass(tlvs, type))
		flaw = "the list has this already: write it once";
	else if (has_custom(tlvs, type))
		flaw = both;
	if (flaw) {
		*ret_reason = flaw;
		return -EINVAL;
	}
	tlvs->pass[type / 8] |= (uint8_t)(1U << type % 8);
	return 0;
}

int config_add_custom(struct config_tlvs *tlvs, const char *text, const void *value, size_t len,
	const char **ret_reason)
{
	const char *flaw = NULL;
	uint8_t type = 0;
	uint8_t *bigger;

	if (parse_type(text, &type) < 0 || type < CUSTOM_MIN || type > CUSTOM_MAX)
		flaw = "a TLV of your own has a type from 0xE0 to 0xEF, or for experiments from "
		       "0xF0 to 0xF7";
	else if (len > CONFIG_CUSTOM_VALUE)
		flaw = "its value may have 255 bytes";
	else if (has_custom(tlvs, type))
		flaw = "there is one of this type already: write it once";
	else if (config_tlvs_pass(tlvs, type))
		flaw = both;
	if (flaw) {
		*ret_reason = flaw;
		return -EINVAL;
	}
	bigger = realloc(tlvs->custom, tlvs->custom_len + TLV_HEAD + len);
	if (!bigger)
		return -ENOMEM;
	tlvs->custom = bigger;
	bigger += tlvs->custom_len;
	bigger[0] = type;
	bigger[1] = 0;
	bigger[2] = (uint8_t)len;
	if (len)
		memcpy(bigger + TLV_HEAD, value, len);
	tlvs->custom_len += TLV_HEAD + len;
	return 0;
}
