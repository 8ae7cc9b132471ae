#include "ctl_reload.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl_client.h"

/* A trial takes ten seconds at most; then processes have to start. */
#define STEP_MS 50
#define STEPS	1200

static int say(const json_t *result, bool json)
{
	char text[CTL_TEXT_MAX];

	if (!json)
		printf("generation %lld serves, release %s\n", ctl_integer(result, "generation"),
			ctl_text(result, "release", text));
	else if (json_dumpf(result, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) == 0)
		putchar('\n');
	return EXIT_SUCCESS;
}

static int fail(const json_t *result)
{
	char text[CTL_TEXT_MAX];

	fprintf(stderr, "sixgatectl: no successor: %s; everything stays as it is\n",
		ctl_text(result, "failure", text));
	return EXIT_FAILURE;
}

int ctl_reload_follow(const char *path, const json_t *result, bool json)
{
	const long long before = ctl_integer(result, "generation");

	for (int i = 0; i < STEPS; i++) {
		json_t *answer = NULL;
		const json_t *now;
		int status = -1;

		(void)poll(NULL, 0, STEP_MS);
		/* While one image gives way to the other, nobody may be there to be asked. */
		if (ctl_client_ask(path, "generation", json_object(), &answer) < 0)
			continue;
		now = json_object_get(answer, "result");
		if (json_is_true(json_object_get(now, "trying")))
			status = -1; /* or the next image is there, and has yet to start */
		else if (json_is_string(json_object_get(now, "failure")))
			status = fail(now);
		else if (ctl_integer(now, "generation") > before)
			status = say(now, json);
		json_decref(answer);
		if (status >= 0)
			return status;
	}
	fputs("sixgatectl: the gateway does not say what became of it: see its log\n", stderr);
	return EXIT_FAILURE;
}
