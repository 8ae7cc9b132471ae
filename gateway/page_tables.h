/*
 * page_tables - what a page says in tables: recent events, workers, limits.
 *
 * status is the answer to "status"; it stays the caller's, like the rest, and may lack any key.
 */
#pragma once

#include <jansson.h>

#include "history.h"
#include "page_text.h"

/* The newest first. history may be NULL. */
void page_tables_events(struct page_text *text, const struct history *history);
void page_tables_workers(struct page_text *text, const json_t *status);
/* What was limited, lost or refused since the start; what never was is left out. */
void page_tables_limits(struct page_text *text, const json_t *status);
