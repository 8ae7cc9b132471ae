#include "page_path.h"

#include "page_health.h"

/* There may be 256 listeners and 1024 backends, of which nobody would see anything. */
#define SHOWN_MAX 48U /* listeners and backends of a pool */
#define BINDS_MAX 4U  /* addresses of a listener */

/* A pool, or, without one, the servers that clients name by the address which they connect to. */
struct path {
	struct page_text *text;
	const json_t *listeners, *pool, *backends;
	double all_live; /* of the whole gateway */
};

/* 0 to 1. Both numbers were read at different moments, so a part may seem more than the whole. */
static double share_of(const struct path *path, const json_t *object)
{
	double share = path->all_live > 0 ? page_health_number(object, "live") / path->all_live : 0;

	return share < 1 ? share : 1;
}

static bool leads_here(const struct path *path, const json_t *listener)
{
	json_t *name = json_object_get(listener, "pool");

	return path->pool ? json_equal(name, json_object_get(path->pool, "name"))
			  : !json_is_string(name);
}

static enum page_health health_of(const struct path *path)
{
	return path->pool ? page_health_pool(path->pool) : PAGE_WELL;
}

static size_t n_listeners(const struct path *path)
{
	json_t *listener;
	size_t i, n = 0;

	json_array_foreach(path->listeners, i, listener) n += leads_here(path, listener) ? 1 : 0;
	return n;
}

/* ---- boxes ---- */

/*
 * Begins a paragraph if "live" is known, and leaves it open: whoever calls says more in it, and
 * ends it.
 */
static void add_live(const struct path *path, const json_t *object)
{
	double share = share_of(path, object) * 100;

	if (!json_object_get(object, "live"))
		return;
	page_text_addf(path->text,
		"<svg class=\"bar\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" "
		"aria-hidden=\"true\"><rect class=\"track\" width=\"100\" height=\"4\"/><rect "
		"class=\"fill\" width=\"%.1f\" height=\"4\"/></svg><p class=\"quiet\"><b>",
		share);
	page_text_count(path->text, page_health_number(object, "live"));
	page_text_addf(path->text, "</b> live flows, %.0f\u00a0%%", share);
}

static void add_binds(const struct path *path, const json_t *listener)
{
	json_t *binds = json_object_get(listener, "binds");
	size_t n = json_array_size(binds);

	page_text_add(path->text, "<p class=\"quiet\">");
	for (size_t i = 0; i < n && i < BINDS_MAX; i++) {
		page_text_add(path->text, " <code>");
		page_text_escape(path->text, json_string_value(json_array_get(binds, i)));
		page_text_add(path->text, "</code>");
	}
	if (n > BINDS_MAX)
		page_text_addf(path->text, " and %zu more", n - BINDS_MAX);
	page_text_add(path->text, "</p>");
}

static void add_listener(const struct path *path, const json_t *listener)
{
	double max = page_health_number(listener, "max_flows");

	page_text_addf(
		path->text, "<li><div class=\"box %s\"><h4>", page_health_class(health_of(path)));
	page_text_name(path->text, page_health_text(listener, "name"));
	page_text_add(path->text, "</h4> <span class=\"quiet\">");
	page_text_escape(path->text, page_health_text(listener, "protocol"));
	page_text_add(path->text, "</span>");
	add_binds(path, listener);
	add_live(path, listener);
	if (json_object_get(listener, "live")) {
		if (max > 0) {
			page_text_add(path->text, " (at most ");
			page_text_count(path->text, max);
			page_text_add(path->text, ")");
		}
		page_text_add(path->text, "</p>");
	}
	page_text_add(path->text, "</div></li>");
}

static void add_listeners(const struct path *path)
{
	json_t *listener;
	size_t i, n = 0;

	page_text_add(path->text, "<ul class=\"stack\" aria-label=\"listeners\">");
	json_array_foreach(
		path->listeners, i, listener) if (leads_here(path, listener) && n++ < SHOWN_MAX)
		add_listener(path, listener);
	if (n == 0)
		page_text_add(path->text, "<li><p class=\"box quiet\">no listener</p></li>");
	if (n > SHOWN_MAX)
		page_text_addf(path->text,
			"<li><p class=\"box quiet\">and %zu more listeners</p></li>",
			n - SHOWN_MAX);
	page_text_add(path->text, "</ul>");
}

static void add_pool(const struct path *path)
{
	enum page_health health = health_of(path);
	json_t *backend;
	size_t i, up = 0;

	page_text_addf(path->text, "<div class=\"box pool %s\">", page_health_class(health));
	page_health_icon(path->text, health);
	if (!path->pool) {
		page_text_add(path->text, "<h4>no pool</h4><p class=\"quiet\">the server is named "
					  "by the address that the client connects to</p></div>");
		return;
	}
	json_array_foreach(path->backends, i, backend) up += page_health_is(backend, "up") ? 1 : 0;
	page_text_add(path->text, "<h4>");
	page_text_name(path->text, page_health_text(path->pool, "name"));
	page_text_addf(path->text, "</h4><p class=\"state\">%s</p>",
		health == PAGE_DOWN	  ? "pool down"
		: health == PAGE_DEGRADED ? "up, degraded"
					  : "up");
	page_text_addf(path->text, "<p class=\"quiet\">%zu of %zu backends up%s</p></div>", up,
		json_array_size(path->backends),
		page_health_is(path->pool, "checked") ? "" : ", not checked");
}

static void add_backend(const struct path *path, const json_t *backend)
{
	enum page_health health = page_health_backend(backend);

	page_text_addf(path->text, "<li><div class=\"box %s\">", page_health_class(health));
	page_health_icon(path->text, health);
	page_text_add(path->text, "<h4><code>");
	page_text_escape(path->text, page_health_text(backend, "address"));
	page_text_add(path->text, "</code></h4><p class=\"state\">");
	page_health_words(path->text, backend);
	page_text_add(path->text, "</p>");
	add_live(path, backend);
	page_text_addf(path->text, "%sweight %.0f",
		json_object_get(backend, "live") ? " · " : "<p class=\"quiet\">",
		page_health_number(backend, "weight"));
	if (page_health_number(backend, "connect_failures") > 0) {
		page_text_add(path->text, " · ");
		page_text_count(path->text, page_health_number(backend, "connect_failures"));
		page_text_add(path->text, " failed attempts");
	}
	if (page_health_text(backend, "name")) {
		page_text_add(path->text, " · of ");
		page_text_name(path->text, page_health_text(backend, "name"));
	}
	page_text_add(path->text, "</p></div></li>");
}

static void add_backends(const struct path *path)
{
	size_t n = json_array_size(path->backends);

	page_text_add(path->text, "<ul class=\"stack\" aria-label=\"backends\">");
	for (size_t i = 0; i < n && i < SHOWN_MAX; i++)
		add_backend(path, json_array_get(path->backends, i));
	if (n > SHOWN_MAX)
		page_text_addf(path->text,
			"<li><p class=\"box quiet\">and %zu more backends</p></li>", n - SHOWN_MAX);
	if (n == 0)
		page_text_add(
			path->text, path->pool ? "<li><p class=\"box quiet\">no backend has an "
						 "address</p></li>"
					       : "<li><p class=\"box quiet\">any server</p></li>");
	page_text_add(path->text, "</ul>");
}

/* ---- lines ---- */

static void begin_links(const struct path *path, const char *title)
{
	page_text_addf(path->text,
		"<div class=\"links\"><svg role=\"img\" viewBox=\"0 0 100 100\" "
		"preserveAspectRatio=\"none\"><title>%s</title>",
		title);
}

/*
 * From place i of n on the left, or on the right, to the middle of the other side. Boxes of a side
 * are equally high (".stack" in page_style), so places can be reckoned without knowing how high.
 */
static void add_link(const struct path *path, size_t i, size_t n, bool left, double share,
	enum page_health health)
{
	double y = 100 * ((double)i + 0.5) / (double)n;

	page_text_addf(path->text,
		"<path class=\"link %s\" vector-effect=\"non-scaling-stroke\" "
		"stroke-width=\"%.1f\" "
		"d=\"M0 %.1fC55 %.1f 45 %.1f 100 %.1f\"/>",
		page_health_class(health), 1.5 + 12 * share, left ? y : 50, left ? y : 50,
		left ? 50 : y, left ? 50 : y);
}

static void add_left_links(const struct path *path)
{
	size_t i, k = 0, n = n_listeners(path), places;
	json_t *listener;

	/* "and more" takes a place as well. */
	places = n > SHOWN_MAX ? SHOWN_MAX + 1 : n;
	begin_links(path, "From listeners to the pool, as thick as their share of live flows");
	json_array_foreach(path->listeners, i, listener)
	{
		if (!leads_here(path, listener) || k >= SHOWN_MAX)
			continue;
		add_link(path, k++, places, true, share_of(path, listener), health_of(path));
	}
	page_text_add(path->text, "</svg></div>");
}

static void add_right_links(const struct path *path)
{
	size_t n = json_array_size(path->backends);
	size_t places = n > SHOWN_MAX ? SHOWN_MAX + 1 : n ? n : 1;

	begin_links(path, "From the pool to backends, as thick as their share of live flows");
	for (size_t i = 0; i < n && i < SHOWN_MAX; i++) {
		const json_t *backend = json_array_get(path->backends, i);

		add_link(path, i, places, false, share_of(path, backend),
			page_health_backend(backend));
	}
	if (!path->pool)
		add_link(path, 0, 1, false, 0, PAGE_WELL);
	page_text_add(path->text, "</svg></div>");
}

static void add_path(const struct path *path)
{
	page_text_add(path->text, "<div class=\"route card\">");
	add_listeners(path);
	add_left_links(path);
	add_pool(path);
	add_right_links(path);
	add_backends(path);
	page_text_add(path->text, "</div>");
}

void page_path_all(struct page_text *text, const json_t *status)
{
	struct path path = { .text = text, .listeners = json_object_get(status, "listeners") };
	json_t *pools = json_object_get(status, "pools"), *pool;
	size_t i;

	path.all_live = page_health_number(json_object_get(status, "counters"), "live_flows");
	json_array_foreach(pools, i, pool)
	{
		path.pool = pool;
		path.backends = json_object_get(pool, "backends");
		add_path(&path);
	}
	path.pool = path.backends = NULL;
	if (n_listeners(&path) > 0)
		add_path(&path);
}
