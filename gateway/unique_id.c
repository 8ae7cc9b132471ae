#include "unique_id.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static void put(uint64_t number, uint8_t *buf)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 15; i >= 0; i--, number >>= 4)
		buf[i] = (uint8_t)digits[number & 15];
}

int unique_id_init(struct unique_id_source *source)
{
	uint64_t random;

	/* So few bytes come whole, or not at all. */
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return errno ? -errno : -EIO;
	*source = (struct unique_id_source){ 0 };
	put(random, source->drawn);
	return 0;
}

void unique_id_format(
	const struct unique_id_source *source, uint64_t number, uint8_t buf[UNIQUE_ID_LEN])
{
	memcpy(buf, source->drawn, sizeof(source->drawn));
	put(number, buf + sizeof(source->drawn));
}

const char *unique_id_text(const uint8_t *id, size_t len, char buf[UNIQUE_ID_TEXT_MAX])
{
	bool plain = true;

	len = len < UNIQUE_ID_TEXT_MAX / 2 - 1 ? len : UNIQUE_ID_TEXT_MAX / 2 - 1;
	for (size_t i = 0; i < len; i++)
		plain = plain && id[i] > ' ' && id[i] < 0x7f;
	if (plain) {
		memcpy(buf, id, len);
		buf[len] = '\0';
		return buf;
	}
	memcpy(buf, "0x", 3);
	for (size_t i = 0; i < len; i++)
		snprintf(buf + 2 + 2 * i, 3, "%02x", id[i]);
	return buf;
}
