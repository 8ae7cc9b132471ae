/*
 * page_path - the way from listeners to pools to backends, as a diagram: a line for each, by its
 * health, and as thick as its share of the live flows.
 *
 * A row for each pool, with its listeners to the left and its backends to the right; and one for
 * listeners without a pool, if there are any. Boxes are HTML, the lines between them SVG that is
 * stretched.
 */
#pragma once

#include <jansson.h>

#include "page_text.h"

/* status: the answer to "status", which stays the caller's; what it lacks is not shown. */
void page_path_all(struct page_text *text, const json_t *status);
