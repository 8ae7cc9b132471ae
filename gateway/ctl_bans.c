#include "ctl_bans.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl_client.h"

static bool has(const json_t *object, const char *key)
{
	return json_is_string(json_object_get(object, key));
}

/* What is not as it ought to be, to standard error; an exit status. */
static int print_trouble(const json_t *result)
{
	char text[CTL_TEXT_MAX];

	if (json_is_false(json_object_get(result, "saved")))
		fputs("sixgatectl: it is not written down, and would not outlive the gateway; the "
		      "gateway's log says why\n",
			stderr);
	if (!json_is_false(json_object_get(result, "enforced")))
		return EXIT_SUCCESS;
	fprintf(stderr,
		"sixgatectl: bans are not enforced by the kernel, clients are accepted and then "
		"reset: %s\n",
		ctl_text(result, "why", text));
	return EXIT_FAILURE;
}

int ctl_bans_print_ban(const json_t *result)
{
	char text[CTL_TEXT_MAX];

	printf("banned %s", ctl_text(result, "prefix", text));
	if (has(result, "until"))
		printf(" until %s", ctl_text(result, "until", text));
	if (has(result, "within"))
		printf(", within %s", ctl_text(result, "within", text));
	putchar('\n');
	return print_trouble(result);
}

int ctl_bans_print_unban(const json_t *result)
{
	char text[CTL_TEXT_MAX];

	printf("unbanned %s", ctl_text(result, "prefix", text));
	if (has(result, "within"))
		printf(", but it still lies within %s, which is banned",
			ctl_text(result, "within", text));
	putchar('\n');
	return print_trouble(result);
}

int ctl_bans_print(const json_t *result)
{
	const json_t *bans = json_object_get(result, "bans"), *ban;
	char text[CTL_TEXT_MAX];
	size_t i;

	json_array_foreach(bans, i, ban)
	{
		printf("%s", ctl_text(ban, "prefix", text));
		if (has(ban, "until"))
			printf(" until %s (%lld s)", ctl_text(ban, "until", text),
				ctl_integer(ban, "left_s"));
		if (has(ban, "within"))
			printf(", within %s", ctl_text(ban, "within", text));
		if (json_string_length(json_object_get(ban, "reason")) > 0)
			printf(": %s", ctl_text(ban, "reason", text));
		putchar('\n');
	}
	return json_array_size(bans) > 0 ? print_trouble(result) : EXIT_SUCCESS;
}
