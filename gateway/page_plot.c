#include "page_plot.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/*
 * A plot is stretched to the width that there is, and its labels are HTML beside it: so they have
 * the same size everywhere. Lines keep their width by vector-effect.
 *
 * What is not known is NaN, and stays so through all sums and quotients; fmax() passes over it, so
 * that it makes no peak, and drawing ends a line there. The x axis is by the times that samples
 * say, and not by their number: an hour is an hour also if some are missing.
 */

#define WIDTH  600.0
#define HEIGHT 120.0
#define HOUR_S 3600.0
#define GAP_S  (3 * HISTORY_INTERVAL_S) /* no line over a longer time without a sample */

struct series {
	const char *name, *class;
	double value[HISTORY_SAMPLES]; /* NaN: not known */
};

struct plot {
	const char *title;
	void (*number)(struct page_text *text, double n);
	bool stacked; /* the second series lies on the first; both are areas */
	bool area;    /* of the first series */
	size_t n_series;
	struct series series[2];
};

/* Too large for a stack: copies of all samples, as the history may change meanwhile. */
struct samples {
	const struct history *history;
	size_t n;
	struct history_sample list[HISTORY_SAMPLES];
	struct plot plot; /* the one that is being drawn */
};

/* ---- values ---- */

static double seconds_before(const struct samples *samples, size_t i)
{
	int64_t dt;

	if (i == 0)
		return PAGE_TEXT_UNKNOWN;
	dt = samples->list[i].time_s - samples->list[i - 1].time_s;
	return dt > 0 && dt <= GAP_S ? (double)dt : PAGE_TEXT_UNKNOWN;
}

static void take_rate(struct samples *samples, struct series *series, enum history_value value)
{
	for (size_t i = 0; i < samples->n; i++) {
		const struct history_sample *now = &samples->list[i];

		series->value[i] =
			i == 0 ? PAGE_TEXT_UNKNOWN
			       : (double)history_growth(now[-1].value[value], now->value[value]) /
					 seconds_before(samples, i);
	}
}

static void take_served(struct samples *samples)
{
	struct series *served = &samples->plot.series[0], *failed = &samples->plot.series[1];

	take_rate(samples, served, HISTORY_ACCEPTED);
	take_rate(samples, failed, HISTORY_TURNED_AWAY);
	for (size_t i = 1; i < samples->n; i++) {
		double n = (double)history_failed(&samples->list[i - 1], &samples->list[i]) /
			   seconds_before(samples, i);

		failed->value[i] += n;
		/* Times 0, so that what is not known stays NaN. Some fail that came before. */
		served->value[i] =
			served->value[i] > n ? served->value[i] - n : served->value[i] * 0;
	}
}

static void take_connect(struct samples *samples, struct series *series, double share)
{
	series->value[0] = PAGE_TEXT_UNKNOWN;
	for (size_t i = 1; i < samples->n; i++)
		series->value[i] = history_connect_time(
			samples->history, &samples->list[i - 1], &samples->list[i], share);
}

static void take_live(struct samples *samples)
{
	for (size_t i = 0; i < samples->n; i++)
		samples->plot.series[0].value[i] = (double)samples->list[i].value[HISTORY_LIVE];
}

/* ---- drawing ---- */

static double peak_of(const struct samples *samples)
{
	const struct plot *plot = &samples->plot;
	double peak = 0;

	for (size_t i = 0; i < samples->n; i++) {
		double a = plot->series[0].value[i];
		double b = plot->n_series > 1 ? plot->series[1].value[i] : PAGE_TEXT_UNKNOWN;

		peak = fmax(peak, plot->stacked ? a + b : fmax(a, b));
	}
	return peak;
}

/* The next number that is easily read, and half of it as well. */
static double round_up(double peak)
{
	static const double steps[] = { 1, 2, 3, 4, 5, 6, 8, 10 };
	double unit = pow(10, floor(log10(peak > 0 ? peak : 1)));

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (peak <= steps[i] * unit * (1 + 1e-9))
			return steps[i] * unit;
	return 10 * unit;
}

static double x_of(const struct samples *samples, size_t i)
{
	double ago = (double)(samples->list[samples->n - 1].time_s - samples->list[i].time_s);

	return WIDTH * (1 - ago / HOUR_S);
}

static double y_of(double value, double top)
{
	return HEIGHT * (1 - value / top);
}

/* How many values are known from i on, without a gap. */
static size_t run_from(const struct samples *samples, const double *value, size_t i)
{
	size_t n = 0;

	for (; i + n < samples->n && !isnan(value[i + n]); n++)
		if (n > 0 && isnan(seconds_before(samples, i + n)))
			break;
	return n;
}

static void add_points(struct page_text *text, const struct samples *samples, const double *value,
	size_t first, size_t n, double top)
{
	for (size_t i = first; i < first + n; i++)
		page_text_addf(text, "%c%.1f %.1f", i == first ? 'M' : 'L', x_of(samples, i),
			y_of(value[i], top));
	/* One point alone would be a line of no length, which is not drawn. */
	if (n == 1)
		page_text_add(text, "h.1");
}

static void add_area(struct page_text *text, const struct samples *samples, const double *lower,
	const double *upper, double top)
{
	for (size_t i = 0, n; i < samples->n; i += n ? n : 1) {
		n = run_from(samples, upper, i);
		if (n < 2)
			continue;
		add_points(text, samples, upper, i, n, top);
		if (!lower)
			page_text_addf(text, "L%.1f %.1fL%.1f %.1fZ", x_of(samples, i + n - 1),
				HEIGHT, x_of(samples, i), HEIGHT);
		for (size_t k = n; lower && k-- > 0;)
			page_text_addf(
				text, "L%.1f %.1f", x_of(samples, i + k), y_of(lower[i + k], top));
	}
}

static void add_series(struct page_text *text, const struct samples *samples, size_t s, double top)
{
	const struct plot *plot = &samples->plot;
	const double *value = plot->series[s].value;
	double sum[HISTORY_SAMPLES];

	/* What lies on another has no line: where it is nothing, that would hide the other's. */
	for (size_t i = 0; i < samples->n; i++)
		sum[i] = plot->stacked && s == 1 ? value[i] + plot->series[0].value[i] : value[i];
	if (plot->area && (s == 0 || plot->stacked)) {
		page_text_addf(text, "<path class=\"area %s\" d=\"", plot->series[s].class);
		add_area(text, samples, s == 1 ? plot->series[0].value : NULL, sum, top);
		page_text_add(text, "\"/>");
	}
	if (plot->stacked && s == 1)
		return;
	page_text_addf(text, "<path class=\"line %s\" vector-effect=\"non-scaling-stroke\" d=\"",
		plot->series[s].class);
	for (size_t i = 0, n; i < samples->n; i += n ? n : 1) {
		n = run_from(samples, sum, i);
		if (n > 0)
			add_points(text, samples, sum, i, n, top);
	}
	page_text_add(text, "\"/>");
}

/* ---- words ---- */

static void add_legend(struct page_text *text, const struct samples *samples)
{
	const struct plot *plot = &samples->plot;

	page_text_addf(text, "<figcaption><h3>%s</h3><ul class=\"legend\">", plot->title);
	for (size_t s = 0; s < plot->n_series; s++) {
		page_text_addf(text,
			"<li><svg class=\"key\" viewBox=\"0 0 16 8\" aria-hidden=\"true\"><path "
			"class=\"line %s\" d=\"M0 4h16\"/></svg>%s <b>",
			plot->series[s].class, plot->series[s].name);
		plot->number(text,
			samples->n ? plot->series[s].value[samples->n - 1] : PAGE_TEXT_UNKNOWN);
		page_text_add(text, "</b></li>");
	}
	page_text_add(text, "</ul></figcaption>");
}

static void add_description(struct page_text *text, const struct samples *samples, double peak)
{
	const struct plot *plot = &samples->plot;

	page_text_addf(text, "<title>%s, over the last hour</title><desc>", plot->title);
	for (size_t s = 0; s < plot->n_series; s++) {
		page_text_addf(text, "Now %s: ", plot->series[s].name);
		plot->number(text,
			samples->n ? plot->series[s].value[samples->n - 1] : PAGE_TEXT_UNKNOWN);
		page_text_add(text, ". ");
	}
	page_text_add(text, "Highest: ");
	plot->number(text, peak);
	page_text_add(text, ".</desc>");
}

static void add_axes(struct page_text *text, const struct samples *samples, double top)
{
	int64_t now_s = samples->n ? samples->list[samples->n - 1].time_s : 0;

	page_text_add(text, "<div class=\"y\" aria-hidden=\"true\">");
	for (int i = 2; i >= 0; i--) {
		page_text_add(text, "<span>");
		if (i > 0)
			samples->plot.number(text, top * i / 2);
		else
			page_text_add(text, "0");
		page_text_add(text, "</span>");
	}
	page_text_add(text, "</div><div class=\"x\" aria-hidden=\"true\">");
	for (int minutes = 60; minutes >= 0; minutes -= 15) {
		page_text_add(text, "<span>");
		if (samples->n)
			page_text_clock(text, now_s - (int64_t)minutes * 60, false);
		page_text_add(text, "</span>");
	}
	page_text_add(text, "</div>");
}

static void add_plot(struct page_text *text, const struct samples *samples)
{
	double peak = peak_of(samples), top = round_up(peak);

	page_text_add(text, "<figure class=\"card plot\">");
	add_legend(text, samples);
	page_text_addf(text,
		"<div class=\"axes\"><svg role=\"img\" viewBox=\"0 0 %.0f %.0f\" "
		"preserveAspectRatio=\"none\">",
		WIDTH, HEIGHT);
	add_description(text, samples, peak);
	page_text_addf(text,
		"<path class=\"grid\" vector-effect=\"non-scaling-stroke\" d=\"M0 0H%.0fM0 "
		"%.0fH%.0f"
		"M0 %.0fH%.0fM150 0V%.0fM300 0V%.0fM450 0V%.0f\"/>",
		WIDTH, HEIGHT / 2, WIDTH, HEIGHT, WIDTH, HEIGHT, HEIGHT, HEIGHT);
	for (size_t s = 0; s < samples->plot.n_series; s++)
		add_series(text, samples, s, top);
	page_text_add(text, "</svg>");
	add_axes(text, samples, top);
	page_text_add(text, "</div></figure>");
}

static void add_all(struct page_text *text, struct samples *samples, bool udp)
{
	struct plot *plot = &samples->plot;

	*plot = (struct plot){ "Connections per second", page_text_count, true, true, 2,
		{ { .name = "served", .class = "one" },
			{ .name = "not served", .class = "bad" } } };
	take_served(samples);
	add_plot(text, samples);
	*plot = (struct plot){ "Throughput", page_text_bytes, false, true, 2,
		{ { .name = "to clients", .class = "one" },
			{ .name = "from clients", .class = "two" } } };
	take_rate(samples, &plot->series[0], HISTORY_BYTES_OUT);
	take_rate(samples, &plot->series[1], HISTORY_BYTES_IN);
	add_plot(text, samples);
	*plot = (struct plot){ "Connect time", page_text_seconds, false, false, 2,
		{ { .name = "half within", .class = "one" },
			{ .name = "99 % within", .class = "two" } } };
	take_connect(samples, &plot->series[0], 0.5);
	take_connect(samples, &plot->series[1], 0.99);
	add_plot(text, samples);
	*plot = (struct plot){ "Live flows", page_text_count, false, true, 1,
		{ { .name = "now", .class = "one" } } };
	take_live(samples);
	add_plot(text, samples);
	if (!udp)
		return;
	*plot = (struct plot){ "Datagrams per second", page_text_count, false, true, 2,
		{ { .name = "from clients", .class = "one" },
			{ .name = "to clients", .class = "two" } } };
	take_rate(samples, &plot->series[0], HISTORY_DATAGRAMS_IN);
	take_rate(samples, &plot->series[1], HISTORY_DATAGRAMS_OUT);
	add_plot(text, samples);
}

int page_plot_all(struct page_text *text, const struct history *history, bool udp)
{
	struct samples *samples = calloc(1, sizeof(*samples));

	if (!samples)
		return -ENOMEM;
	samples->history = history;
	samples->n = history ? history_n_samples(history) : 0;
	for (size_t i = 0; i < samples->n; i++)
		history_sample(history, i, &samples->list[i]);
	add_all(text, samples, udp);
	free(samples);
	return 0;
}
