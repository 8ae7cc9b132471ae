#include "page_health.h"

#include <string.h>

#define LATELY 6 /* samples: a minute */
/* Both must be reached: a few of thousands happen always, and one of two is a mere accident. */
#define FAILED_AT_LEAST 5.0
#define FAILED_SHARE	0.01

bool page_health_is(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

double page_health_number(const json_t *object, const char *key)
{
	double value = json_number_value(json_object_get(object, key));

	return value > 0 ? value : 0;
}

const char *page_health_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

enum page_health page_health_backend(const json_t *backend)
{
	if (!page_health_is(backend, "up"))
		return PAGE_DOWN;
	if (page_health_is(backend, "circuit_open"))
		return PAGE_DEGRADED;
	if (page_health_is(backend, "draining") || page_health_is(backend, "backup") ||
		page_health_number(backend, "weight") == 0)
		return PAGE_IDLE;
	return PAGE_WELL;
}

enum page_health page_health_pool(const json_t *pool)
{
	json_t *backends = json_object_get(pool, "backends"), *backend;
	size_t i;

	if (!page_health_is(pool, "up"))
		return PAGE_DOWN;
	json_array_foreach(backends, i,
		backend) if (page_health_backend(backend) >= PAGE_DEGRADED) return PAGE_DEGRADED;
	return PAGE_WELL;
}

static enum page_health worse(enum page_health a, enum page_health b)
{
	return a > b ? a : b;
}

/* ---- all of it ---- */

static enum page_health judge_backend(
	const json_t *pool, const json_t *backend, struct page_text *reasons)
{
	if (page_health_backend(backend) < PAGE_DEGRADED)
		return PAGE_WELL;
	page_text_add(reasons, "<li>Backend ");
	page_text_name(reasons, page_health_text(backend, "address"));
	page_text_add(reasons, " of pool ");
	page_text_name(reasons, page_health_text(pool, "name"));
	page_text_add(reasons, " is ");
	page_health_words(reasons, backend);
	page_text_add(reasons, "</li>");
	return PAGE_DEGRADED;
}

static enum page_health judge_pools(const json_t *pools, struct page_text *reasons)
{
	json_t *pool, *backends, *backend;
	enum page_health health = PAGE_WELL;
	size_t i, k;

	json_array_foreach(pools, i, pool)
	{
		if (!page_health_is(pool, "up")) {
			page_text_add(reasons, "<li>Pool ");
			page_text_name(reasons, page_health_text(pool, "name"));
			page_text_add(reasons, " is down: no backend of it can be used</li>");
			health = PAGE_DOWN;
			continue;
		}
		backends = json_object_get(pool, "backends");
		json_array_foreach(backends, k, backend) health =
			worse(health, judge_backend(pool, backend, reasons));
	}
	return health;
}

static enum page_health judge_workers(const json_t *workers, struct page_text *reasons)
{
	json_t *worker;
	size_t i, ready = 0, n = json_array_size(workers);

	json_array_foreach(workers, i, worker) ready += page_health_is(worker, "ready") ? 1 : 0;
	if (ready == n)
		return PAGE_WELL;
	page_text_addf(reasons, "<li>%zu of %zu workers are not ready</li>", n - ready, n);
	return ready == 0 ? PAGE_DOWN : PAGE_DEGRADED;
}

/* A sample or two after the start there is no minute yet: then what there is counts. */
static enum page_health judge_failures(const struct history *history, struct page_text *reasons)
{
	size_t n = history ? history_n_samples(history) : 0;
	struct history_sample before, now;
	double failed, accepted;

	if (n < 2)
		return PAGE_WELL;
	history_sample(history, n > LATELY ? n - 1 - LATELY : 0, &before);
	history_sample(history, n - 1, &now);
	failed = (double)history_failed(&before, &now);
	accepted =
		(double)history_growth(before.value[HISTORY_ACCEPTED], now.value[HISTORY_ACCEPTED]);
	if (failed < FAILED_AT_LEAST || failed < FAILED_SHARE * accepted)
		return PAGE_WELL;
	page_text_add(reasons, "<li>");
	page_text_count(reasons, failed);
	page_text_add(reasons, " of ");
	page_text_count(reasons, accepted);
	page_text_add(reasons, " connections of the last minute were not served</li>");
	return PAGE_DEGRADED;
}

enum page_health page_health_overall(
	const json_t *status, const struct history *history, struct page_text *reasons)
{
	const char *state = page_health_text(status, "state");
	enum page_health health = judge_pools(json_object_get(status, "pools"), reasons);

	health = worse(health, judge_workers(json_object_get(status, "workers"), reasons));
	health = worse(health, judge_failures(history, reasons));
	if (state && strcmp(state, "running") != 0) {
		page_text_add(reasons, "<li>The gateway is ");
		page_text_escape(reasons, state);
		page_text_add(reasons, "</li>");
		health = worse(health, PAGE_DEGRADED);
	}
	return health;
}

/* ---- as words and pictures ---- */

const char *page_health_class(enum page_health health)
{
	static const char *const classes[] = { "well", "idle", "degraded", "down" };

	return classes[health];
}

void page_health_icon(struct page_text *text, enum page_health health)
{
	static const char *const shapes[] = {
		"<circle cx=\"8\" cy=\"8\" r=\"7\"/><path d=\"M4.5 8.3l2.4 2.4 4.6-5\"/>",
		"<circle cx=\"8\" cy=\"8\" r=\"7\"/><path d=\"M5 8h6\"/>",
		"<path class=\"body\" d=\"M8 1l7.5 14H.5z\"/><path d=\"M8 6v4.2M8 12.2v1\"/>",
		("<rect x=\"1\" y=\"1\" width=\"14\" height=\"14\" rx=\"2\"/>"
		 "<path d=\"M5 5l6 6M11 5l-6 6\"/>"),
	};

	page_text_addf(text,
		"<svg class=\"icon %s\" viewBox=\"0 0 16 16\" aria-hidden=\"true\">%s</svg>",
		page_health_class(health), shapes[health]);
}

/* The first that holds, as in page_health_backend(): what is worst is said. */
void page_health_words(struct page_text *text, const json_t *backend)
{
	if (!page_health_is(backend, "up"))
		page_text_add(text, "down");
	else if (page_health_is(backend, "circuit_open"))
		page_text_addf(text, "left out after %.0f failures",
			page_health_number(backend, "failures"));
	else if (page_health_is(backend, "draining"))
		page_text_add(text, "draining");
	else if (page_health_number(backend, "weight") == 0)
		page_text_add(text, "up, gets no new flows");
	else if (page_health_is(backend, "backup"))
		page_text_add(text, "up, backup");
	else
		page_text_add(text, "up");
}
