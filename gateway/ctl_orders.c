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
