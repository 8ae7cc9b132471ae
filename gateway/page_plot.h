/*
 * page_plot - the last hour of a history as small plots: HTML with SVG inside.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "history.h"
#include "page_text.h"

/* udp: datagrams are plotted too. Adds an element <figure> for each plot. 0 or -ENOMEM. */
int page_plot_all(struct page_text *text, const struct history *history, bool udp);
