/*
 * page_tables - what a page says in tables: recent events, workers, limits.
 */
#pragma once

#include <jansson.h>

#include "history.h"
#include "page_text.h"

void page_tables_events(struct page_text *text, const struct history *history);
void page_tables_workers(struct page_text *text, const json_t *status);
void page_tables_limits(struct page_text *text, const json_t *status);
