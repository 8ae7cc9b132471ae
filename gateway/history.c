#include "history.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "history_events.h"

/*
 * Theory of operation
 *
 * Sample number k is at k mod HISTORY_SAMPLES, so the count of samples taken is the only index,
 * and any value of it is in range. It is raised after the sample is written. What events need of
 * the answer before is kept in memory: nothing is an event of the first answer.
 *
 * The file's size is sealed, so that whoever maps it cannot be hit by SIGBUS. Magic, version and
 * size are looked at when it is opened; all else in it is checked at each use, as an earlier image
 * may have had other ideas of a value, and the observer, which writes it, talks to strangers.
 *
 * Samples are totals and not differences: a sample that was never taken then costs detail, and no
 * event is lost or counted twice. What has started anew is seen by a total that fell.
 *
 * A change of struct layout, or of what a value means, raises VERSION: the next image begins with
 * an empty hour then.
 */

#define MAGIC	0x73697867U
#define VERSION 1U

static_assert(HISTORY_REFUSED < HISTORY_OTHER && HISTORY_OTHER - HISTORY_REFUSED == 5,
	"history_failed() sums up all from the first to the last");
struct layout {
	uint32_t magic, version;
	uint32_t size;	   /* of all this */
	uint32_t n_bounds; /* 0: none are known yet, and no connect times */
	uint64_t taken;	   /* samples, ever */
	double bounds[HISTORY_BOUNDS_MAX];
	struct history_sample samples[HISTORY_SAMPLES];
	struct history_events events;
};

struct history {
	int fd;
	struct layout *layout;
	json_t *before; /* the answer before; NULL at first */
};

/* A descriptor of its own, above the standard ones. NULL, and errno: it cannot be had. */
static struct history *map(int fd)
{
	struct history *history = calloc(1, sizeof(*history));

	if (!history)
		return NULL;
	history->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	history->layout = mmap(
		NULL, sizeof(struct layout), PROT_READ | PROT_WRITE, MAP_SHARED, history->fd, 0);
	if (history->layout != MAP_FAILED)
		return history;
	if (history->fd >= 0)
		close(history->fd);
	free(history);
	return NULL;
}

int history_create(struct history **ret_history)
{
	int fd = memfd_create("sixgate-history", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct history *history = NULL;
	int err;

	if (fd >= 0 && ftruncate(fd, sizeof(struct layout)) == 0 &&
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0)
		history = map(fd);
	err = -errno;
	if (fd >= 0)
		close(fd);
	if (!history)
		return err;
	history->layout->magic = MAGIC;
	history->layout->version = VERSION;
	history->layout->size = sizeof(struct layout);
	*ret_history = history;
	return 0;
}

int history_open(int fd, struct history **ret_history)
{
	struct history *history;
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	/* One that could shrink would be a SIGBUS one day. */
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) < 0 ||
		(size_t)st.st_size != sizeof(struct layout))
		return -EPROTO;
	history = map(fd);
	if (!history)
		return -errno;
	if (history->layout->magic != MAGIC || history->layout->version != VERSION ||
		history->layout->size != sizeof(struct layout)) {
		history_close(history);
		return -EPROTO;
	}
	*ret_history = history;
	return 0;
}

void history_close(struct history *history)
{
	if (!history)
		return;
	munmap(history->layout, sizeof(struct layout));
	close(history->fd);
	json_decref(history->before);
	free(history);
}

int history_fd(const struct history *history)
{
	return history->fd;
}

/* ---- taking ---- */

static uint64_t number(const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return value > 0 ? (uint64_t)value : 0;
}

/* By their names in "status"; several may be one value. */
static const struct {
	const char *name;
	enum history_value value;
} counters[] = {
	{ "accepted", HISTORY_ACCEPTED },
	{ "refused", HISTORY_REFUSED },
	{ "unreachable", HISTORY_UNREACHABLE },
	{ "connect_timeout", HISTORY_TIMEOUTS },
	{ "header_timeout", HISTORY_TIMEOUTS },
	{ "over_limit", HISTORY_OVER_LIMIT },
	{ "denied", HISTORY_DENIED },
	{ "banned", HISTORY_DENIED },
	{ "not_allowed", HISTORY_DENIED },
	{ "no_source_port", HISTORY_OTHER },
	{ "bad_header", HISTORY_OTHER },
	{ "error", HISTORY_OTHER },
	{ "reset", HISTORY_RESET },
	{ "bytes_in", HISTORY_BYTES_IN },
	{ "bytes_out", HISTORY_BYTES_OUT },
	{ "datagrams_in", HISTORY_DATAGRAMS_IN },
	{ "datagrams_out", HISTORY_DATAGRAMS_OUT },
	{ "live_flows", HISTORY_LIVE },
};

static void take_counters(const json_t *status, struct history_sample *sample)
{
	json_t *all = json_object_get(status, "counters"), *value;
	const char *name;

	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		sample->value[counters[i].value] += number(all, counters[i].name);
	json_object_foreach(all, name, value) if (strncmp(name, "dropped_", 8) == 0)
		sample->value[HISTORY_DROPPED] += number(all, name);
	sample->value[HISTORY_TURNED_AWAY] =
		number(json_object_get(status, "guard"), "packets_refused");
}

/* Bounds that differ from those of the samples before: their times mean nothing any more. */
static void take_bounds(struct layout *layout, const json_t *bounds)
{
	double got[HISTORY_BOUNDS_MAX];
	size_t n = json_array_size(bounds);

	if (n == 0 || n > HISTORY_BOUNDS_MAX)
		return;
	for (size_t i = 0; i < n; i++)
		got[i] = json_number_value(json_array_get(bounds, i));
	if (n == layout->n_bounds && memcmp(got, layout->bounds, n * sizeof(got[0])) == 0)
		return;
	for (size_t i = 0; i < HISTORY_SAMPLES; i++)
		memset(layout->samples[i].connect, 0, sizeof(layout->samples[i].connect));
	memcpy(layout->bounds, got, n * sizeof(got[0]));
	layout->n_bounds = (uint32_t)n;
}

static void take_connect(struct layout *layout, const json_t *status, struct history_sample *sample)
{
	json_t *listeners = json_object_get(status, "listeners"), *listener;
	size_t i;

	json_array_foreach(listeners, i, listener)
	{
		json_t *connect = json_object_get(listener, "connect");
		json_t *counts = json_object_get(connect, "counts");
		json_t *bounds = json_object_get(connect, "bounds_s");
		json_int_t count;

		take_bounds(layout, bounds);
		if (json_array_size(bounds) != layout->n_bounds ||
			json_array_size(counts) != (size_t)layout->n_bounds + 1)
			continue;
		for (size_t k = 0; k <= layout->n_bounds; k++) {
			count = json_integer_value(json_array_get(counts, k));
			sample->connect[k] += count > 0 ? (uint64_t)count : 0;
		}
	}
}

/* A copy, as the answer goes on to change: the observer puts its own counters into it. */
void history_note(struct history *history, const json_t *status, int64_t now_s)
{
	if (history->before)
		history_events_find(&history->layout->events, history->before, status,
			history_events_time(now_s));
	json_decref(history->before);
	history->before = json_deep_copy(status);
}

void history_take(struct history *history, const json_t *status, int64_t now_s)
{
	struct layout *layout = history->layout;
	struct history_sample sample = { .time_s = history_events_time(now_s) };

	/* What another image has left there is not to be trusted. */
	if (layout->n_bounds > HISTORY_BOUNDS_MAX)
		layout->n_bounds = 0;
	take_counters(status, &sample);
	take_connect(layout, status, &sample);
	layout->samples[layout->taken % HISTORY_SAMPLES] = sample;
	layout->taken++;
	history_note(history, status, now_s);
}

/* ---- looking ---- */

size_t history_n_samples(const struct history *history)
{
	uint64_t taken = history->layout->taken;

	return taken < HISTORY_SAMPLES ? (size_t)taken : HISTORY_SAMPLES;
}

void history_sample(const struct history *history, size_t i, struct history_sample *ret_sample)
{
	uint64_t taken = history->layout->taken;
	/* Full, the oldest is in the place that is written next: taken mod HISTORY_SAMPLES. */
	uint64_t first = taken < HISTORY_SAMPLES ? 0 : taken;

	assert(i < HISTORY_SAMPLES);
	*ret_sample = history->layout->samples[(first + i) % HISTORY_SAMPLES];
	ret_sample->time_s = history_events_time(ret_sample->time_s);
}

size_t history_n_events(const struct history *history)
{
	return history_events_n(&history->layout->events);
}

void history_event(const struct history *history, size_t i, struct history_event *ret_event)
{
	history_events_get(&history->layout->events, i, ret_event);
}

size_t history_bounds(const struct history *history, double ret_bounds[HISTORY_BOUNDS_MAX])
{
	const struct layout *layout = history->layout;
	size_t n = layout->n_bounds <= HISTORY_BOUNDS_MAX ? layout->n_bounds : 0;

	memcpy(ret_bounds, layout->bounds, n * sizeof(ret_bounds[0]));
	return n;
}

uint64_t history_growth(uint64_t before, uint64_t now)
{
	return now >= before ? now - before : now;
}

uint64_t history_failed(const struct history_sample *before, const struct history_sample *now)
{
	uint64_t sum = 0;

	/* Each by itself: one counter that has started anew must not hide what the others say. */
	for (int i = HISTORY_REFUSED; i <= HISTORY_OTHER; i++)
		sum += history_growth(before->value[i], now->value[i]);
	return sum;
}

double history_connect_time(const struct history *history, const struct history_sample *before,
	const struct history_sample *now, double share)
{
	double bounds[HISTORY_BOUNDS_MAX], all = 0, below = 0, lower = 0;
	size_t n = history_bounds(history, bounds);

	assert(share >= 0 && share <= 1);
	for (size_t i = 0; i <= n; i++)
		all += (double)history_growth(before->connect[i], now->connect[i]);
	if (n == 0 || all <= 0)
		return (double)NAN;
	for (size_t i = 0; i < n; i++) {
		double here = (double)history_growth(before->connect[i], now->connect[i]);

		if (here > 0 && below + here >= share * all)
			return lower + (bounds[i] - lower) * (share * all - below) / here;
		below += here;
		lower = bounds[i];
	}
	return lower;
}
