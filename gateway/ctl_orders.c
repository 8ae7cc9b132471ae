#include "ctl_orders.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl_client.h"

/* It was done as ordered, and may yet not be what was meant. */
static void warn_of_pool(const json_t *result)
{
	char pool[CTL_TEXT_MAX];

	if (json_is_false(json_object_get(result, "pool_up")))
		fprintf(stderr, "sixgatectl: no backend of pool %s is left for new clients\n",
			ctl_text(result, "pool", pool));
}

int ctl_orders_print_weight(const json_t *result)
{
	long long weight = ctl_integer(result, "weight");
	char pool[CTL_TEXT_MAX], backend[CTL_TEXT_MAX];

	printf("pool %s: backend %s: weight %lld", ctl_text(result, "pool", pool),
		ctl_text(result, "backend", backend), weight);
	if (weight != ctl_integer(result, "weight_configured"))
		printf(" (configured: %lld)", ctl_integer(result, "weight_configured"));
	printf(", %lld flows\n", ctl_integer(result, "live"));
	warn_of_pool(result);
	return EXIT_SUCCESS;
}

/* "pool p: backend 192.0.2.1:80", "listener l" or "gateway". */
static void print_what(const json_t *result)
{
	char pool[CTL_TEXT_MAX], text[CTL_TEXT_MAX];

	if (json_object_get(result, "backend"))
		printf("pool %s: backend %s", ctl_text(result, "pool", pool),
			ctl_text(result, "backend", text));
	else if (json_object_get(result, "listener"))
		printf("listener %s", ctl_text(result, "listener", text));
	else
		printf("gateway");
}

int ctl_orders_print_drain(const json_t *result)
{
	long long live = ctl_integer(result, "live");
	char until[CTL_TEXT_MAX];

	print_what(result);
	printf(": draining, %lld %s, ", live, live == 1 ? "flow" : "flows");
	if (json_is_null(json_object_get(result, "until")))
		puts("without a deadline");
	else
		printf("reset at %s (%.1f s)\n", ctl_text(result, "until", until),
			json_number_value(json_object_get(result, "deadline_s")));
	warn_of_pool(result);
	return EXIT_SUCCESS;
}

int ctl_orders_print_undrain(const json_t *result)
{
	print_what(result);
	puts(": drained no more");
	warn_of_pool(result);
	return EXIT_SUCCESS;
}
