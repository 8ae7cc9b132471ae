#include "unique_id.h"

#include <errno.h>
#include <sys/random.h>

int unique_id_init(struct unique_id_source *source)
{
	uint64_t random;

	/* So few bytes come whole, or not at all. */
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return errno ? -errno : -EIO;
	*source = (struct unique_id_source){ .random = random };
	return 0;
}

static void put(uint64_t number, uint8_t *buf)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 15; i >= 0; i--, number >>= 4)
		buf[i] = (uint8_t)digits[number & 15];
}

void unique_id_format(
	const struct unique_id_source *source, uint64_t number, uint8_t buf[UNIQUE_ID_LEN])
{
	put(source->random, buf);
	put(number, buf + 16);
}
