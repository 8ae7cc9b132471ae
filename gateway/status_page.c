#include "status_page.h"

#include <math.h>
#include <string.h>

#include "page_health.h"
#include "page_path.h"
#include "page_plot.h"
#include "page_style.h"
#include "page_tables.h"
#include "page_text.h"

/*
 * What is wrong is found before anything is written, as the title and the picture in the tab say
 * it, too; so the reasons are a text of their own, which is put in later.
 *
 * Rates are of the last minute: of the newest sample and the one MINUTE before it, or the oldest if
 * there are not so many. Without samples all three are zeroed, so that no time has passed, and
 * rates are not known.
 */
#define MINUTE 6 /* samples */

struct page {
	struct page_text *text;
	const json_t *status;
	const struct history *history;
	size_t n_samples;
	/* Now, a minute ago, and the oldest; all the same without samples. */
	struct history_sample now, lately, oldest;
};

static void load_samples(struct page *page)
{
	size_t n = page->history ? history_n_samples(page->history) : 0;

	page->n_samples = n;
	if (n == 0)
		return;
	history_sample(page->history, n - 1, &page->now);
	history_sample(page->history, n > MINUTE ? n - 1 - MINUTE : 0, &page->lately);
	history_sample(page->history, 0, &page->oldest);
}

/* ---- head ---- */

/* The picture in the browser's tab: a dot in the colour of the state. */
static void add_icon_link(const struct page *page, enum page_health health)
{
	static const char *const colours[] = { "1a7336", "1a7336", "d08a00", "c81e36" };

	page_text_addf(page->text,
		"<link rel=\"icon\" href=\"data:image/svg+xml,%%3Csvg "
		"xmlns='http://www.w3.org/2000/"
		"svg' viewBox='0 0 16 16'%%3E%%3Ccircle cx='8' cy='8' r='7' fill='%%23%s'/%%3E%%3C/"
		"svg%%3E\">",
		colours[health]);
}

static const char *headline(const json_t *status, enum page_health health)
{
	json_t *pools = json_object_get(status, "pools"), *pool;
	size_t i, up = 0;

	if (health == PAGE_DEGRADED)
		return "Degraded";
	if (health != PAGE_DOWN)
		return "All is well";
	json_array_foreach(pools, i, pool) up += page_health_is(pool, "up") ? 1 : 0;
	return up > 0 ? "Partly down" : "Down";
}

static void add_head(const struct page *page, enum page_health health)
{
	page_text_add(page->text,
		"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
		"<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
		"<meta http-equiv=\"refresh\" content=\"10\"><title>");
	page_text_add(page->text, headline(page->status, health));
	page_text_add(page->text, " – sixgate</title>");
	add_icon_link(page, health);
	page_text_add(page->text, "<style>");
	page_text_add(page->text, page_style());
	page_text_add(page->text, "</style></head>\n<body>");
}

static void add_banner(const struct page *page, enum page_health health, const char *reasons)
{
	struct page_text *text = page->text;

	page_text_addf(text, "<header class=\"%s\">", page_health_class(health));
	page_health_icon(text, health);
	page_text_addf(
		text, "<h1>%s</h1><p class=\"quiet\">sixgate ", headline(page->status, health));
	page_text_escape(text, page_health_text(page->status, "version"));
	page_text_add(text, ", up for ");
	page_text_duration(text, page_health_number(page->status, "uptime_s"));
	if (page->n_samples) {
		page_text_add(text, ". As of ");
		page_text_clock(text, page->now.time_s, true);
		page_text_add(text, "\u00a0UTC");
	}
	page_text_add(text, "</p>");
	if (reasons && reasons[0])
		page_text_addf(text, "<ul aria-label=\"what is wrong\">%s</ul>", reasons);
	page_text_add(text, "</header>\n");
}

/* ---- tiles ---- */

static double rate(const struct page *page, enum history_value value)
{
	double dt = (double)(page->now.time_s - page->lately.time_s);

	return dt > 0 ? (double)history_growth(page->lately.value[value], page->now.value[value]) /
				dt
		      : PAGE_TEXT_UNKNOWN;
}

static void begin_tile(const struct page *page, const char *title, bool bad)
{
	page_text_addf(
		page->text, "<div class=\"card%s\"><dt>%s</dt><dd>", bad ? " down" : "", title);
}

static void add_flow_tiles(const struct page *page)
{
	struct page_text *text = page->text;
	const json_t *counters = json_object_get(page->status, "counters");

	begin_tile(page, "Live flows", false);
	page_text_count(text, page_health_number(counters, "live_flows"));
	page_text_add(text, "</dd><dd class=\"quiet\">of ");
	page_text_count(text, page_health_number(counters, "accepted"));
	page_text_add(text, " accepted so far</dd></div>");
	begin_tile(page, "Connections", false);
	page_text_count(text, rate(page, HISTORY_ACCEPTED));
	page_text_add(text, "\u00a0/s</dd><dd class=\"quiet\">over the last minute</dd></div>");
	begin_tile(page, "Throughput", false);
	page_text_bytes(text, rate(page, HISTORY_BYTES_IN) + rate(page, HISTORY_BYTES_OUT));
	page_text_add(text, "</dd><dd class=\"quiet\">both ways together</dd></div>");
}

static void add_connect_tile(const struct page *page)
{
	bool known = page->n_samples > 0;

	begin_tile(page, "Connect time, p99", false);
	page_text_seconds(page->text,
		known ? history_connect_time(page->history, &page->lately, &page->now, 0.99)
		      : PAGE_TEXT_UNKNOWN);
	page_text_add(page->text, "</dd><dd class=\"quiet\">half within ");
	page_text_seconds(page->text,
		known ? history_connect_time(page->history, &page->lately, &page->now, 0.5)
		      : PAGE_TEXT_UNKNOWN);
	page_text_add(page->text, "</dd></div>");
}

static double not_served(const struct history_sample *before, const struct history_sample *now)
{
	return (double)(history_failed(before, now) +
			history_growth(before->value[HISTORY_TURNED_AWAY],
				now->value[HISTORY_TURNED_AWAY]));
}

/* Of the hour, as few happen in a minute; red only for what happened in the last one. */
static void add_failed_tile(const struct page *page)
{
	double failed = not_served(&page->oldest, &page->now);
	double lately = not_served(&page->lately, &page->now);
	double reset = (double)history_growth(
		page->oldest.value[HISTORY_RESET], page->now.value[HISTORY_RESET]);

	begin_tile(page, "Not served", lately > 0);
	page_text_count(page->text, failed);
	page_text_add(page->text, "</dd><dd class=\"quiet\">in the last hour; ");
	page_text_count(page->text, reset);
	page_text_add(page->text, " reset later</dd></div>");
}

static bool has_udp(const json_t *status)
{
	json_t *listeners = json_object_get(status, "listeners"), *listener;
	size_t i;

	json_array_foreach(listeners, i, listener)
	{
		const char *protocol = page_health_text(listener, "protocol");

		if (protocol && strcmp(protocol, "udp") == 0)
			return true;
	}
	return false;
}

static void add_udp_tile(const struct page *page)
{
	begin_tile(page, "Datagrams", false);
	page_text_count(
		page->text, rate(page, HISTORY_DATAGRAMS_IN) + rate(page, HISTORY_DATAGRAMS_OUT));
	page_text_add(page->text, "\u00a0/s</dd><dd class=\"quiet\">");
	page_text_count(page->text, (double)history_growth(page->oldest.value[HISTORY_DROPPED],
					    page->now.value[HISTORY_DROPPED]));
	page_text_add(page->text, " dropped in the last hour</dd></div>");
}

/* ---- all ---- */

static int add_body(const struct page *page)
{
	struct page_text *text = page->text;
	bool udp = has_udp(page->status);
	int err;

	page_text_add(text, "<main><dl class=\"tiles\">");
	add_flow_tiles(page);
	add_connect_tile(page);
	add_failed_tile(page);
	if (udp)
		add_udp_tile(page);
	page_text_add(text, "</dl>\n<h2>From clients to backends</h2>");
	page_path_all(text, page->status);
	page_text_add(text, "\n<h2>The last hour (UTC)</h2><div class=\"plots\">");
	err = page_plot_all(text, page->history, udp);
	page_text_add(text, "</div>\n<div class=\"two\"><section><h2>Lately: who was turned away, "
			    "what changed</h2><div class=\"card\">");
	page_tables_events(text, page->history);
	page_text_add(text, "</div></section>\n<section><h2>Workers</h2><div class=\"card\">");
	page_tables_workers(text, page->status);
	page_text_add(text, "</div>\n<h2>Limits and losses since the start</h2>"
			    "<div class=\"card\">");
	page_tables_limits(text, page->status);
	page_text_add(text, "</div></section></div></main>\n<footer class=\"quiet\"><span>pid ");
	page_text_addf(text, "%.0f, started ", page_health_number(page->status, "pid"));
	page_text_escape(text, page_health_text(page->status, "started"));
	page_text_add(text, "</span><a href=\"/metrics\">metrics</a><a "
			    "href=\"/status.json\">status as JSON</a></footer></body></html>\n");
	return err;
}

int status_page_html(
	const json_t *status, const struct history *history, char **ret_html, size_t *ret_len)
{
	struct page_text text = { 0 }, reasons = { 0 };
	struct page page = { .text = &text, .status = status, .history = history };
	enum page_health health;
	int err;

	load_samples(&page);
	health = page_health_overall(status, history, &reasons);
	add_head(&page, health);
	add_banner(&page, health, reasons.data);
	err = add_body(&page);
	text.failed = text.failed || reasons.failed || err;
	page_text_drop(&reasons);
	return page_text_take(&text, ret_html, ret_len);
}
