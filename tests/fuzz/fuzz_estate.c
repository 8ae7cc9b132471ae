/*
 * Fuzzes the reader of what an earlier image has left: whatever it takes, it says again in the same
 * words, and it gives out no descriptor that cannot be one.
 */
#include "estate.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static void require_fd(void *userdata, const char *name, int fd)
{
	(void)userdata;
	REQUIRE(name[0] && strlen(name) <= ESTATE_NAME_MAX && fd >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct estate *first = NULL, *second = NULL;
	char *text = NULL, *again = NULL;

	if (estate_decode((const char *)data, size, &first) < 0)
		return 0;
	estate_for_each_fd(first, require_fd, NULL);
	REQUIRE(estate_encode(first, &text) == 0);
	REQUIRE(estate_decode(text, strlen(text), &second) == 0);
	REQUIRE(estate_encode(second, &again) == 0);
	REQUIRE(strcmp(text, again) == 0);
	free(text);
	free(again);
	estate_free(first);
	estate_free(second);
	return 0;
}
