/*
 * page_path - the way from listeners to pools to backends, as a diagram: a line for each, by its
 * health, and as thick as its share of the live flows.
 */
#pragma once

#include <jansson.h>

#include "page_text.h"

void page_path_all(struct page_text *text, const json_t *status);
