#include "ctl_status.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl_client.h"

static bool is(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static void print_duration(double seconds)
{
	unsigned long s = seconds > 0 ? (unsigned long)seconds : 0;

	if (s >= 86400)
		printf("%lud%luh", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		printf("%luh%lum", s / 3600, s / 60 % 60);
	else if (s >= 60)
		printf("%lum%lus", s / 60, s % 60);
	else
		printf("%lus", s);
}

/* Whether all are fine, as with print_pools(): that is the exit status. */
static bool print_workers(const json_t *workers)
{
	const json_t *worker;
	bool fine = true;
	size_t i;

	json_array_foreach(workers, i, worker)
	{
		fine = fine && is(worker, "ready");
		printf("worker %lld: %s", ctl_integer(worker, "worker"),
			is(worker, "ready") ? "ready" : "NOT READY");
		if (ctl_integer(worker, "pid") > 0) {
			printf(", pid %lld, for ", ctl_integer(worker, "pid"));
			print_duration(json_real_value(json_object_get(worker, "uptime_s")));
		}
		printf(", %lld flows", ctl_integer(worker, "live_flows"));
		if (ctl_integer(worker, "replaced") > 0)
			printf(", replaced %lld times", ctl_integer(worker, "replaced"));
		if (ctl_integer(worker, "records_lost") > 0)
			printf(", %lld records lost", ctl_integer(worker, "records_lost"));
		putchar('\n');
	}
	return fine;
}

static void print_backend(const json_t *backend)
{
	char text[CTL_TEXT_MAX];

	printf("  %-21s %s", ctl_text(backend, "address", text), is(backend, "up") ? "up" : "DOWN");
	if (is(backend, "circuit_open"))
		printf(", left out after %lld failures", ctl_integer(backend, "failures"));
	if (is(backend, "draining"))
		printf(", draining");
	printf(", weight %lld", ctl_integer(backend, "weight"));
	if (json_object_get(backend, "weight_configured") &&
		ctl_integer(backend, "weight_configured") != ctl_integer(backend, "weight"))
		printf(" (configured: %lld)", ctl_integer(backend, "weight_configured"));
	printf("%s, %lld flows", is(backend, "backup") ? ", backup" : "",
		ctl_integer(backend, "live"));
	if (json_object_get(backend, "name"))
		printf(", of %s", ctl_text(backend, "name", text));
	putchar('\n');
}

static bool print_pools(const json_t *pools)
{
	const json_t *pool, *backends;
	char text[CTL_TEXT_MAX];
	bool fine = true;
	size_t i, k;

	json_array_foreach(pools, i, pool)
	{
		fine = fine && is(pool, "up");
		printf("pool %s: %s%s\n", ctl_text(pool, "name", text),
			is(pool, "up") ? "up" : "DOWN",
			is(pool, "checked") ? "" : " (not checked)");
		backends = json_object_get(pool, "backends");
		for (k = 0; k < json_array_size(backends); k++)
			print_backend(json_array_get(backends, k));
	}
	return fine;
}

static void print_listeners(const json_t *listeners)
{
	const json_t *listener, *binds;
	char text[CTL_TEXT_MAX];
	size_t i, k;

	json_array_foreach(listeners, i, listener)
	{
		printf("listener %s:", ctl_text(listener, "name", text));
		binds = json_object_get(listener, "binds");
		for (k = 0; k < json_array_size(binds); k++) {
			const char *bind = json_string_value(json_array_get(binds, k));

			printf(" %s", bind ? bind : "-");
		}
		printf(" %s", ctl_text(listener, "protocol", text));
		if (json_is_string(json_object_get(listener, "pool")))
			printf(", pool %s", ctl_text(listener, "pool", text));
		printf(", identity %s%s\n", ctl_text(listener, "identity", text),
			is(listener, "draining") ? ", draining" : "");
	}
}

static void print_counters(const json_t *counters)
{
	const char *name;
	json_t *value;

	/* json_object_foreach() takes no const object, and changes none. */
	json_object_foreach(
		(json_t *)(uintptr_t)counters, name, value) if (json_integer_value(value) > 0)
		printf("counter %s %lld\n", name, (long long)json_integer_value(value));
}

static void print_guard(const json_t *guard)
{
	char text[CTL_TEXT_MAX];

	printf("guard: table %s", ctl_text(guard, "table", text));
	if (json_is_string(json_object_get(guard, "why")))
		printf(" (%s)", ctl_text(guard, "why", text));
	printf(", %lld banned; packets: %lld of banned, %lld refused\n", ctl_integer(guard, "bans"),
		ctl_integer(guard, "packets_banned"), ctl_integer(guard, "packets_refused"));
}

int ctl_status_print(const json_t *result)
{
	char state[CTL_TEXT_MAX], version[CTL_TEXT_MAX];
	bool workers, pools;

	printf("sixgated %s, pid %lld: %s for ", ctl_text(result, "version", version),
		ctl_integer(result, "pid"), ctl_text(result, "state", state));
	print_duration(json_real_value(json_object_get(result, "uptime_s")));
	putchar('\n');
	workers = print_workers(json_object_get(result, "workers"));
	print_listeners(json_object_get(result, "listeners"));
	pools = print_pools(json_object_get(result, "pools"));
	print_guard(json_object_get(result, "guard"));
	print_counters(json_object_get(result, "counters"));
	return workers && pools ? EXIT_SUCCESS : EXIT_FAILURE;
}
