/*
 * page_plot - the last hour of a history as small plots: HTML with SVG inside.
 *
 * In the observer, for each page anew. A sample that is missing, or a time that is not known, is a
 * gap in the line, and never 0.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "history.h"
#include "page_text.h"

/*
 * udp: datagrams are plotted too. history may be NULL: the plots are empty. Adds an element
 * <figure> for each plot. 0 or -ENOMEM, and then it has added nothing.
 */
int page_plot_all(struct page_text *text, const struct history *history, bool udp);
