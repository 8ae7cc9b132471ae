#include "measures.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "shared_map.h"
#include "sockaddr.h"

/*
 * Theory of operation
 *
 * Listeners and backends are structs of nothing but 64-bit numbers, so that summing, and handing
 * them to the next image, is a walk over an array. In the estate a listener's numbers have the
 * listener's name, and the name of the field or of the bucket's bound: with other bounds or other
 * fields, whatever has kept its name goes on.
 *
 * A time is looked for among the bounds one by one: there are few, and most times are short.
 *
 * connect: from what a machine in the same rack takes to the default of "connect" and beyond;
 * duration: from a request to a day. Bounds are labels of metrics, too, so they stay what they are.
 */
static const uint64_t connect_bounds_us[MEASURES_BUCKETS - 1] = { 500, 1000, 2500, 5000, 10000,
	25000, 50000, 100000, 250000, 500000, 1000000, 3000000, 10000000 };

#define SECOND UINT64_C(1000000)

static const uint64_t duration_bounds_us[MEASURES_BUCKETS - 1] = { 10000, 50000, 100000, 500000,
	1 * SECOND, 5 * SECOND, 10 * SECOND, 30 * SECOND, 60 * SECOND, 600 * SECOND, 3600 * SECOND,
	21600 * SECOND, 86400 * SECOND };

const uint64_t *measures_connect_bounds(void)
{
	return connect_bounds_us;
}

const uint64_t *measures_duration_bounds(void)
{
	return duration_bounds_us;
}

#define LISTENER_WORDS (sizeof(struct measures_listener) / sizeof(uint64_t))
#define BACKEND_WORDS  (sizeof(struct measures_backend) / sizeof(uint64_t))

/* At least one of each, so that there is something to map. */
static size_t listeners_size(const struct measures *measures)
{
	return (measures->n_blocks * measures->config->n_listeners + 1) *
	       sizeof(*measures->listeners);
}

static size_t backends_size(const struct measures *measures)
{
	return (measures->n_blocks * measures->n_backends + 1) * sizeof(*measures->backends);
}

struct measures *measures_create(const struct config *config, size_t n_workers)
{
	struct measures *measures = calloc(1, sizeof(*measures));

	if (!measures)
		return NULL;
	measures->config = config;
	measures->n_blocks = n_workers + 1;
	for (size_t i = 0; i < config->n_pools; i++)
		measures->n_backends += config->pools[i].n_backends;
	measures->listeners = shared_map(listeners_size(measures));
	measures->backends = shared_map(backends_size(measures));
	if (!measures->listeners || !measures->backends) {
		measures_destroy(measures);
		return NULL;
	}
	return measures;
}

void measures_destroy(struct measures *measures)
{
	if (!measures)
		return;
	if (measures->listeners)
		munmap(measures->listeners, listeners_size(measures));
	if (measures->backends)
		munmap(measures->backends, backends_size(measures));
	free(measures);
}

/* ---- a worker's ---- */

static struct measures_listener *listeners_of(const struct measures *measures, size_t block)
{
	return &measures->listeners[block * measures->config->n_listeners];
}

static struct measures_backend *backends_of(const struct measures *measures, size_t block)
{
	return &measures->backends[block * measures->n_backends];
}

void measures_writer_init(struct measures_writer *writer, struct measures *measures, size_t worker)
{
	*writer = (struct measures_writer){ 0 };
	if (!measures)
		return;
	assert(worker + 1 < measures->n_blocks);
	*writer = (struct measures_writer){
		.config = measures->config,
		.listeners = listeners_of(measures, worker),
		.backends = backends_of(measures, worker),
	};
	for (size_t i = 0; i < measures->config->n_listeners; i++)
		__atomic_store_n(&writer->listeners[i].live, 0, __ATOMIC_RELAXED);
}

static void add(uint64_t *value, uint64_t n)
{
	__atomic_store_n(value, *value + n, __ATOMIC_RELAXED);
}

static void add_time(struct measures_histogram *histogram,
	const uint64_t bounds[MEASURES_BUCKETS - 1], uint64_t time_us)
{
	size_t bucket = 0;

	while (bucket < MEASURES_BUCKETS - 1 && time_us > bounds[bucket])
		bucket++;
	add(&histogram->counts[bucket], 1);
	add(&histogram->sum_us, time_us);
}

/*
 * NULL also if the configuration has it no more, as that of a flow that was handed over. By
 * numbers, as pointers into different objects may not be compared.
 */
static struct measures_listener *find(
	const struct measures_writer *writer, const struct config_listener *listener)
{
	uintptr_t first = writer->listeners ? (uintptr_t)writer->config->listeners : 0;
	uintptr_t offset = (uintptr_t)listener - first;

	if (!writer->listeners || (uintptr_t)listener < first ||
		offset >= writer->config->n_listeners * sizeof(*listener))
		return NULL;
	return &writer->listeners[offset / sizeof(*listener)];
}

void measures_accepted(const struct measures_writer *writer, const struct config_listener *listener)
{
	struct measures_listener *to = find(writer, listener);

	if (to)
		add(&to->accepted, 1);
}

void measures_begun(const struct measures_writer *writer, const struct config_listener *listener)
{
	struct measures_listener *to = find(writer, listener);

	if (to)
		add(&to->live, 1);
}

void measures_left(const struct measures_writer *writer, const struct config_listener *listener)
{
	struct measures_listener *to = find(writer, listener);

	if (to)
		add(&to->live, (uint64_t)-1);
}

void measures_connected(const struct measures_writer *writer,
	const struct config_listener *listener, uint64_t connect_us)
{
	struct measures_listener *to = find(writer, listener);

	if (to)
		add_time(&to->connect, connect_bounds_us, connect_us);
}

void measures_moved(const struct measures_writer *writer, const struct config_listener *listener,
	uint64_t in, uint64_t out)
{
	struct measures_listener *to = find(writer, listener);

	if (!to)
		return;
	add(&to->bytes_in, in);
	add(&to->bytes_out, out);
}

void measures_ended(const struct measures_writer *writer, const struct config_listener *listener,
	enum stats_counter end, uint64_t duration_us)
{
	struct measures_listener *to = find(writer, listener);

	if (!to)
		return;
	assert(end >= STATS_ENDED_CLOSED && end <= STATS_ENDED_ERROR);
	add(&to->ended[end - STATS_ENDED_CLOSED], 1);
	add_time(&to->duration, duration_bounds_us, duration_us);
}

void measures_backend(const struct measures_writer *writer, size_t backend, bool connected)
{
	if (!writer->backends)
		return;
	if (connected)
		add(&writer->backends[backend].connects, 1);
	else
		add(&writer->backends[backend].connect_failures, 1);
}

/* ---- the readers' ---- */

static void sum_words(uint64_t *sum, const uint64_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum[i] += __atomic_load_n(&words[i], __ATOMIC_RELAXED);
}

void measures_sum_listener(
	const struct measures *measures, size_t listener, struct measures_listener *ret_sum)
{
	*ret_sum = (struct measures_listener){ 0 };
	for (size_t i = 0; i < measures->n_blocks; i++)
		sum_words((uint64_t *)ret_sum,
			(const uint64_t *)&listeners_of(measures, i)[listener], LISTENER_WORDS);
}

static size_t index_of(const struct measures *measures, size_t pool, size_t backend)
{
	for (size_t i = 0; i < pool; i++)
		backend += measures->config->pools[i].n_backends;
	return backend;
}

void measures_sum_backend(const struct measures *measures, size_t pool, size_t backend,
	struct measures_backend *ret_sum)
{
	size_t index = index_of(measures, pool, backend);

	*ret_sum = (struct measures_backend){ 0 };
	for (size_t i = 0; i < measures->n_blocks; i++)
		sum_words((uint64_t *)ret_sum, (const uint64_t *)&backends_of(measures, i)[index],
			BACKEND_WORDS);
}

/* ---- from image to image ---- */

/* The field's name; false: it is a gauge. */
static bool listener_field(size_t word, char *buf, size_t size)
{
	static const char *const first[] = { "accepted", "bytes_in", "bytes_out", NULL };
	const size_t n_first = sizeof(first) / sizeof(first[0]);
	const size_t n_histogram = MEASURES_BUCKETS + 1;
	const uint64_t *bounds = connect_bounds_us;
	const char *what = "connect";

	static_assert(offsetof(struct measures_listener, ended) == 4 * sizeof(uint64_t),
		"the fields before have names above");
	if (word < n_first) {
		snprintf(buf, size, "%s", first[word] ? first[word] : "");
		return first[word];
	}
	word -= n_first;
	if (word < MEASURES_ENDS) {
		snprintf(buf, size, "ended %s",
			stats_name((enum stats_counter)(STATS_ENDED_CLOSED + word)));
		return true;
	}
	word -= MEASURES_ENDS;
	if (word >= n_histogram) {
		word -= n_histogram;
		bounds = duration_bounds_us;
		what = "duration";
	}
	if (word < MEASURES_BUCKETS - 1)
		snprintf(buf, size, "%s %llu us", what, (unsigned long long)bounds[word]);
	else
		snprintf(buf, size, "%s %s", what, word == MEASURES_BUCKETS ? "sum us" : "more");
	return true;
}

/* A name's addresses are told apart by their place: which one is where may change. */
static void backend_name(
	const struct config_pool *pool, size_t backend, char buf[ESTATE_NAME_MAX / 2])
{
	char text[SOCKADDR_TEXT_MAX];

	for (size_t i = 0; i < pool->n_names; i++)
		if (backend >= pool->names[i].first &&
			backend - pool->names[i].first < pool->names[i].n) {
			snprintf(buf, ESTATE_NAME_MAX / 2, "%.70s %zu", pool->names[i].host,
				backend - pool->names[i].first);
			return;
		}
	snprintf(buf, ESTATE_NAME_MAX / 2, "%s",
		sockaddr_format(&pool->backends[backend].addr, text));
}

/* Visits every number that is handed on. Ends when visit says something but 0, which it returns. */
typedef int visit_word(void *userdata, const char *name, size_t index, bool backend, size_t word);

static int visit_listeners(const struct measures *measures, visit_word *visit, void *userdata)
{
	char name[ESTATE_NAME_MAX], field[ESTATE_NAME_MAX / 2];
	int err = 0;

	for (size_t i = 0; i < measures->config->n_listeners; i++)
		for (size_t word = 0; word < LISTENER_WORDS && !err; word++) {
			if (!listener_field(word, field, sizeof(field)))
				continue;
			snprintf(name, sizeof(name), "listener %s %s",
				measures->config->listeners[i].name, field);
			err = visit(userdata, name, i, false, word);
		}
	return err;
}

static int visit_backends(const struct measures *measures, visit_word *visit, void *userdata)
{
	static const char *const fields[BACKEND_WORDS] = { "connects", "connect_failures" };
	char name[ESTATE_NAME_MAX], backend[ESTATE_NAME_MAX / 2];
	size_t index = 0;
	int err = 0;

	for (size_t i = 0; i < measures->config->n_pools; i++) {
		const struct config_pool *pool = &measures->config->pools[i];

		for (size_t b = 0; b < pool->n_backends; b++, index++)
			for (size_t word = 0; word < BACKEND_WORDS && !err; word++) {
				backend_name(pool, b, backend);
				snprintf(name, sizeof(name), "backend %s %s %s", pool->name,
					backend, fields[word]);
				err = visit(userdata, name, index, true, word);
			}
	}
	return err;
}

struct bequest {
	const struct measures *measures;
	struct estate *estate;
};

static int bequeath_word(void *userdata, const char *name, size_t index, bool backend, size_t word)
{
	const struct bequest *bequest = userdata;
	const struct measures *measures = bequest->measures;
	uint64_t sum = 0;
	int err;

	for (size_t i = 0; i < measures->n_blocks; i++) {
		const uint64_t *words =
			backend ? (const uint64_t *)&backends_of(measures, i)[index]
				: (const uint64_t *)&listeners_of(measures, i)[index];

		sum += __atomic_load_n(&words[word], __ATOMIC_RELAXED);
	}
	err = sum > 0 ? estate_add_number(bequest->estate, name, (int64_t)sum) : 0;
	/* A name that is there already is that of a server that the pool has twice. */
	return err == -EINVAL ? 0 : err;
}

int measures_bequeath(const struct measures *measures, struct estate *estate)
{
	struct bequest bequest = { .measures = measures, .estate = estate };
	int err = visit_listeners(measures, bequeath_word, &bequest);

	return err ? err : visit_backends(measures, bequeath_word, &bequest);
}

struct heritage {
	const struct estate *estate;
	uint64_t *listeners;
	uint64_t *backends;
};

static int inherit_word(void *userdata, const char *name, size_t index, bool backend, size_t word)
{
	const struct heritage *heritage = userdata;
	int64_t value;

	if (estate_get_number(heritage->estate, name, &value) != 0 || value < 0)
		return 0;
	if (backend)
		add(&heritage->backends[index * BACKEND_WORDS + word], (uint64_t)value);
	else
		add(&heritage->listeners[index * LISTENER_WORDS + word], (uint64_t)value);
	return 0;
}

void measures_inherit(struct measures *measures, const struct estate *estate)
{
	struct heritage heritage = {
		.estate = estate,
		.listeners = (uint64_t *)listeners_of(measures, measures->n_blocks - 1),
		.backends = (uint64_t *)backends_of(measures, measures->n_blocks - 1),
	};

	(void)visit_listeners(measures, inherit_word, &heritage);
	(void)visit_backends(measures, inherit_word, &heritage);
}
