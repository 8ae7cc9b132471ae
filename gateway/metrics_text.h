/*
 * metrics_text - what the gateway is doing, as Prometheus reads it: the JSON of status.h as a text
 * of metrics, either in the OpenMetrics format 1.0 or in Prometheus' own, 0.0.4.
 *
 * A plain function. Names and labels are in sixgated.conf(5), METRICS; they stay what they are, new
 * ones may come. A counter that this file does not know becomes sixgate_NAME_total.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define METRICS_TEXT_TYPE_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define METRICS_TEXT_TYPE_PROMETHEUS  "text/plain; version=0.0.4; charset=utf-8"

/* What the JSON has not is left out. The text, which the caller frees; NULL without memory. */
char *metrics_text(const json_t *status, bool openmetrics, size_t *ret_len);
