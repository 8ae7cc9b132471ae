/*
 * page_health - how well the gateway is, judged by the answer to "status", for a page to show at a
 * glance.
 *
 * Plain functions, in the observer. An answer may lack any key, or have it of another kind: what is
 * not there is false, 0 or NULL, so a backend without "up" is down.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "history.h"
#include "page_text.h"

/* From well to bad: of two, the greater one is worse. */
enum page_health {
	PAGE_WELL,
	PAGE_IDLE, /* meant to be so: a backup, drained, weight 0 */
	PAGE_DEGRADED,
	PAGE_DOWN
};

enum page_health page_health_backend(const json_t *backend);
enum page_health page_health_pool(const json_t *pool);
/*
 * Of all; adds an element <li> for each reason to reasons. A backend that is down makes it degraded
 * as long as its pool serves. history, for what failed in the last minute, may be NULL.
 */
enum page_health page_health_overall(
	const json_t *status, const struct history *history, struct page_text *reasons);

/* One word for CSS: "well", "idle", "degraded", "down". */
const char *page_health_class(enum page_health health);
/* A small picture, of another shape for each; words have to stand beside it. */
void page_health_icon(struct page_text *text, enum page_health health);
/* "up", "down", "left out after 3 failures", "draining" ... */
void page_health_words(struct page_text *text, const json_t *backend);

bool page_health_is(const json_t *object, const char *key);
/* 0 without such a key; a number below 0 is 0. */
double page_health_number(const json_t *object, const char *key);
/* NULL without. */
const char *page_health_text(const json_t *object, const char *key);
