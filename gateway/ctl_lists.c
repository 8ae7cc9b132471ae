#include "ctl_lists.h"

#include <stdio.h>
#include <stdlib.h>

#include "ctl_client.h"

int ctl_lists_print(const json_t *result)
{
	const json_t *listeners = json_object_get(result, "listeners"), *listener;
	char name[CTL_TEXT_MAX];
	size_t i;

	json_array_foreach(listeners, i, listener)
	{
		printf("listener %s: %lld prefixes\n", ctl_text(listener, "listener", name),
			ctl_integer(listener, "prefixes"));
	}
	if (json_array_size(listeners) == 0)
		puts("no listener has lists of clients");
	return EXIT_SUCCESS;
}
