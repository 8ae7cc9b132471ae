#include "accept_header.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#define WHOLE 1000U /* a quality of 1, in thousandths */
#define SPACE " \t"

/* A part of the value, without space at its ends. */
struct part {
	const char *text;
	size_t len;
};

/* What comes before the delimiter; *rest is what comes behind it, NULL at the end. */
static struct part cut(const char **rest, char delimiter, const char *end)
{
	struct part part = { .text = *rest };
	const char *at = memchr(*rest, delimiter, (size_t)(end - *rest));

	part.len = (size_t)((at ? at : end) - *rest);
	*rest = at ? at + 1 : NULL;
	while (part.len > 0 && strchr(SPACE, part.text[0])) {
		part.text++;
		part.len--;
	}
	while (part.len > 0 && strchr(SPACE, part.text[part.len - 1]))
		part.len--;
	return part;
}

static bool is(struct part part, const char *word)
{
	return part.len == strlen(word) && strncasecmp(part.text, word, part.len) == 0;
}

static bool begins(struct part part, const char *word)
{
	return part.len >= strlen(word) && strncasecmp(part.text, word, strlen(word)) == 0;
}

/* In thousandths; what is no quality is none. */
static unsigned quality(struct part part)
{
	unsigned value = 0, digit = WHOLE;

	if (part.len == 0 || (part.text[0] != '0' && part.text[0] != '1'))
		return 0;
	for (size_t i = 0; i < part.len && digit > 0; i++) {
		if (i == 1)
			continue;
		if (part.text[i] < '0' || part.text[i] > '9')
			return 0;
		value += digit * (unsigned)(part.text[i] - '0');
		digit /= 10;
	}
	return value < WHOLE ? value : WHOLE;
}

struct wishes {
	unsigned openmetrics;
	unsigned text;
	unsigned specific; /* of text: 0 nothing, 1 everything, 2 all texts, 3 plain text */
};

static void take_range(struct wishes *wishes, struct part range)
{
	const char *end = range.text + range.len, *rest = range.text;
	struct part type = cut(&rest, ';', end);
	unsigned q = WHOLE, specific;
	bool known = true; /* its version */

	while (rest) {
		struct part parameter = cut(&rest, ';', end);

		if (begins(parameter, "q="))
			q = quality((struct part){ parameter.text + 2, parameter.len - 2 });
		else if (begins(parameter, "version="))
			known = begins(parameter, "version=1.") || begins(parameter, "version=0.");
	}
	if (is(type, "application/openmetrics-text")) {
		if (known && q > wishes->openmetrics)
			wishes->openmetrics = q;
		return;
	}
	specific = is(type, "text/plain") ? 3 : is(type, "text/*") ? 2 : is(type, "*/*") ? 1 : 0;
	if (specific > wishes->specific || (specific == wishes->specific && q > wishes->text)) {
		wishes->specific = specific;
		wishes->text = specific ? q : 0;
	}
}

bool accept_header_openmetrics(const char *value)
{
	const char *end = value ? value + strlen(value) : NULL, *rest = value;
	struct wishes wishes = { 0 };

	while (rest)
		take_range(&wishes, cut(&rest, ',', end));
	return wishes.openmetrics > 0 && wishes.openmetrics >= wishes.text;
}
