/*
 * Fuzzes the reading of an HTTP client's Accept for its promises: nothing is read behind its end,
 * and a range that is put in front, which wants OpenMetrics and nothing else more, is understood.
 */
#include "accept_header.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define OPENMETRICS "application/openmetrics-text"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char front[] = OPENMETRICS ";version=1.0.0;q=1,";
	char *text = malloc(sizeof(front) + size);

	REQUIRE(text);
	memcpy(text, front, sizeof(front) - 1);
	memcpy(text + sizeof(front) - 1, data, size);
	text[sizeof(front) - 1 + size] = '\0';
	REQUIRE(accept_header_openmetrics(text));
	if (accept_header_openmetrics(text + sizeof(front) - 1))
		REQUIRE(strcasestr(text + sizeof(front) - 1, OPENMETRICS));
	free(text);
	return 0;
}
