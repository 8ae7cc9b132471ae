#include "page_tables.h"

#include "page_health.h"

/* ---- events ---- */

static void add_event(struct page_text *text, const struct history_event *event)
{
	static const enum page_health icons[] = { PAGE_IDLE, PAGE_DOWN, PAGE_WELL };

	page_text_add(text, "<li>");
	page_health_icon(text, icons[event->kind]);
	page_text_add(text, "<time>");
	page_text_clock(text, event->first_s, true);
	if (event->last_s != event->first_s) {
		page_text_add(text, "–");
		page_text_clock(text, event->last_s, true);
	}
	page_text_add(text, "</time><p>");
	page_text_name(text, event->text);
	if (event->count > 0) {
		page_text_add(text, " <b>×\u00a0");
		page_text_count(text, (double)event->count);
		page_text_add(text, "</b>");
	}
	page_text_add(text, "</p></li>");
}

void page_tables_events(struct page_text *text, const struct history *history)
{
	size_t n = history ? history_n_events(history) : 0;
	struct history_event event;

	if (n == 0) {
		page_text_add(text, "<p class=\"quiet\">Nobody was turned away, and nothing went "
				    "down.</p>");
		return;
	}
	page_text_add(text, "<ol class=\"events\" tabindex=\"0\" aria-label=\"events\">");
	for (size_t i = 0; i < n; i++) {
		history_event(history, i, &event);
		add_event(text, &event);
	}
	page_text_add(text, "</ol>");
}

/* ---- workers ---- */

static void add_cell(struct page_text *text, const json_t *worker, const char *key)
{
	page_text_add(text, "<td>");
	page_text_count(text, page_health_number(worker, key));
	page_text_add(text, "</td>");
}

static void add_worker(struct page_text *text, const json_t *worker)
{
	bool ready = page_health_is(worker, "ready");

	page_text_addf(text, "<tr><th scope=\"row\">%.0f</th><td class=\"state %s\">",
		page_health_number(worker, "worker"), ready ? "well" : "down");
	page_health_icon(text, ready ? PAGE_WELL : PAGE_DOWN);
	page_text_add(text, ready ? "ready</td><td>" : "not ready</td><td>");
	page_text_duration(text, page_health_number(worker, "uptime_s"));
	page_text_add(text, "</td>");
	add_cell(text, worker, "live_flows");
	add_cell(text, worker, "replaced");
	add_cell(text, worker, "records_lost");
	page_text_add(text, "</tr>");
}

void page_tables_workers(struct page_text *text, const json_t *status)
{
	static const char *const heads[] = { "no.", "state", "up for", "flows", "replaced",
		"records lost" };
	json_t *workers = json_object_get(status, "workers"), *worker;
	size_t i;

	page_text_add(text, "<div class=\"wide\"><table><thead><tr>");
	for (size_t k = 0; k < sizeof(heads) / sizeof(heads[0]); k++)
		page_text_addf(text, "<th scope=\"col\"%s>%s</th>",
			k == 1 ? " class=\"state\"" : "", heads[k]);
	page_text_add(text, "</tr></thead><tbody>");
	json_array_foreach(workers, i, worker)
	{
		add_worker(text, worker);
	}
	page_text_add(text, "</tbody></table></div>");
}

/* ---- limits ---- */

/* By the names of stats.c; a counter that is 0, or that an answer lacks, is not shown. */
static const struct {
	const char *counter, *text;
} limits[] = {
	{ "paused_limit", "accepting paused: max-flows" },
	{ "paused_files", "accepting paused: no descriptors or memory" },
	{ "limit_full", "connections: the listener was full" },
	{ "limit_client_full", "connections: the client had all that it may" },
	{ "limit_address_full", "connections: the address had all that it may" },
	{ "limit_rate", "connections: too many at once" },
	{ "limit_client_rate", "connections: too many of one client at once" },
	{ "limit_address_rate", "connections: too many of one address at once" },
	{ "limit_pool_full", "connections: the pool was full" },
	{ "limit_backends_full", "connections: all backends were full" },
	{ "limit_untracked", "let in without a client's limits: the table was full" },
	{ "denied", "connections: not allowed by a list" },
	{ "banned", "connections: the client was banned" },
	{ "circuit_opened", "times that a backend was left out for its failures" },
	{ "retried", "connections that went on to another backend" },
	{ "dropped_queue", "datagrams: a receive buffer was full" },
	{ "dropped_full", "datagrams: no room for another session" },
	{ "dropped_client_full", "datagrams: the client had all that it may" },
	{ "dropped_address_full", "datagrams: the address had all that it may" },
	{ "dropped_rate", "datagrams: too many sessions at once" },
	{ "dropped_client_rate", "datagrams: too many sessions of one client at once" },
	{ "dropped_address_rate", "datagrams: too many sessions of one address at once" },
	{ "dropped_pool_full", "datagrams: the pool was full" },
	{ "dropped_backends_full", "datagrams: all backends were full" },
	{ "dropped_denied", "datagrams: not allowed by a list" },
	{ "dropped_banned", "datagrams: the client was banned" },
	{ "dropped_busy", "datagrams: sessions that there were came first" },
	{ "dropped_ports", "datagrams: no source port was free" },
	{ "dropped_refused", "datagrams: no backend, or not allowed" },
	{ "dropped_oversize", "datagrams: too large" },
	{ "dropped_invalid", "datagrams: nobody could have answered" },
	{ "dropped_send", "datagrams: the kernel did not take them" },
	{ "icmp_limited", "errors not told to UDP clients, as there were too many" },
};

static size_t add_limit(
	struct page_text *text, const json_t *object, const char *key, const char *words)
{
	double n = page_health_number(object, key);

	if (n <= 0)
		return 0;
	page_text_addf(text, "<tr><th scope=\"row\">%s</th><td>", words);
	page_text_count(text, n);
	page_text_add(text, "</td></tr>");
	return 1;
}

void page_tables_limits(struct page_text *text, const json_t *status)
{
	const json_t *counters = json_object_get(status, "counters");
	const json_t *guard = json_object_get(status, "guard");
	size_t n = 0;

	page_text_add(text, "<table class=\"limits\"><tbody>");
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		n += add_limit(text, counters, limits[i].counter, limits[i].text);
	n += add_limit(text, guard, "packets_refused", "packets refused: a pool was down");
	n += add_limit(text, guard, "packets_banned", "packets of banned clients dropped");
	n += add_limit(text, guard, "bans", "bans that hold now");
	page_text_add(text, "</tbody></table>");
	if (n == 0)
		page_text_add(text, "<p class=\"quiet\">No limit was reached.</p>");
}
