#include "ctl_who.h"

#include <stdio.h>
#include <stdlib.h>

#include "ctl_client.h"

static void print_answer(const json_t *answer)
{
	char text[CTL_TEXT_MAX];

	printf("%s", ctl_text(answer, "client", text));
	printf(" to %s", ctl_text(answer, "local", text));
	printf(" (%s", ctl_text(answer, "listener", text));
	printf(", %s), ", ctl_text(answer, "protocol", text));
	printf("%s", ctl_text(answer, "source", text));
	printf(" to %s, ", ctl_text(answer, "backend", text));
	printf("%s to ", ctl_text(answer, "began", text));
	fputs(json_is_true(json_object_get(answer, "live")) ? "now: live"
							    : ctl_text(answer, "ended", text),
		stdout);
	if (json_is_string(json_object_get(answer, "unique_id")))
		printf(", %s", ctl_text(answer, "unique_id", text));
	putchar('\n');
}

static void print_nobody(const json_t *result)
{
	printf("nobody is known there; what has ended is forgotten after %lld s\n",
		ctl_integer(result, "keep_ms") / 1000);
	if (ctl_integer(result, "overwritten") > 0)
		printf("%lld entries were overwritten before that: raise entries in the section "
		       "who\n",
			ctl_integer(result, "overwritten"));
}

int ctl_who_print(const json_t *result)
{
	const json_t *answers = json_object_get(result, "answers");

	if (json_array_size(answers) == 0) {
		print_nobody(result);
		return EXIT_FAILURE;
	}
	if (json_is_true(json_object_get(result, "near")))
		puts("nobody was there just then; within two seconds:");
	for (size_t i = 0; i < json_array_size(answers); i++)
		print_answer(json_array_get(answers, i));
	if (ctl_integer(result, "more") > 0)
		printf("and %lld earlier ones: say which with --at or --backend\n",
			ctl_integer(result, "more"));
	return EXIT_SUCCESS;
}
