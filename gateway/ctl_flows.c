#include "ctl_flows.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "ctl_client.h"

#define STEP_MS	      1000
#define SILENCE_STEPS 10 /* a gateway that does not answer for longer has gone */
/*
 * While one image gives way to the next, a flow is for a moment nobody's: it has ended if it is
 * missing in so many answers.
 */
#define MISSING_MAX 2
#define WATCH_LIMIT 10000 /* the most that the gateway tells at a time */
/* For a worker to look at its channel. */
#define KILL_STEP_MS 10
#define KILL_STEPS   500
#define KEY_MAX	     (4 * CTL_TEXT_MAX)

static void print_age(double s)
{
	if (s >= 86400)
		printf("%.1f d", s / 86400);
	else if (s >= 3600)
		printf("%.1f h", s / 3600);
	else
		printf("%.1f s", s);
}

static void print_flow(const json_t *flow)
{
	char text[CTL_TEXT_MAX];

	printf("%s", ctl_text(flow, "client", text));
	printf(" to %s", ctl_text(flow, "local", text));
	printf(" (%s", ctl_text(flow, "listener", text));
	printf(", %s), ", ctl_text(flow, "protocol", text));
	printf("%s", ctl_text(flow, "source", text));
	printf(" to %s, ", ctl_text(flow, "backend", text));
	print_age(json_number_value(json_object_get(flow, "age_s")));
	printf(", worker %lld", ctl_integer(flow, "worker"));
	if (json_is_string(json_object_get(flow, "unique_id")))
		printf(", %s", ctl_text(flow, "unique_id", text));
	putchar('\n');
}

static void print_total(const json_t *result)
{
	size_t shown = json_array_size(json_object_get(result, "flows"));
	long long total = ctl_integer(result, "total");
	long long before = ctl_integer(result, "workers_before");
	const json_t *kept = json_object_get(result, "flows_before");
	long long n_kept = json_integer_value(kept);

	if (total > (long long)shown)
		printf("the latest %zu of %lld flows: narrow it down, or raise --limit\n", shown,
			total);
	else
		printf("%lld flow%s\n", total, total == 1 ? "" : "s");
	if (json_is_integer(kept) && n_kept > 0)
		printf("and %lld more, not shown, with workers of before a reload\n", n_kept);
	else if (before > 0 && !json_is_integer(kept))
		printf("and those that %lld worker%s of before a reload may still have\n", before,
			before == 1 ? "" : "s");
}

int ctl_flows_print(const json_t *result)
{
	const json_t *flows = json_object_get(result, "flows");

	for (size_t i = 0; i < json_array_size(flows); i++)
		print_flow(json_array_get(flows, i));
	print_total(result);
	return EXIT_SUCCESS;
}

/* ---- as it changes ---- */

/*
 * Theory of operation
 *
 * The gateway is asked every STEP_MS for all that is live, and what differs is told: nobody there
 * has to keep a list of who watches, and a reload in between is seen through.
 *
 *  (not known) ──is there──► known ("live" or "began") ──missing MISSING_MAX times──► "ended"
 *                               └──is older than what was told──► forgotten, without a word
 *
 * An answer has the latest flows, up to a limit. If there are more, what is older than its last one
 * (the floor) was not told, which says nothing about whether it lives: so none of that is said to
 * have ended, and if it is told again later it is "live" and not "began". A flow that begins and
 * ends between two questions is never seen.
 */

struct watch {
	bool json;
	json_t *known;		  /* by key: {"flow", "round", the last in which it was there} */
	long long round;	  /* the first is 0 */
	char floor[CTL_TEXT_MAX]; /* what began before was not told last time; "": all was */
};

static void say(const struct watch *watch, const char *event, json_t *flow)
{
	json_t *line;

	if (!watch->json) {
		printf("%-5s ", event);
		print_flow(flow);
		return;
	}
	line = json_pack("{s:s, s:O}", "event", event, "flow", flow);
	if (line && json_dumpf(line, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) == 0)
		putchar('\n');
	json_decref(line);
}

/* What a live flow is known by, whichever process it is in. */
static const char *key_of(const json_t *flow, char buf[KEY_MAX])
{
	char protocol[CTL_TEXT_MAX], client[CTL_TEXT_MAX], source[CTL_TEXT_MAX];
	char backend[CTL_TEXT_MAX];

	snprintf(buf, KEY_MAX, "%.8s %.100s %.100s %.100s", ctl_text(flow, "protocol", protocol),
		ctl_text(flow, "client", client), ctl_text(flow, "source", source),
		ctl_text(flow, "backend", backend));
	return buf;
}

/* Times are written so that they compare as text. */
static bool began_before(const json_t *flow, const char *floor)
{
	char began[CTL_TEXT_MAX];

	return strcmp(ctl_text(flow, "began", began), floor) < 0;
}

/* One that is there, whether it is new or not. */
static void see(struct watch *watch, json_t *flow)
{
	char key[KEY_MAX];

	if (!json_object_get(watch->known, key_of(flow, key)))
		say(watch, watch->round == 0 || began_before(flow, watch->floor) ? "live" : "began",
			flow);
	json_object_set_new(watch->known, key,
		json_pack("{s:O, s:I}", "flow", flow, "round", (json_int_t)watch->round));
}

/* Those that are missing; floor: what began before that was not told. */
static void miss(struct watch *watch, const char *floor)
{
	json_t *one;
	const char *key;
	void *next;

	json_object_foreach_safe(watch->known, next, key, one)
	{
		json_t *flow = json_object_get(one, "flow");

		if (began_before(flow, floor)) {
			json_object_del(watch->known, key);
		} else if (watch->round - ctl_integer(one, "round") >= MISSING_MAX) {
			say(watch, "ended", flow);
			json_object_del(watch->known, key);
		}
	}
}

static void take(struct watch *watch, const json_t *result)
{
	const json_t *flows = json_object_get(result, "flows");
	size_t n = json_array_size(flows);
	char floor[CTL_TEXT_MAX] = "";

	if (n > 0 && ctl_integer(result, "total") > (long long)n)
		ctl_text(json_array_get(flows, n - 1), "began", floor);
	/* The latest comes first. */
	for (size_t i = n; i > 0; i--)
		see(watch, json_array_get(flows, i - 1));
	miss(watch, floor);
	memcpy(watch->floor, floor, sizeof(floor));
	watch->round++;
	fflush(stdout);
}

/* 0; an exit status; or -1, there was no answer. */
static int ask_again(struct watch *watch, const char *path, json_t *args)
{
	char text[CTL_TEXT_MAX];
	json_t *answer = NULL;
	int status = 0;

	if (ctl_client_ask(path, "flows", json_copy(args), &answer) < 0)
		return -1;
	if (json_is_true(json_object_get(answer, "ok"))) {
		take(watch, json_object_get(answer, "result"));
	} else {
		fprintf(stderr, "sixgatectl: %s\n", ctl_text(answer, "error", text));
		status = EXIT_FAILURE;
	}
	json_decref(answer);
	return status;
}

int ctl_flows_watch(const char *path, json_t *args, const json_t *result, bool json)
{
	struct watch watch = { .json = json, .known = json_object() };
	int status = watch.known ? 0 : EX_OSERR, silent = 0;

	if (!json_object_get(args, "limit"))
		json_object_set_new(args, "limit", json_integer(WATCH_LIMIT));
	if (!status)
		take(&watch, result);
	while (!status && !ferror(stdout)) {
		(void)poll(NULL, 0, STEP_MS);
		status = ask_again(&watch, path, args);
		silent = status < 0 ? silent + 1 : 0;
		if (status < 0 && silent < SILENCE_STEPS)
			status = 0;
	}
	if (status < 0) {
		fputs("sixgatectl: the gateway has gone\n", stderr);
		status = EX_UNAVAILABLE;
	}
	json_decref(watch.known);
	return status;
}

/* ---- kill-flow ---- */

/*
 * The flow as it is now, a new reference; NULL: it is forgotten, or nobody answers. By "who", which
 * knows those that have ended, and by when it began, as others may have had its ends since.
 */
static json_t *look_up(const char *path, const json_t *flow)
{
	static const char *const keys[] = { "source", "protocol", "backend" };
	json_t *args = json_object(), *answer = NULL, *found = NULL, *one;
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		json_object_set(args, keys[i], json_object_get(flow, keys[i]));
	if (ctl_client_ask(path, "who", args, &answer) < 0)
		return NULL;
	json_array_foreach(json_object_get(json_object_get(answer, "result"), "answers"), i, one)
	{
		if (!found &&
			json_equal(json_object_get(one, "began"), json_object_get(flow, "began")))
			found = json_incref(one);
	}
	json_decref(answer);
	return found;
}

/* Only if the gateway says so: not to hear of it proves nothing. */
static bool has_ended(const char *path, const json_t *flow)
{
	json_t *now = look_up(path, flow);
	bool live = !now || json_is_true(json_object_get(now, "live"));

	json_decref(now);
	return !live;
}

int ctl_flows_follow_kill(const char *path, const json_t *result, bool json)
{
	const json_t *flow = json_object_get(result, "flow");
	int steps = 0;

	while (!has_ended(path, flow) && steps < KILL_STEPS) {
		(void)poll(NULL, 0, KILL_STEP_MS);
		steps++;
	}
	if (steps == KILL_STEPS) {
		fputs("sixgatectl: its worker was told, and has not ended it yet\n", stderr);
		return EXIT_FAILURE;
	}
	if (!json) {
		fputs("killed ", stdout);
		print_flow(flow);
	} else if (json_dumpf(result, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) == 0) {
		putchar('\n');
	}
	return EXIT_SUCCESS;
}
