#include "ctl_pools.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl_client.h"

#define HEAD "server"

static bool is(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static int width_of(const json_t *backends)
{
	size_t width = strlen(HEAD);
	char text[CTL_TEXT_MAX];

	for (size_t i = 0; i < json_array_size(backends); i++) {
		size_t len = strlen(ctl_text(json_array_get(backends, i), "address", text));

		width = len > width ? len : width;
	}
	return (int)width;
}

/* A number, or nothing where the gateway has none. */
static void print_number(const json_t *backend, const char *key, int width)
{
	if (json_is_integer(json_object_get(backend, key)))
		printf("  %*lld", width, ctl_integer(backend, key));
	else
		printf("  %*s", width, "-");
}

static void print_backend(const json_t *backend, int width)
{
	char text[CTL_TEXT_MAX];

	printf("  %-*s  %-8s", width, ctl_text(backend, "address", text),
		!is(backend, "up")	      ? "DOWN"
		: is(backend, "circuit_open") ? "left out"
		: is(backend, "draining")     ? "draining"
					      : "up");
	print_number(backend, "weight", 6);
	print_number(backend, "live", 7);
	print_number(backend, "connects", 10);
	print_number(backend, "connect_failures", 7);
	print_number(backend, "failures", 8);
	if (is(backend, "backup"))
		printf("  backup");
	if (is(backend, "weight_set"))
		printf("  weight set");
	if (json_is_string(json_object_get(backend, "name")))
		printf("  of %s", ctl_text(backend, "name", text));
	putchar('\n');
}

static void print_pool(const json_t *pool)
{
	const json_t *backends = json_object_get(pool, "backends");
	int width = width_of(backends);
	char text[CTL_TEXT_MAX];

	printf("pool %s: %s%s\n", ctl_text(pool, "name", text), is(pool, "up") ? "up" : "DOWN",
		is(pool, "checked") ? "" : " (not checked)");
	printf("  %-*s  %-8s  %6s  %7s  %10s  %7s  %8s\n", width, HEAD, "state", "weight", "live",
		"connects", "failed", "in a row");
	for (size_t i = 0; i < json_array_size(backends); i++)
		print_backend(json_array_get(backends, i), width);
}

int ctl_pools_print(const json_t *result)
{
	const json_t *pools = json_object_get(result, "pools");
	bool fine = true;

	for (size_t i = 0; i < json_array_size(pools); i++) {
		print_pool(json_array_get(pools, i));
		fine = fine && is(json_array_get(pools, i), "up");
	}
	return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
